package main

import (
	"context"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/term"

	"coredrop/core/fault"
	"coredrop/core/progress"
)

// standard is the name of the standard input or output among a command's files.
const standard = "-"

// isTerminal reports whether a writer leads to a terminal.
func isTerminal(w io.Writer) bool {
	if s, ok := w.(*sticky); ok {
		w = s.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stream writes an image to a pipe from its beginning to its end. What was
// written before an error cannot be taken back: the reader learns of it by the
// exit code.
func stream(ctx context.Context, w io.Writer, image described, still func() error, sink progress.Sink) error {
	var at int64
	err := image.Scan(ctx, 0, image.Size(), make([]byte, 1<<20), func(p []byte) error {
		if _, err := await(ctx, func() (int, error) { return w.Write(p) }); err != nil {
			if ctx.Err() != nil {
				return fault.Wrap(err, fault.Cancelled, "")
			}
			return outputFailed("the standard output", err)
		}
		at += int64(len(p))
		sink.Report("writing", at, image.Size())
		return nil
	})
	if err != nil {
		return unread(ctx, err)
	}
	return still()
}

// sticky remembers the first error of writing, so that a command whose results
// did not arrive does not end as if they had.
type sticky struct {
	w      io.Writer
	failed atomic.Pointer[error]
}

func (s *sticky) Write(p []byte) (int, error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// err is the first error; nil: all was written.
func (s *sticky) err() error {
	if e := s.failed.Load(); e != nil {
		return *e
	}
	return nil
}
