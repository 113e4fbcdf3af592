package mem

import (
	"context"
	"errors"
)

// ErrEnough is what the visitor of ScanPages answers when it wants no more: the
// pass ends there without an error.
var ErrEnough = errors.New("enough")

// ScanChunk is how much of the memory a sequential pass hands over at a time:
// large enough for the call not to cost, small enough for a browser's pooled
// buffer.
const ScanChunk = 1 << 20

// ScanByReads is Physical.Scan for a memory that has no faster way than ReadAt.
func ScanByReads(ctx context.Context, m Physical, e Extent, buf []byte, visit func(pa PA, p []byte) error) error {
	for pa := e.Start; pa < e.End(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(uint64(len(buf)), uint64(e.End()-pa))]
		if err := m.ReadAt(p, pa); err != nil {
			return err
		}
		if err := visit(pa, p); err != nil {
			return err
		}
		pa += PA(len(p))
	}
	return nil
}

// ScanPages reads all whole page frames of a memory in ascending order and hands
// them over in parts of whole pages, at most ScanChunk bytes each; a part is
// valid only during the call. done and total count bytes. Frames that are there
// only in part are left out. An error of visit other than ErrEnough, or of the
// context, ends the pass and is returned.
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
	for _, e := range extents {
		w, ok := whole(e)
		if !ok {
			continue
		}
		err := m.Scan(ctx, w, buffer, func(pa PA, p []byte) error {
			err := visit(pa, p, done, total)
			done += int64(len(p))
			return err
		})
		if err == ErrEnough {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
