package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
)

// described is an image that says what it is made of: *dmp.Image.
type described interface {
	io.ReaderAt
	Size() int64
	Parts() []dmp.Part
}

// outFile is what the output needs of a file; tests put one in its place that
// writes short, runs out of space or fails to close.
type outFile interface {
	io.WriterAt
	Truncate(size int64) error
	Close() error
}

// output is where an image goes: first to a temporary name in the directory of
// the final one, so that the rename is atomic and a half-written dump never
// bears the name. The data is not synced: it doubles the time, what it protects
// from is a power failure, and the core is still there.
type output struct {
	path   string
	create func(path string) (outFile, error)
	rename func(from, to string) error
	remove func(path string) error
}

// newOutput checks that path may be replaced: it must be absent or a regular
// file, and not the input itself (in is nil where there is none).
func newOutput(path string, in fs.FileInfo) (*output, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // replace what a link points to, not the link
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if d, err := os.Stat(dir); err != nil || !d.IsDir() {
			return nil, fault.Wrap(err, fault.OutputFailed, "could not write %s: there is no directory %s", path, dir)
		}
	case err != nil:
		return nil, outputFailed(path, err)
	case in != nil && os.SameFile(info, in):
		return nil, fault.New(fault.OutputFailed, "%s is the core itself", path).Hint("give the dump another name; a core is never changed")
	case !info.Mode().IsRegular():
		return nil, fault.New(fault.OutputFailed, "could not write %s: it is not a regular file", path)
	}
	return &output{path: path, create: createNew, rename: os.Rename, remove: os.Remove}, nil
}

// createNew makes a file that must not exist yet, with the permissions that the
// umask leaves.
func createNew(path string) (outFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// outputFailed puts an error of the operating system in words, without the
// temporary file's name, which nobody asked for.
func outputFailed(path string, err error) error {
	reason := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		reason = p.Err
	}
	if l := (*os.LinkError)(nil); errors.As(err, &l) {
		reason = l.Err
	}
	return fault.Wrap(err, fault.OutputFailed, "could not write %s: %v", path, reason)
}

// write writes the image, whose source ranges lie in in, and gives it its name.
// still is asked when all is written: an error of it (the input changed) means
// that what was written is not to be trusted. When write fails the temporary
// file is gone and what bore the name before is untouched.
func (o *output) write(ctx context.Context, image described, in io.ReaderAt, still func() error, sink progress.Sink) (err error) {
	temp := filepath.Join(filepath.Dir(o.path), fmt.Sprintf(".%s.tmp-%08x", filepath.Base(o.path), rand.Uint32()))
	f, err := o.create(temp)
	if err != nil {
		return outputFailed(o.path, err)
	}
	open := true
	defer func() {
		if err == nil {
			return
		}
		if open {
			f.Close() // the first error says more
		}
		o.remove(temp)
	}()
	w := &imageWriter{ctx: ctx, out: f, in: in, path: o.path, image: image, sink: sink}
	if err = w.all(); err != nil {
		return err
	}
	if err = still(); err != nil {
		return err
	}
	open = false
	if err = f.Close(); err != nil {
		return outputFailed(o.path, err)
	}
	if err = o.rename(temp, o.path); err != nil {
		return outputFailed(o.path, err)
	}
	return nil
}
