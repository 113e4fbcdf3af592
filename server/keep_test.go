package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/server/filelock"
)

// The dump holds all of the guest's memory: from its first byte it has no group
// or other permission that the core has not, and keeps a tighter mode of what it
// replaces.
func TestTheDumpIsNeverMoreReadableThanTheCore(t *testing.T) {
	for _, c := range []struct {
		core, old, most fs.FileMode // old 0: there is none
	}{
		{0o400, 0, 0o600},
		{0o600, 0, 0o600},
		{0o640, 0, 0o640},
		{0o444, 0, 0o644},
		{0o644, 0o600, 0o600},
		{0o640, 0o604, 0o600},
		{0o666, 0o640, 0o640},
	} {
		dir := t.TempDir()
		core, path := filepath.Join(dir, "core"), filepath.Join(dir, "out.dmp")
		if err := os.WriteFile(core, []byte("core"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(core, c.core); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(core)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != c.core {
			t.Skip("this file system keeps no permissions")
		}
		if c.old != 0 {
			if err := os.WriteFile(path, []byte(oldDump), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.old); err != nil {
				t.Fatal(err)
			}
		}
		in, image := sample(t)
		o, err := newOutput(path, info, replacing{})
		if err != nil {
			t.Fatal(err)
		}
		first := fs.FileMode(0o7777)
		o.create = func(path string, mode fs.FileMode) (outFile, error) {
			f, err := createFor(info)(path, mode)
			if at, err := os.Stat(path); err == nil {
				first = at.Mode().Perm()
			}
			return f, err
		}
		if err := o.write(t.Context(), image, inputs{{ReaderAt: in}}, never, progress.Sink{}); err != nil {
			t.Fatal(err)
		}
		last, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for when, mode := range map[string]fs.FileMode{"at first": first, "at last": last.Mode().Perm()} {
			if mode&^c.most != 0 || mode&0o600 != 0o600 {
				t.Errorf("core %04o, old %04o: %s %04o, at most %04o", c.core, c.old, when, mode, c.most)
			}
		}
	}
}

// What a killed run left is swept; what a living one writes, and what only looks
// like it, is not.
func TestLeftoversOfKilledRunsAreSwept(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead := put(".coredrop-0123456789abcdef.tmp", 100)
	kept := []string{
		put(".coredrop-0123456789abcdee.tmp", 0), // made a moment ago, not locked yet
		put(".coredrop-notes.tmp", 100), put("coredrop-0123456789abcdef.tmp", 100), put(".other-0123456789abcdef.tmp", 100),
	}
	living, err := createNew(filepath.Join(dir, ".coredrop-ffffffffffffffff.tmp"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer living.Close()
	if _, err := living.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	probe, err := os.OpenFile(filepath.Join(dir, "coredrop-0123456789abcdef.tmp"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !filelock.Try(probe) {
		t.Skip("there are no locks here")
	}
	probe.Close()
	in, image := sample(t)
	o, err := newOutput(filepath.Join(dir, "out.dmp"), nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.write(t.Context(), image, inputs{{ReaderAt: in}}, never, progress.Sink{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("a dead run's file is still there")
	}
	for _, path := range append(kept, filepath.Join(dir, ".coredrop-ffffffffffffffff.tmp")) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("swept: %v", err)
		}
	}
	if n := len(tempName()); n > 64 || !tempPattern.MatchString(tempName()) {
		t.Errorf("a temporary name of %d bytes", n)
	}
}

// A file that somebody put at the output's name during the work is no dump of
// ours to replace.
func TestAFileThatAppearsMeanwhileIsKept(t *testing.T) {
	in, image := sample(t)
	path := filepath.Join(t.TempDir(), "out.dmp")
	o, err := newOutput(path, nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	err = o.write(t.Context(), image, inputs{{ReaderAt: in}}, func() error { return os.WriteFile(path, []byte("a thesis"), 0o600) }, progress.Sink{})
	if !fault.Is(err, fault.OutputExists) {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "a thesis" {
		t.Errorf("%q", got)
	}
	if all := names(t, filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

// FAT32's limit is named where a file is too large, and nowhere else.
func TestATooLargeFileNamesTheLimit(t *testing.T) {
	for err, want := range map[error]bool{syscall.EFBIG: true, syscall.ENOSPC: false} {
		f := fault.As(outputFailed("out.dmp", &os.PathError{Op: "write", Path: "x", Err: err}))
		if got := strings.Contains(strings.Join(f.Remedy(fault.CLI), ""), "FAT32"); got != want || f.Code != fault.OutputFailed {
			t.Errorf("%v: %q", err, f.Remedy())
		}
	}
}

// The data is on the disk before it bears the name.
func TestTheDumpIsSyncedBeforeItIsNamed(t *testing.T) {
	in, image := sample(t)
	path := filepath.Join(t.TempDir(), "out.dmp")
	o, err := newOutput(path, nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	o.create = func(path string, mode fs.FileMode) (outFile, error) {
		f, err := createNew(path, mode)
		return &noted{f.(*os.File), &order}, err
	}
	o.rename = func(from, to string) error {
		order = append(order, "rename")
		return os.Rename(from, to)
	}
	stages := ""
	sink := progress.Sink{OnProgress: func(stage string, _, _ int64) {
		if !strings.HasSuffix(stages, stage) {
			stages += " " + stage
		}
	}}
	if err := o.write(t.Context(), image, inputs{{ReaderAt: in}}, never, sink); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "sync close rename" {
		t.Error(got)
	}
	if !strings.Contains(stages, "waiting for the disk") {
		t.Errorf("stages%s", stages)
	}
}

// noted notes in which order it was synced and closed.
type noted struct {
	*os.File
	order *[]string
}

func (n *noted) Sync() error  { *n.order = append(*n.order, "sync"); return n.File.Sync() }
func (n *noted) Close() error { *n.order = append(*n.order, "close"); return n.File.Close() }

// full fails every write.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Every command whose results do not arrive says so.
func TestResultsThatDoNotArriveAreAnError(t *testing.T) {
	core := demoCoreFile(t)
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("[    1.000000] hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"info", core}, {"info", "-json", core}, {"kcsan", log}, {"kcsan", "-json", log}, {"-version"}, {"help"}, {"info", "-h"},
		{"convert", "-symbols", "none", core, filepath.Join(t.TempDir(), "out.dmp")},
		{"convert", "-symbols", "none", core, "-"},
	} {
		var errs strings.Builder
		if code := run(t.Context(), args, nil, full{}, &errs); code != exitFailed || !strings.Contains(errs.String(), "[output-failed]") {
			t.Errorf("%v: exit %d: %s", args, code, &errs)
		}
	}
}

// A stream that breaks is an error with the reader's side named, and the image
// arrives whole otherwise.
func TestStream(t *testing.T) {
	_, image := sample(t)
	var got bytes.Buffer
	if err := stream(t.Context(), &got, image, never, progress.Sink{}); err != nil || !bytes.Equal(got.Bytes(), image.whole) {
		t.Errorf("%d of %d bytes: %v", got.Len(), len(image.whole), err)
	}
	if err := stream(t.Context(), full{}, image, never, progress.Sink{}); !fault.Is(err, fault.OutputFailed) || !strings.Contains(err.Error(), "standard output") {
		t.Error(err)
	}
	changed := fault.New(fault.FileChanged, "")
	if err := stream(t.Context(), &got, image, func() error { return changed }, progress.Sink{}); !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}

func TestHelpNamesWhatWasAskedFor(t *testing.T) {
	for _, c := range commands() {
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"help", c.name}, nil, &out, &errs); code != exitDone || !strings.Contains(out.String(), "coredrop "+c.name) {
			t.Errorf("help %s: exit %d %s", c.name, code, fmt.Sprint(&out, &errs))
		}
	}
}
