package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
)

// Between two looks at the context and two reports of progress: small enough
// that Ctrl-C answers at once on a slow disk, large enough that the calls do not
// show on a fast one.
const chunkBytes = 16 << 20

// How much is read at a time where the kernel does not copy for us.
const bufferBytes = 256 << 10

// imageWriter writes the parts of an image, one after the other, at their place
// in a file that is as long as the image from the start: what is not written is
// a hole, which reads as zeros.
type imageWriter struct {
	ctx   context.Context
	out   outFile
	in    io.ReaderAt // an *os.File: holes are kept and the kernel copies
	path  string      // of the output, for messages
	image described
	sink  progress.Sink

	at     int64 // how much of the image is behind us
	buffer []byte
}

func (w *imageWriter) all() error {
	if err := w.out.Truncate(w.image.Size()); err != nil {
		return outputFailed(w.path, err)
	}
	for _, p := range w.image.Parts() {
		if err := w.ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		if err := w.part(p); err != nil {
			return err
		}
	}
	if w.at != w.image.Size() {
		return fault.New(fault.Internal, "the parts of the dump have %d bytes, the dump %d", w.at, w.image.Size())
	}
	return nil
}

// part writes one part and moves on behind it.
func (w *imageWriter) part(p dmp.Part) error {
	switch {
	case len(p.Literal) > 0:
		w.sink.Logf("write %#x: %d bytes made here", w.at, len(p.Literal))
		if err := w.put(p.Literal, w.at); err != nil {
			return err
		}
		return w.advance(int64(len(p.Literal)))
	case p.Source.Bytes > 0:
		w.sink.Logf("write %#x: %d bytes of the core from %#x", w.at, p.Source.Bytes, p.Source.Off)
		return w.source(p.Source.Off, p.Source.Bytes)
	case p.Memory.Bytes > 0:
		w.sink.Logf("write %#x: %d bytes of memory from %#x", w.at, p.Memory.Bytes, p.Memory.Off)
		return w.memory(p.Memory.Bytes)
	}
	return fault.New(fault.Internal, "a part of the dump is empty")
}

// advance counts n bytes as written.
func (w *imageWriter) advance(n int64) error {
	w.at += n
	w.sink.Report("writing", w.at, w.image.Size())
	if err := w.ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return nil
}

// put writes p; a writer that takes less without saying why has failed.
func (w *imageWriter) put(p []byte, off int64) error {
	n, err := w.out.WriteAt(p, off)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return outputFailed(w.path, err)
	}
	return nil
}

// source copies a range of the input file, but not its holes.
func (w *imageWriter) source(off, bytes int64) error {
	end := off + bytes
	for off < end {
		data, hole := off, end
		if f, ok := w.in.(*os.File); ok {
			data, hole = dataRange(f, off, end)
		}
		if data > off {
			if err := w.advance(data - off); err != nil {
				return err
			}
		}
		for off = data; off < hole; {
			n := min(chunkBytes, hole-off)
			if err := w.copyRange(off, n); err != nil {
				return err
			}
			if err := w.advance(n); err != nil {
				return err
			}
			off += n
		}
	}
	return nil
}

// copyRange copies n bytes of the input at off to where the image is.
func (w *imageWriter) copyRange(off, n int64) error {
	in, fromFile := w.in.(*os.File)
	if out, ok := w.out.(*os.File); ok && fromFile {
		done, err := kernelCopy(out, w.at, in, off, n)
		if err == nil {
			return nil
		}
		var failed *writeError
		if errors.As(err, &failed) {
			return outputFailed(w.path, failed.err)
		}
		// The kernel could not (another file system, an old kernel): the rest
		// is copied here, and gives the error if there is one.
		off, n = off+done, n-done
		return w.plainCopy(off, w.at+done, n)
	}
	return w.plainCopy(off, w.at, n)
}

// plainCopy copies through a buffer.
func (w *imageWriter) plainCopy(from, to, n int64) error {
	for n > 0 {
		block := w.block(n)
		if err := readFull(w.in, block, from); err != nil {
			return err
		}
		if err := w.put(block, to); err != nil {
			return err
		}
		from, to, n = from+int64(len(block)), to+int64(len(block)), n-int64(len(block))
	}
	return nil
}

// memory writes bytes that exist only through the image (a compressed core);
// blocks of zeros stay holes.
func (w *imageWriter) memory(n int64) error {
	for n > 0 {
		block := w.block(n)
		if got, err := w.image.ReadAt(block, w.at); got < len(block) {
			var f *fault.Error
			if errors.As(err, &f) {
				return err
			}
			return fault.Wrap(err, fault.InputUnreadable, "could not read the core's memory: %v", err)
		}
		if !allZero(block) {
			if err := w.put(block, w.at); err != nil {
				return err
			}
		}
		if err := w.advance(int64(len(block))); err != nil {
			return err
		}
		n -= int64(len(block))
	}
	return nil
}

// block gives the buffer, no longer than n.
func (w *imageWriter) block(n int64) []byte {
	if w.buffer == nil {
		w.buffer = make([]byte, bufferBytes)
	}
	return w.buffer[:min(n, bufferBytes)]
}

// readFull fills p from the core, or says why it could not.
func readFull(in io.ReaderAt, p []byte, off int64) error {
	n, err := in.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		// It was this long when it was opened.
		return fault.Wrap(err, fault.FileChanged, "the core became shorter while it was being read")
	}
	return fault.Wrap(err, fault.InputUnreadable, "could not read the core at %#x: %v", off, err)
}

func allZero(p []byte) bool {
	return len(bytes.TrimLeft(p, "\x00")) == 0
}

// writeError marks an error of kernelCopy that is the output's.
type writeError struct{ err error }

func (e *writeError) Error() string { return fmt.Sprintf("writing: %v", e.err) }
func (e *writeError) Unwrap() error { return e.err }
