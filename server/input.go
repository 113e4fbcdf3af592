package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// input is an opened core and how it was when it was opened.
type input struct {
	file *os.File
	info fs.FileInfo
}

// openInput opens a core for reading; nothing else is ever done to it.
func openInput(path string) (*input, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, inputError(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
		if info.IsDir() {
			err = errors.New("it is a directory")
		}
	}
	if err != nil {
		f.Close()
		return nil, inputError(path, err)
	}
	return &input{f, info}, nil
}

// inputError puts the operating system's reason in words.
func inputError(path string, err error) error {
	reason := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		reason = p.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(err, fault.NoPermission, "%s cannot be read by this user: %v", path, reason)
	}
	return fault.Wrap(err, fault.InputUnreadable, "could not read %s: %v", path, reason)
}

// source is what the core reads.
func (in *input) source() source.Source {
	return source.Source{ReaderAt: in.file, Size: in.info.Size(), Name: filepath.Base(in.info.Name())}
}

// unchanged fails when the file is not what it was: a dump that is still being
// written, or replaced, gives a mixture.
func (in *input) unchanged() error {
	now, err := in.file.Stat()
	if err != nil {
		return inputError(in.info.Name(), err)
	}
	if now.Size() != in.info.Size() || !now.ModTime().Equal(in.info.ModTime()) {
		return fault.New(fault.FileChanged, "%s changed while it was being read", in.info.Name())
	}
	return nil
}

// close ends reading; the core was only read, so nothing can be lost.
func (in *input) close() { in.file.Close() }
