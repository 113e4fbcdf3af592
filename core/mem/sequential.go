package mem

import (
	"context"
	"errors"
	"io"
)

// ScanChunk is how much of the memory a sequential pass hands over at a time:
// large enough for the call not to cost, small enough for a browser's pooled
// buffer.
const ScanChunk = 1 << 20

// Streamer is a source that reads a range in order faster than by ReadAt, as a
// browser does by a stream. It fills the whole buffer again and again, the last
// time as far as the range goes, and hands it over each time; an error of visit
// ends it and is returned.
type Streamer interface {
	Stream(off, bytes int64, buffer []byte, visit func(p []byte) error) error
}

// Scanner is Physical that can be read in order past its page cache.
type Scanner interface {
	// Scan hands over the memory of e, which lies inside one extent, in parts of
	// at most len(buffer) bytes.
	Scan(e Extent, buffer []byte, visit func(p []byte) error) error
}

// Scan reads the file in order, by the source's stream where it has one.
func (f *File) Scan(e Extent, buffer []byte, visit func(p []byte) error) error {
	i, ok := Find(f.extents, e.Start)
	if !ok || e.Bytes > uint64(f.extents[i].End()-e.Start) {
		return &HoleError{e.Start}
	}
	off := f.extents[i].Offset + int64(e.Start-f.extents[i].Start)
	if s, ok := f.source.(Streamer); ok {
		return s.Stream(off, int64(e.Bytes), buffer, visit)
	}
	for left := int64(e.Bytes); left > 0; {
		p := buffer[:min(int64(len(buffer)), left)]
		if n, err := f.source.ReadAt(p, off); n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := visit(p); err != nil {
			return err
		}
		off, left = off+int64(len(p)), left-int64(len(p))
	}
	return nil
}

// ScanPages reads all whole page frames of a memory in ascending order and hands
// them over in parts of whole pages, at most ScanChunk bytes each; a part is
// valid only during the call. done and total count bytes. Frames that are there
// only in part are left out. An error of visit, or of the context, ends the pass
// and is returned.
func ScanPages(ctx context.Context, m Physical, visit func(pa PA, p []byte, done, total int64) error) error {
	var total, done int64
	extents := m.Extents()
	whole := func(e Extent) (Extent, bool) {
		start, end := e.Start+PageSize-1, e.End().Page()
		if start < e.Start {
			return e, false
		}
		if start = start.Page(); start >= end {
			return e, false
		}
		return Extent{Start: start, Bytes: uint64(end - start)}, true
	}
	for _, e := range extents {
		if w, ok := whole(e); ok {
			total += int64(w.Bytes)
		}
	}
	buffer := make([]byte, ScanChunk)
	scanner, direct := m.(Scanner)
	for _, e := range extents {
		w, ok := whole(e)
		if !ok {
			continue
		}
		pa := w.Start
		step := func(p []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := visit(pa, p, done, total); err != nil {
				return err
			}
			done, pa = done+int64(len(p)), pa+PA(len(p))
			return nil
		}
		if direct {
			if err := scanner.Scan(w, buffer, step); err != nil {
				return err
			}
			continue
		}
		for end := w.End(); pa < end; {
			p := buffer[:min(ScanChunk, uint64(end-pa))]
			if err := m.ReadAt(p, pa); err != nil {
				return err
			}
			if err := step(p); err != nil {
				return err
			}
		}
	}
	return nil
}
