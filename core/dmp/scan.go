package dmp

import (
	"context"
	"fmt"
	"sort"

	"coredrop/core/mem"
)

// Scan hands over n bytes of the dump from off on, in order and in parts of at
// most len(buf) bytes, which are valid only during the call and must not be
// changed. Memory comes past any cache, decoded ahead where the container packs
// it: this is the way to write a dump, to hash it, to send it. An error of visit,
// or of the context, ends it and is returned.
func (im *Image) Scan(ctx context.Context, off, n int64, buf []byte, visit func(p []byte) error) error {
	if off < 0 || n < 0 || off > im.size-n {
		return fmt.Errorf("%d bytes at %d of a dump of %d", n, off, im.size)
	}
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].off+im.pieces[i].bytes > off })
	for ; n > 0; i++ {
		pc := im.pieces[i]
		within := off - pc.off
		take := min(n, pc.bytes-within)
		if err := im.scanPiece(ctx, pc, within, take, buf, visit); err != nil {
			return err
		}
		off, n = off+take, n-take
	}
	return ctx.Err()
}

// scanPiece hands over n bytes of one piece.
func (im *Image) scanPiece(ctx context.Context, pc piece, within, n int64, buf []byte, visit func(p []byte) error) error {
	switch {
	case pc.literal != nil:
		return chunks(ctx, pc.literal[within:][:n], len(buf), visit)
	case pc.partial:
		page := make([]byte, n)
		if err := im.readPiece(page, pc, within); err != nil {
			return err
		}
		return chunks(ctx, page, len(buf), visit)
	case pc.from.Origin == mem.Zero:
		clear(buf)
		for ; n > 0; n -= int64(len(buf)) {
			if err := chunks(ctx, buf[:min(n, int64(len(buf)))], len(buf), visit); err != nil {
				return err
			}
		}
		return nil
	}
	extents := im.memory.Extents()
	pa, end := pc.pa+mem.PA(within), pc.pa+mem.PA(within+n)
	for pa < end {
		e, ok := mem.Find(extents, pa)
		if !ok {
			return unreadable(&mem.HoleError{PA: pa}, pa)
		}
		stop := min(end, extents[e].End())
		var stopped error // by visit
		err := im.memory.Scan(ctx, mem.Extent{Start: pa, Bytes: uint64(stop - pa)}, buf, func(at mem.PA, p []byte) error {
			pa = at + mem.PA(len(p))
			stopped = visit(p)
			return stopped
		})
		switch {
		case stopped != nil:
			return stopped
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return unreadable(err, pa)
		}
		pa = stop
	}
	return nil
}

// chunks hands over bytes in parts of at most most.
func chunks(ctx context.Context, p []byte, most int, visit func(p []byte) error) error {
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(p), most)
		if err := visit(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}
