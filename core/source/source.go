// Package source is the input file as every other package reads it: random
// access, a size, a name, and what else the place it lies in can do. What a
// source can do is a field that may be nil, never a method to be asked for by a
// type assertion: a wrapper copies the struct, and so cannot lose one.
package source

import (
	"errors"
	"io"

	"coredrop/core/fault"
)

// DefaultBlock is the best size of one read in bytes where Source.Block says
// nothing: in a browser the call costs, not the bytes.
const DefaultBlock = 64 << 10

// DefaultAhead is how many blocks are prefetched at a time where Source.Ahead says
// nothing.
const DefaultAhead = 16

// Range is a stretch of a file: Off and Bytes in bytes.
type Range struct{ Off, Bytes int64 }

// End is the first offset behind the range.
func (r Range) End() int64 { return r.Off + r.Bytes }

// Source is an input file. The zero value of every field but the reader is
// usable.
type Source struct {
	io.ReaderAt
	Size int64  // in bytes
	Name string // for messages; no path

	// Stream reads n bytes from off on in order, faster than ReadAt would, as a
	// browser does by a stream. It fills buf again and again, the last time as
	// far as the range goes, and hands it over each time; an error of visit ends
	// it and is returned. nil: ReadAt is as good.
	Stream func(off, n int64, buf []byte, visit func(p []byte) error) error

	// Prefetch names ranges that will be read soon, for a place where a read
	// costs a journey: they come together, at the cost of one. It may return
	// before they are there. Such a source keeps what it has read, in blocks. nil:
	// nothing would be gained.
	Prefetch func([]Range)

	// Ahead is how many blocks one call of Prefetch may bring, so that none of them
	// is dropped before it is read; 0: DefaultAhead.
	Ahead int

	// Block is the best size of one read in bytes; 0: DefaultBlock.
	Block int

	// Beside opens the file of the same name with another extension (".vmem"
	// beside ".vmss"). nil: there is no way to another file.
	Beside func(ext string) (Source, error)
}

// Full fills p from off on. It is the one place where a short read becomes an
// error: a *fault.Error, file-changed where the file ended early, else
// input-unreadable.
func (s Source) Full(p []byte, off int64) error {
	if s.ReaderAt == nil {
		return fault.New(fault.InputUnreadable, "there is no input")
	}
	n, err := s.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return s.failed(err, off+int64(n))
}

// Scan hands over n bytes from off on in order, in parts of at most len(buf)
// bytes, by Stream where there is one. A stream that ends early or gives more
// than was asked for is an error like a short read.
func (s Source) Scan(off, n int64, buf []byte, visit func(p []byte) error) error {
	if s.Stream == nil {
		for n > 0 {
			p := buf[:min(int64(len(buf)), n)]
			if err := s.Full(p, off); err != nil {
				return err
			}
			if err := visit(p); err != nil {
				return err
			}
			off, n = off+int64(len(p)), n-int64(len(p))
		}
		return nil
	}
	var stop error // of visit, or of a stream that does not keep to the range
	err := s.Stream(off, n, buf, func(p []byte) error {
		if stop != nil {
			return stop
		}
		// Whole buffers but for the last: a pass over page frames relies on it.
		switch want := int(min(int64(len(buf)), n)); {
		case len(p) > want:
			stop = fault.New(fault.InputUnreadable, "reading %s in order gave more bytes than were asked for, at %#x", s.Name, off)
			return stop
		case len(p) < want:
			stop = s.failed(nil, off+int64(len(p)))
			return stop
		}
		off, n = off+int64(len(p)), n-int64(len(p))
		stop = visit(p)
		return stop
	})
	switch {
	case stop != nil:
		return stop
	case err != nil || n > 0:
		return s.failed(err, off)
	}
	return nil
}

// failed words a read that ended at off; an error that has a code keeps it.
func (s Source) failed(err error, off int64) error {
	switch known := (*fault.Error)(nil); {
	case errors.As(err, &known):
		return err
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(io.ErrUnexpectedEOF, fault.FileChanged, "%s became shorter while it was being read: nothing at %#x", s.Name, off)
	}
	return fault.Wrap(err, fault.InputUnreadable, "could not read %s at %#x: %v", s.Name, off, err)
}
