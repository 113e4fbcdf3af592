package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/server/bucket"
)

// input is an opened core.
type input struct {
	from    source.Source  // as it lies where it is
	file    *os.File       // nil: it lies elsewhere
	object  *bucket.Object // nil: it is in no bucket
	info    fs.FileInfo    // of file, when it was opened
	end     func()         // ends reading
	spooled *spooled       // what came out of it, where it was packed; nil: it is read itself
}

// openInput opens a core for reading; nothing else is ever done to it. A core is
// read here and there: "-" is taken where the standard input is a file itself,
// a pipe is refused, and never opened, since that waits for a writer.
func openInput(ctx context.Context, path string, stdin io.Reader) (*input, error) {
	if path == standard {
		f, ok := stdin.(*os.File)
		if !ok {
			return nil, fault.New(fault.InputStream, "")
		}
		return opened(f, "the standard input")
	}
	info, err := await(ctx, func() (fs.FileInfo, error) { return os.Stat(path) })
	if err == nil && !info.Mode().IsRegular() {
		return nil, notAFile(path, info)
	}
	if err != nil {
		return nil, inputError(path, err)
	}
	f, err := await(ctx, func() (*os.File, error) { return os.Open(path) })
	if err != nil {
		return nil, inputError(path, err)
	}
	return opened(f, path)
}

// opened takes a file that is open.
func opened(f *os.File, path string) (*input, error) {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		from := source.Source{ReaderAt: f, Size: info.Size(), Name: filepath.Base(info.Name())}
		return &input{from: from, file: f, info: info, end: func() { f.Close() }}, nil // it was only read
	}
	if f != os.Stdin {
		f.Close()
	}
	if err != nil {
		return nil, inputError(path, err)
	}
	return nil, notAFile(path, info)
}

// notAFile refuses what cannot be read at random by what it is.
func notAFile(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return inputError(path, errors.New("it is a directory"))
	case mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0:
		return fault.New(fault.InputStream, "%s is no file: a core is read here and there, not from its beginning to its end, so it cannot come from a pipe", path)
	}
	return inputError(path, errors.New("it is not a regular file"))
}

// inputError puts the operating system's reason in words.
func inputError(path string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.Cancelled, "")
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(err, fault.NoPermission, "%s cannot be read by this user: %s", path, reasonOf(err))
	}
	return fault.Wrap(err, fault.InputUnreadable, "could not read %s: %s", path, reasonOf(err))
}

// source is what the core reads.
func (in *input) source() source.Source {
	if s := in.spooled; s != nil {
		return source.Source{ReaderAt: s.file, Size: s.size, Name: s.name}
	}
	return in.from
}

// unchanged fails when the file is not what it was: a dump that is still being
// written, or replaced, gives a mixture. What lies elsewhere gives none: each read
// asks for the version that was opened.
func (in *input) unchanged() error {
	if in.file == nil {
		return nil
	}
	now, err := in.file.Stat()
	if err != nil {
		return inputError(in.name(), err)
	}
	if now.Size() != in.info.Size() || !now.ModTime().Equal(in.info.ModTime()) {
		return fault.New(fault.FileChanged, "%s changed while it was being read", in.name())
	}
	return nil
}

// name is what the core is called where it lies.
func (in *input) name() string { return in.from.Name }

// close ends reading.
func (in *input) close() {
	if in.spooled != nil {
		in.spooled.close()
	}
	in.end()
}
