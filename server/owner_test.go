//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/progress"
)

// A core that a group may read is not read, as a dump, by another group.
func TestAnotherGroupMayNotReadTheDump(t *testing.T) {
	for group, most := range map[int]os.FileMode{os.Getgid(): 0o640, os.Getgid() + 4711: 0o600} {
		dir := t.TempDir()
		core, path := filepath.Join(dir, "core"), filepath.Join(dir, "out.dmp")
		if err := os.WriteFile(core, []byte("core"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(core, -1, group); err != nil {
			t.Skip("this user cannot give files to another group")
		}
		if err := os.Chmod(core, 0o640); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(core)
		if err != nil {
			t.Fatal(err)
		}
		in, image := sample(t)
		o, err := newOutput(path, info, replacing{})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.write(t.Context(), image, inputs{{ReaderAt: in}}, never, progress.Sink{}); err != nil {
			t.Fatal(err)
		}
		got, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Mode().Perm()&^most != 0 {
			t.Errorf("group %d of %d: mode %04o, at most %04o", group, os.Getgid(), got.Mode().Perm(), most)
		}
		if all := names(t, dir); len(all) != 2 {
			t.Errorf("left behind: %v", all)
		}
	}
}
