package symstore

import (
	"context"
	"io"

	"coredrop/core/fault"
)

// File is an open symbol file. ReadAt may be called from several goroutines.
type File interface {
	io.ReaderAt
	io.Closer
	// Size gives the length in bytes.
	Size() int64
}

// Store keeps symbol files by key. Its methods may be called from several
// goroutines.
type Store interface {
	// Get opens a file. When the store does not have it errors.Is(err,
	// fs.ErrNotExist); when it has it only compressed, the code is
	// symbols-compressed; when it cannot be read, symbols-unreadable. What is in
	// the file is not looked at: that is Verify's.
	Get(ctx context.Context, k Key) (File, error)
	// Put stores what r gives, in place of what was there. Nobody sees the file
	// before it is complete, and a failure leaves what was there. What the file
	// holds is the caller's responsibility: Verify it before. An error of r is
	// returned as it is.
	Put(ctx context.Context, k Key, r io.Reader) error
}

// Stager is a Store that can take a file in and show it before it is published,
// so that a download need not be held in memory to be verified.
type Stager interface {
	Store
	// Stage takes in what r gives without publishing it.
	Stage(ctx context.Context, k Key, r io.Reader) (Staged, error)
}

// Staged is a file that is in a store but not published. Close throws it away
// unless it was published.
type Staged interface {
	File
	// Publish makes the file the one that Get opens. Close must follow; the file
	// must not be read in between.
	Publish() error
}

// cancelled gives the error of a context that has ended, or nil.
func cancelled(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return nil
}

// contextReader reads from r until the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := cancelled(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
