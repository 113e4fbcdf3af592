package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// fakeImage is an image of which all bytes are known.
type fakeImage struct {
	parts []dmp.Part
	whole []byte
}

func (f *fakeImage) Size() int64       { return int64(len(f.whole)) }
func (f *fakeImage) Parts() []dmp.Part { return f.parts }
func (f *fakeImage) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.whole).ReadAt(p, off)
}
func (f *fakeImage) Scan(ctx context.Context, off, n int64, buf []byte, visit func(p []byte) error) error {
	for end := off + n; off < end; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), end-off)]
		if n, err := f.ReadAt(p, off); n < len(p) {
			return err
		}
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}
func (f *fakeImage) add(p dmp.Part, content []byte) {
	f.parts = append(f.parts, p)
	f.whole = append(f.whole, content...)
}

// sample is an input file and an image of all kinds of parts, a copied part from
// the middle of the file.
func sample(t *testing.T) (*os.File, *fakeImage) {
	t.Helper()
	content := make([]byte, 3*bufferBytes+12345)
	for i := range content {
		content[i] = byte(i*7 + i>>8)
	}
	path := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(path, content, 0o400); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	image := &fakeImage{}
	header := bytes.Repeat([]byte("PAGE"), 2048)
	image.add(dmp.Part{Kind: dmp.Literal, Bytes: int64(len(header)), Literal: header}, header)
	image.add(dmp.Part{Kind: dmp.Copy, Off: 777, Bytes: int64(len(content)) - 1000}, content[777:len(content)-223])
	unpacked := append(bytes.Repeat([]byte{5}, 4096), make([]byte, 2*bufferBytes)...)
	image.add(dmp.Part{Kind: dmp.Computed, Bytes: int64(len(unpacked))}, unpacked)
	image.add(dmp.Part{Kind: dmp.Copy, Bytes: 4096}, content[:4096])
	image.add(dmp.Part{Kind: dmp.Zero, Bytes: 5000}, make([]byte, 5000))
	image.add(dmp.Part{Kind: dmp.Copy, Off: 100, Bytes: 4096}, content[100:][:4096])
	return in, image
}

func never() error { return nil }

// oldDump is what an output holds that may be replaced.
const oldDump = "PAGEDU64, an older dump"

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func TestOutputIsTheImage(t *testing.T) {
	in, image := sample(t)
	streamed := source.Source{ReaderAt: strings.NewReader("nothing"), Stream: func(off, n int64, buf []byte, visit func([]byte) error) error {
		return source.Source{ReaderAt: in}.Scan(off, n, buf, visit)
	}}
	for name, from := range map[string]source.Source{"file": {ReaderAt: in}, "memory": {ReaderAt: struct{ io.ReaderAt }{in}}, "stream": streamed} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.dmp")
			if err := os.WriteFile(path, []byte(oldDump), 0o640); err != nil {
				t.Fatal(err)
			}
			o, err := newOutput(path, nil, replacing{})
			if err != nil {
				t.Fatal(err)
			}
			var last, total int64
			lines := 0
			sink := progress.Sink{OnProgress: func(_ string, done, of int64) { last, total = done, of }, OnLine: func(string) { lines++ }}
			if err := o.write(t.Context(), image, inputs{from}, never, sink); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, image.whole) {
				t.Fatalf("the file differs from the image (%d and %d bytes): %v", len(got), len(image.whole), err)
			}
			if last != image.Size() || total != image.Size() || lines != len(image.parts) {
				t.Errorf("progress ended at %d of %d with %d lines", last, total, lines)
			}
			if all := names(t, filepath.Dir(path)); len(all) != 1 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
}

// faulty is a file that fails on purpose.
type faulty struct {
	*os.File
	writes   int
	failAt   int // the write that fails, from 1 on; 0: none
	err      error
	short    bool
	closing  error
	truncate error
	sync     error
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if f.writes++; f.writes == f.failAt {
		if f.short {
			return f.File.WriteAt(p[:len(p)/2], off)
		}
		return 0, f.err
	}
	return f.File.WriteAt(p, off)
}

func (f *faulty) Truncate(n int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.File.Truncate(n)
}

func (f *faulty) Sync() error { return errors.Join(f.File.Sync(), f.sync) }

func (f *faulty) Close() error { return errors.Join(f.File.Close(), f.closing) }

func TestFailingOutputLeavesTheOldOneAndNothingElse(t *testing.T) {
	changed := fault.New(fault.FileChanged, "")
	cases := map[string]struct {
		file   faulty
		still  func() error
		rename error
		create error
		code   fault.Code
		say    string
	}{
		"short write":      {file: faulty{failAt: 2, short: true}, code: fault.OutputFailed, say: "short write"},
		"no space":         {file: faulty{failAt: 3, err: &os.PathError{Op: "write", Path: ".out.tmp", Err: syscall.ENOSPC}}, code: fault.OutputFailed, say: "no space left"},
		"no space at once": {file: faulty{failAt: 1, err: syscall.ENOSPC}, code: fault.OutputFailed, say: "no space left"},
		"quota":            {file: faulty{failAt: 2, err: syscall.EDQUOT}, code: fault.OutputFailed, say: "quota"},
		"truncate":         {file: faulty{truncate: syscall.EFBIG}, code: fault.OutputFailed, say: "too large"},
		"failing close":    {file: faulty{closing: syscall.EIO}, code: fault.OutputFailed, say: "input/output error"},
		"failing sync":     {file: faulty{sync: syscall.EIO}, code: fault.OutputFailed, say: "input/output error"},
		"failing rename":   {rename: &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EACCES}, code: fault.OutputFailed, say: "permission denied"},
		"failing create":   {create: &os.PathError{Op: "open", Path: ".out.tmp", Err: syscall.EROFS}, code: fault.OutputFailed, say: "read-only"},
		"input changed":    {still: func() error { return changed }, code: fault.FileChanged, say: "changed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in, image := sample(t)
			path := filepath.Join(t.TempDir(), "out.dmp")
			if err := os.WriteFile(path, []byte(oldDump), 0o640); err != nil {
				t.Fatal(err)
			}
			o, err := newOutput(path, nil, replacing{})
			if err != nil {
				t.Fatal(err)
			}
			o.create = func(path string, _ fs.FileMode) (outFile, error) {
				if c.create != nil {
					return nil, c.create
				}
				f, err := os.Create(path)
				c.file.File = f
				return &c.file, err
			}
			if c.rename != nil {
				o.rename = func(string, string) error { return c.rename }
			}
			if c.still == nil {
				c.still = never
			}
			err = o.write(t.Context(), image, inputs{{ReaderAt: in}}, c.still, progress.Sink{})
			if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("got %v, want %s and %q", err, c.code, c.say)
			}
			if strings.Contains(err.Error(), ".tmp") {
				t.Errorf("the message names the temporary file: %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != oldDump {
				t.Errorf("the old output holds %q: %v", got, err)
			}
			if all := names(t, filepath.Dir(path)); len(all) != 1 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
}

func TestCancelledOutputLeavesNothing(t *testing.T) {
	in, image := sample(t)
	for stop := range len(image.parts) {
		ctx, cancel := context.WithCancel(t.Context())
		path := filepath.Join(t.TempDir(), "out.dmp")
		o, err := newOutput(path, nil, replacing{})
		if err != nil {
			t.Fatal(err)
		}
		part := 0
		err = o.write(ctx, image, inputs{{ReaderAt: in}}, never, progress.Sink{OnLine: func(string) {
			if part++; part > stop {
				cancel()
			}
		}})
		cancel()
		if !fault.Is(err, fault.Cancelled) {
			t.Errorf("cancelled in part %d: %v", stop, err)
		}
		if all := names(t, filepath.Dir(path)); len(all) != 0 {
			t.Errorf("left behind: %v", all)
		}
	}
}

func TestShrinkingInputIsNamed(t *testing.T) {
	in, image := sample(t)
	if err := os.Chmod(in.Name(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(in.Name(), 5000); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.dmp")
	o, err := newOutput(path, nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	// The kernel reports a range behind the end as a hole: the size is what
	// tells, and convert compares it before the dump gets its name.
	info := &input{file: in}
	if info.info, err = in.Stat(); err != nil {
		t.Fatal(err)
	}
	err = o.write(t.Context(), image, inputs{{ReaderAt: struct{ io.ReaderAt }{in}}}, never, progress.Sink{})
	if !fault.Is(err, fault.FileChanged) {
		t.Errorf("got %v, want %s", err, fault.FileChanged)
	}
	if err := info.unchanged(); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(in.Name(), 4000); err != nil {
		t.Fatal(err)
	}
	if err := info.unchanged(); !fault.Is(err, fault.FileChanged) {
		t.Errorf("got %v, want %s", err, fault.FileChanged)
	}
}

func TestOutputIsSparseWhereTheInputIs(t *testing.T) {
	const size = 64 << 20
	dir := t.TempDir()
	in, err := os.Create(filepath.Join(dir, "core"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	image := &fakeImage{whole: make([]byte, size)}
	for _, at := range []int64{0, 20 << 20, size - 4096} {
		block := bytes.Repeat([]byte{byte(at>>20) + 1}, 4096)
		if _, err := in.WriteAt(block, at); err != nil {
			t.Fatal(err)
		}
		copy(image.whole[at:], block)
	}
	image.parts = []dmp.Part{{Kind: dmp.Copy, Bytes: size}}
	if used(t, in.Name()) > size/4 {
		t.Skip("this file system keeps no holes")
	}
	path := filepath.Join(dir, "out.dmp")
	o, err := newOutput(path, nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.write(t.Context(), image, inputs{{ReaderAt: in}}, never, progress.Sink{}); err != nil {
		t.Fatal(err)
	}
	if n := used(t, path); n > 1<<20 {
		t.Errorf("the output takes %d bytes of disk", n)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image.whole) {
		t.Errorf("the sparse output differs from the image: %v", err)
	}
}

func TestOutputThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	core := filepath.Join(dir, "core")
	if err := os.WriteFile(core, []byte("core"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(core)
	if err != nil {
		t.Fatal(err)
	}
	link, hard := filepath.Join(dir, "link"), filepath.Join(dir, "hard")
	if err := os.Symlink(core, link); err != nil {
		t.Skip("no symbolic links here")
	}
	if err := os.Link(core, hard); err != nil {
		t.Skip("no hard links here")
	}
	for path, say := range map[string]string{
		core:                                "is the core itself",
		link:                                "is the core itself",
		hard:                                "is the core itself",
		dir:                                 "not a regular file",
		filepath.Join(dir, "no", "out.dmp"): "no directory",
	} {
		_, err := newOutput(path, info, replacing{})
		if !fault.Is(err, fault.OutputFailed) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Windows calls a file that is open elsewhere a denied access: there is more to say
// than that.
func TestNotReplacedOnWindows(t *testing.T) {
	denied := &os.LinkError{Op: "rename", Old: "a", New: "b", Err: fs.ErrPermission}
	for system, want := range map[string]bool{"windows": true, "linux": false} {
		err := notReplaced("vm.dmp", denied, system)
		said := false
		for _, line := range fault.Lines(fault.As(err).Steps("vm.dmp"), fault.CLI) {
			said = said || strings.Contains(line, "has it open")
		}
		if said != want || !fault.Is(err, fault.OutputFailed) {
			t.Errorf("%s: %v, %v", system, err, said)
		}
	}
}
