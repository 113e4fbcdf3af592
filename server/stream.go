package main

import (
	"context"
	"errors"
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
	buf := make([]byte, 1<<20)
	for at := int64(0); at < image.Size(); {
		if ctx.Err() != nil {
			return fault.Wrap(ctx.Err(), fault.Cancelled, "")
		}
		block := buf[:min(int64(len(buf)), image.Size()-at)]
		if n, err := image.ReadAt(block, at); n < len(block) {
			var f *fault.Error
			if errors.As(err, &f) {
				return err
			}
			return fault.Wrap(err, fault.InputUnreadable, "could not read the core's memory: %v", err)
		}
		if _, err := await(ctx, func() (int, error) { return w.Write(block) }); err != nil {
			if ctx.Err() != nil {
				return fault.Wrap(err, fault.Cancelled, "")
			}
			return outputFailed("the standard output", err)
		}
		at += int64(len(block))
		sink.Report("writing", at, image.Size())
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
