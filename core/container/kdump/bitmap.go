package kdump

import (
	"context"
	"math/bits"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

const (
	// bitmapChunk is how much of a bitmap is held at a time.
	bitmapChunk = 256 << 10
	// rankBytes is the stretch of the bitmap for which a count of the bits in
	// front of it is kept.
	rankBytes = 4096
	// maxExtents bounds what a hostile bitmap can make of memory (96 MiB).
	maxExtents = 1 << 21
)

// bitmap finds a block's descriptor: the descriptors stand in the order of the set
// bits.
type bitmap struct {
	file   source.Source
	start  int64    // in the file
	blocks uint64   // bits
	before []uint64 // set bits in front of each stretch of rankBytes
	set    uint64
}

// readBitmap counts the second bitmap and gives the memory it has bits for. A
// file that ends inside it is an error beside what came before.
func (h *header) readBitmap(ctx context.Context, file source.Source, next func(off, end int64) (int64, int64)) (*bitmap, []mem.Extent, error) {
	b := &bitmap{file: file, start: h.bitmap(), blocks: h.blocks}
	bytes := int64(h.blocks+7) / 8
	end := min(b.start+bytes, file.Size)
	var list []mem.Extent
	b.before = make([]uint64, 0, (bytes+rankBytes-1)/rankBytes)
	err := eachChunk(ctx, file, b.start, end, next, func(at int64, p []byte) error {
		for i := 0; i < len(p); i += 8 {
			off := at - b.start + int64(i)
			for int64(len(b.before))*rankBytes <= off {
				b.before = append(b.before, b.set)
			}
			var w [8]byte
			copy(w[:], p[i:])
			word := le.Uint64(w[:])
			if over := uint64(off)*8 + 64; over > h.blocks {
				word &= 1<<(64-min(64, over-h.blocks)) - 1
			}
			b.set += uint64(bits.OnesCount64(word))
			list = h.extend(list, word, uint64(off)*8)
		}
		if len(list) > maxExtents {
			return fault.New(fault.DamagedHeader, "the memory in this core is in more than %d pieces", maxExtents)
		}
		return nil
	})
	for len(b.before) < cap(b.before) {
		b.before = append(b.before, b.set)
	}
	if err == nil && end < b.start+bytes {
		err = fault.New(fault.Truncated, "the file ends inside the list of its pages, at %#x", file.Size)
	}
	return b, list, err
}

// eachChunk hands over a range of the file in aligned chunks, but not what a
// flattened file has no record for.
func eachChunk(ctx context.Context, file source.Source, start, end int64, next func(off, end int64) (int64, int64), visit func(at int64, p []byte) error) error {
	buf := make([]byte, bitmapChunk)
	for at := start; at < end; {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		if from, _ := next(at, end); from > at {
			at = min(from-(from-start)%8, end) // whole words
			if at >= end {
				break
			}
		}
		p := buf[:min(bitmapChunk, end-at)]
		if err := file.Full(p, at); err != nil {
			return err
		}
		if err := visit(at, p); err != nil {
			return err
		}
		at += int64(len(p))
	}
	return nil
}

// extend adds the blocks of one 64-bit word, of which bit 0 is first.
func (h *header) extend(list []mem.Extent, w, first uint64) []mem.Extent {
	for w != 0 {
		skip := bits.TrailingZeros64(w)
		n := bits.TrailingZeros64(^(w >> skip))
		pa := mem.PA((first + uint64(skip)) * uint64(h.block))
		size := uint64(n) * uint64(h.block)
		if last := len(list) - 1; last >= 0 && list[last].End() == pa {
			list[last].Bytes += size
		} else {
			list = append(list, mem.Extent{Start: pa, Bytes: size, Origin: mem.Decoded})
		}
		if skip+n >= 64 {
			break
		}
		w &^= 1<<(skip+n) - 1
	}
	return list
}

// count counts the bits of the first bitmap: the blocks that the machine has.
func (h *header) countMemory(ctx context.Context, file source.Source, next func(off, end int64) (int64, int64)) (n uint64, err error) {
	start := h.firstBitmap()
	err = eachChunk(ctx, file, start, min(start+int64(h.blocks+7)/8, file.Size), next, func(at int64, p []byte) error {
		for i, c := range p {
			if over := uint64(at-start+int64(i))*8 + 8; over > h.blocks {
				c &= 1<<(8-min(8, over-h.blocks)) - 1
			}
			n += uint64(bits.OnesCount8(c))
		}
		return nil
	})
	return n, err
}

// rank gives how many blocks in the file come before a block; its reader caches.
func (b *bitmap) rank(meta mem.Physical, block uint64) (uint64, error) {
	stretch := block / (8 * rankBytes)
	n := b.before[stretch]
	first := b.start + int64(stretch)*rankBytes
	p := make([]byte, block/8+1-stretch*rankBytes)
	if err := meta.ReadAt(p, mem.PA(first)); err != nil {
		return 0, err
	}
	p[len(p)-1] &= 1<<(block%8) - 1
	for len(p) >= 8 {
		n += uint64(bits.OnesCount64(le.Uint64(p)))
		p = p[8:]
	}
	for _, c := range p {
		n += uint64(bits.OnesCount8(c))
	}
	return n, nil
}
