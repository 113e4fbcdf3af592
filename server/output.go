package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// described is an image that says what it is made of: *dmp.Image.
type described interface {
	io.ReaderAt
	Size() int64
	Parts() []dmp.Part
	Scan(ctx context.Context, off, n int64, buf []byte, visit func(p []byte) error) error
}

// made is a dump that was written.
type made struct {
	at       string // where; "": through the pipe
	bytes    int64
	checksum string // as the object store states it; else ""
	warnings []fault.Warning
}

// writing writes an image, whose copied parts lie in in: to a file, a pipe, a bucket.
// still is asked when all is written, or read: an error of it (the input changed)
// means that what was written is not to be trusted.
type writing func(ctx context.Context, image described, in inputs, still func() error, sink progress.Sink) (made, error)

// inputs are what an image's copied parts lie in, by their number.
type inputs []source.Source

// outFile is what the output needs of a file; tests put one in its place that
// writes short, runs out of space or fails to close.
type outFile interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// output is where an image goes: first to a temporary name in the directory of
// the final one, so that the rename is atomic and a half-written dump never
// bears the name. The data is synced before it gets its name: after a power
// failure the name has the old file or the whole new one.
type output struct {
	path   string
	mode   fs.FileMode
	may    func() error // asked before the work and again before the rename
	create func(path string, mode fs.FileMode) (outFile, error)
	rename func(from, to string) error
	remove func(path string) error
}

// The permissions of a file that nothing restricts, before the umask; what the
// owner always has.
const (
	openMode  fs.FileMode = 0o666
	ownerMode fs.FileMode = 0o600
)

// newOutput checks that path may be replaced. in is the input, nil where there
// is none (the demo core): the output is never more readable than that, nor than
// what it replaces.
func newOutput(path string, in fs.FileInfo, rule replacing) (*output, error) {
	path, err := target(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "windows" && !filepath.IsLocal(filepath.Base(path)) {
		return nil, fault.New(fault.OutputFailed, "could not write %s: Windows keeps that name for a device", path).Hint("give the dump another name")
	}
	o := &output{path: path, mode: openMode, create: createFor(in), rename: os.Rename, remove: os.Remove}
	o.may = func() error {
		old, err := rule.check(path, in)
		if old != nil {
			o.mode &= old.Mode().Perm() | ownerMode
		}
		return err
	}
	if in != nil {
		o.mode &= in.Mode().Perm() | ownerMode
	}
	if err := o.may(); err != nil {
		return nil, err
	}
	return o, nil
}

// maxLinks is how many links a path may lead through, as in Linux.
const maxLinks = 40

// target gives what a path that is a link points to, whether that is there or
// not: the link stays, what it points to is made.
func target(path string) (string, error) {
	at := path
	for range maxLinks {
		info, err := os.Lstat(at)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return at, nil // what is wrong with it, the check says
		}
		to, err := os.Readlink(at)
		if err != nil {
			return "", outputFailed(path, err)
		}
		if !filepath.IsAbs(to) {
			// Not cleaned: ".." behind a linked directory is that one's parent.
			to = filepath.Dir(at) + string(filepath.Separator) + to
		}
		at = to
	}
	return "", fault.New(fault.OutputFailed, "could not write %s: it leads through too many links", path)
}

// outputFailed puts an error of the operating system in words, without the
// temporary file's name, which nobody asked for.
func outputFailed(path string, err error) error {
	f := fault.Wrap(err, fault.OutputFailed, "could not write %s: %s", path, reasonOf(err))
	if errors.Is(err, syscall.EFBIG) {
		f.Hint("the file system allows no file of this size: FAT32, as on memory sticks, ends at 4 GB (exFAT, NTFS and ext4 do not), and ulimit -f may set a limit")
	}
	return f
}

// notReplaced is the refusal of the last step. Windows replaces no file that a
// program has open, and calls that a denied access.
func notReplaced(path string, err error, system string) error {
	failed := outputFailed(path, err)
	if system == "windows" && errors.Is(err, fs.ErrPermission) {
		fault.As(failed).Hint("close what has it open, a debugger perhaps, or give the dump another name")
	}
	return failed
}

// write writes the image, whose copied parts lie in in, and gives it its name.
// still is asked when all is written: an error of it (the input changed) means
// that what was written is not to be trusted. When write fails the temporary
// file is gone and what bore the name before is untouched.
func (o *output) write(ctx context.Context, image described, in inputs, still func() error, sink progress.Sink) (err error) {
	dir := filepath.Dir(o.path)
	sweep(dir)
	temp := filepath.Join(dir, tempName())
	f, err := o.create(temp, o.mode)
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
	sink.Report("waiting for the disk", image.Size(), image.Size())
	if _, err = await(ctx, func() (struct{}, error) { return struct{}{}, f.Sync() }); err != nil {
		if ctx.Err() != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		return outputFailed(o.path, err)
	}
	if err = still(); err != nil {
		return err
	}
	if err = o.may(); err != nil { // somebody else may have put a file there
		return err
	}
	open = false
	if err = f.Close(); err != nil {
		return outputFailed(o.path, err)
	}
	if err = o.rename(temp, o.path); err != nil {
		return notReplaced(o.path, err, runtime.GOOS)
	}
	syncDirectory(dir)
	return nil
}
