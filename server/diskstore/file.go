package diskstore

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// File is an open regular file. The *os.File itself can be given to what copies
// inside the kernel.
type File struct {
	*os.File
	info fs.FileInfo
}

// openFlags do not wait: a named pipe in a store's place would hold a request
// until somebody writes into it.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// Open opens a file by whatever open reaches it, such as os.OpenFile or a root's
// OpenFile. What is no regular file is not there: fs.ErrNotExist.
func Open(name string, open func(name string, flag int, mode fs.FileMode) (*os.File, error)) (*File, error) {
	f, err := open(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	file, err := Regular(f)
	if err != nil {
		f.Close() // nothing was written
	}
	return file, err
}

// Regular takes an open file if it is a regular one, else fs.ErrNotExist.
func Regular(f *os.File) (*File, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fs.ErrNotExist
	}
	return &File{f, info}, nil
}

// Size gives the length in bytes when the file was opened.
func (f *File) Size() int64 { return f.info.Size() }

// ModTime gives the time of its last change when it was opened.
func (f *File) ModTime() time.Time { return f.info.ModTime() }

// OS gives the file of the operating system.
func (f *File) OS() *os.File { return f.File }

// Stamp is what changes when a file is replaced or written to. Times are in
// nanoseconds.
type Stamp struct {
	Device, Inode uint64
	Size, Changed int64
}

// Stamp gives the file's stamp; false where the system has no inodes.
func (f *File) Stamp() (Stamp, bool) {
	device, inode, ok := identity(f.info)
	return Stamp{device, inode, f.info.Size(), f.info.ModTime().UnixNano()}, ok
}
