package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
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
	in    inputs // of a file holes are kept, and the kernel copies
	path  string // of the output, for messages
	image described
	sink  progress.Sink

	at     int64 // how much of the image is behind us
	buffer []byte
	direct *direct // past the page cache; nil: not tried, or it failed
}

// From this size on an image is written past the page cache, where that can be;
// and only ranges of which so much is whole blocks. A smaller one is best left in
// the cache for who opens it next.
const (
	directImage = 256 << 20
	directRange = 1 << 20
	directBlock = 4096 // what places and lengths must be multiples of there
)

func (w *imageWriter) all() error {
	if err := w.out.Truncate(w.image.Size()); err != nil {
		return outputFailed(w.path, err)
	}
	if w.image.Size() >= directImage {
		w.direct = openDirect(w.out)
	}
	defer w.buffered()
	parts := w.image.Parts()
	announced := 0
	for i, p := range parts {
		if err := w.ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		if i >= announced {
			announced = i + max(1, w.announce(parts[i:]))
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

// How many blocks are announced at once: a place that reads them takes so many at
// least.
const announcedBlocks = 8

// announce names what lies ahead to an input where a read costs a journey, as far as
// it is in small pieces: those of a dump without the memory of user programs are many
// thousands. It gives how many parts it looked at.
func (w *imageWriter) announce(parts []dmp.Part) (n int) {
	var list []source.Range
	file, room, last := 0, int64(announcedBlocks), int64(-1)
	for _, p := range parts {
		if p.Kind == dmp.Copy {
			if len(list) == 0 {
				file = p.File
			}
			if p.File != file || file >= len(w.in) || w.in[file].Prefetch == nil {
				break
			}
			block := int64(max(w.in[file].Block, 1))
			first := p.Off / block
			if first == last {
				first++ // that one was counted
			}
			last = (p.Off + p.Bytes - 1) / block
			if room -= last - first + 1; room < 0 {
				break
			}
			list = append(list, source.Range{Off: p.Off, Bytes: p.Bytes})
		}
		n++
	}
	if len(list) > 1 {
		w.in[file].Prefetch(list)
	}
	return n
}

// part writes one part and moves on behind it.
func (w *imageWriter) part(p dmp.Part) error {
	switch p.Kind {
	case dmp.Literal:
		w.sink.Logf("write %#x: %d bytes made here", w.at, p.Bytes)
		if err := w.put(p.Literal, w.at); err != nil {
			return err
		}
		return w.advance(p.Bytes)
	case dmp.Zero:
		w.sink.Logf("write %#x: %d bytes of zeros", w.at, p.Bytes)
		return w.advance(p.Bytes)
	case dmp.Computed:
		w.sink.Logf("write %#x: %d bytes unpacked", w.at, p.Bytes)
		return w.computed(p.Bytes)
	}
	if p.File >= len(w.in) {
		return fault.New(fault.Internal, "a part of the dump is of file %d of %d", p.File, len(w.in))
	}
	w.sink.Logf("write %#x: %d bytes of the core from %#x", w.at, p.Bytes, p.Off)
	return w.copied(w.in[p.File], p.Off, p.Bytes)
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

// copied copies a range of an input, but not the holes of a file.
func (w *imageWriter) copied(in source.Source, off, bytes int64) error {
	if in.Stream != nil {
		return w.sparse(func(buf []byte, visit func(p []byte) error) error { return in.Scan(off, bytes, buf, visit) })
	}
	from, end := in.ReaderAt, off+bytes
	for off < end {
		data, hole := off, end
		if f, ok := from.(*os.File); ok {
			data, hole = dataRange(f, off, end)
		}
		if data > off {
			if err := w.advance(data - off); err != nil {
				return err
			}
		}
		for off = data; off < hole; {
			n := min(chunkBytes, hole-off)
			if err := w.copyRange(from, off, w.at, n); err != nil {
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

// copyRange copies n bytes of the input to a place in the output: whole blocks past
// the page cache, if there are enough of them.
func (w *imageWriter) copyRange(from io.ReaderAt, off, to, n int64) error {
	head := -to & (directBlock - 1)
	body := (n - head) &^ (directBlock - 1)
	if w.direct == nil || body < directRange {
		return w.copyCached(from, off, to, n)
	}
	var failed *writeError
	var known *fault.Error
	switch err := w.direct.copy(from, off+head, to+head, body); {
	case errors.As(err, &failed):
		return outputFailed(w.path, failed.err)
	case errors.As(err, &known):
		return known
	case err != nil:
		w.sink.Logf("writing past the page cache: %v; the rest goes through it", err)
		w.buffered()
		return w.copyCached(from, off, to, n)
	}
	if err := w.copyCached(from, off, to, head); err != nil {
		return err
	}
	return w.copyCached(from, off+head+body, to+head+body, n-head-body)
}

// buffered ends the writing past the page cache.
func (w *imageWriter) buffered() {
	if w.direct != nil {
		w.direct.close()
		w.direct = nil
	}
}

// copyCached copies n bytes of the input through the page cache.
func (w *imageWriter) copyCached(from io.ReaderAt, off, to, n int64) error {
	if n == 0 {
		return nil
	}
	in, fromFile := from.(*os.File)
	if out, ok := w.out.(*os.File); ok && fromFile {
		done, err := kernelCopy(out, to, in, off, n)
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
		return w.plainCopy(from, off, to+done, n)
	}
	return w.plainCopy(from, off, to, n)
}

// plainCopy copies through a buffer.
func (w *imageWriter) plainCopy(in io.ReaderAt, from, to, n int64) error {
	for n > 0 {
		block := w.block(n)
		if err := readFull(in, block, from); err != nil {
			return err
		}
		if err := w.put(block, to); err != nil {
			return err
		}
		from, to, n = from+int64(len(block)), to+int64(len(block)), n-int64(len(block))
	}
	return nil
}

// computed writes bytes that exist only through the image (a packed core).
func (w *imageWriter) computed(n int64) error {
	return w.sparse(func(buf []byte, visit func(p []byte) error) error { return w.image.Scan(w.ctx, w.at, n, buf, visit) })
}

// sparse writes what comes in order; blocks of zeros stay holes.
func (w *imageWriter) sparse(scan func(buf []byte, visit func(p []byte) error) error) error {
	err := scan(w.block(bufferBytes), func(p []byte) error {
		for len(p) > 0 {
			n, hole := stretch(p)
			if !hole {
				if err := w.put(p[:n], w.at); err != nil {
					return err
				}
			}
			if err := w.advance(int64(n)); err != nil {
				return err
			}
			p = p[n:]
		}
		return nil
	})
	return unread(w.ctx, err)
}

// unread words an error of scanning the image; one that has a code keeps it.
func unread(ctx context.Context, err error) error {
	var f *fault.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return fault.Wrap(err, fault.InputUnreadable, "could not read the core's memory: %v", err)
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

// writeError marks an error of kernelCopy that is the output's.
type writeError struct{ err error }

func (e *writeError) Error() string { return fmt.Sprintf("writing: %v", e.err) }
func (e *writeError) Unwrap() error { return e.err }
