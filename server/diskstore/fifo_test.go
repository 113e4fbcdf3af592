//go:build unix

package diskstore

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A named pipe in a file's place is no file, and nobody waits for it.
func TestNamedPipe(t *testing.T) {
	k, dir := key(t), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, k.Name, k.ID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, k.Name, k.ID, k.Name), 0o644); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	if text := got(t, open(t, dir), k); text != "" {
		t.Errorf("it was read: %q", text)
	}
}

// The stamp changes with what is written, and when another file is put there.
func TestStamp(t *testing.T) {
	path := put(t, t.TempDir(), "a")
	stamp := func() Stamp {
		f, err := Open(path, os.OpenFile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, ok := f.Stamp()
		if !ok {
			t.Fatal("no stamp here")
		}
		return s
	}
	first := stamp()
	if first != stamp() {
		t.Error("it changes by itself")
	}
	if err := os.WriteFile(path, []byte("longer than it was before, whatever the path was called"), 0o644); err != nil {
		t.Fatal(err)
	}
	if stamp() == first {
		t.Error("what was written is not seen")
	}
	other := put(t, t.TempDir(), "a")
	if err := os.Rename(other, path); err != nil {
		t.Skip("another file system: ", err)
	}
	if stamp().Inode == first.Inode {
		t.Error("another file is not seen")
	}
}
