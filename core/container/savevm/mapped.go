package savevm

import (
	"context"
	"math/bits"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

const (
	// bitmapChunk is how much of a bitmap is read at a time.
	bitmapChunk = 256 << 10
	// maxExtents bounds the pieces of memory that are named one by one; a file with
	// more of them is read page by page.
	maxExtents = 1 << 19
)

// mapped is the memory of pages in place.
type mapped struct {
	source source.Source
	blocks []block
	places []place
	page   int64
}

// blockOf gives the block that has a page.
func blockOf(blocks []block, number uint32, size int64) *block {
	for i := range blocks {
		b := &blocks[i]
		if number >= b.first && uint64(number-b.first) < b.bytes/uint64(size) {
			return b
		}
	}
	return nil
}

// extents lists what is there: pages in place, and pages that are zero, whatever
// the file holds where they would be. few: there are not too many pieces to list.
// missing counts pages behind the file's end, present those in place.
func (m *mapped) extents(ctx context.Context) (list []mem.Extent, few bool, missing, present uint64, err error) {
	few = true
	put := func(e mem.Extent) {
		if n := len(list) - 1; n >= 0 && list[n].End() == e.Start && list[n].Origin == e.Origin && (e.Origin != mem.Verbatim || list[n].Offset+int64(list[n].Bytes) == e.Offset) {
			list[n].Bytes += e.Bytes
			return
		}
		if few = few && len(list) < maxExtents; !few {
			if n := len(list) - 1; n >= 0 && list[n].End() == e.Start && list[n].Origin == mem.Decoded {
				list[n].Bytes += e.Bytes
				return
			}
			e.Origin, e.Offset = mem.Decoded, 0
		}
		list = append(list, e)
	}
	size := uint64(m.page)
	for _, p := range m.places {
		b := blockOf(m.blocks, p.first, m.page)
		err := m.bits(ctx, b, uint64(p.first-b.first), p.pages, func(first, count uint64, set bool) {
			pa := p.start + mem.PA((first-uint64(p.first-b.first))*size)
			if !set {
				put(mem.Extent{Start: pa, Bytes: count * size, Origin: mem.Zero})
				return
			}
			at := b.pages + int64(first*size)
			there := uint64(0)
			if at < m.source.Size {
				there = min(count, uint64(m.source.Size-at)/size)
			}
			if there > 0 {
				put(mem.Extent{Start: pa, Bytes: there * size, Offset: at})
			}
			missing += count - there
			present += there
		}, &missing)
		if err != nil {
			return nil, false, 0, 0, err
		}
	}
	if !few { // all of one kind, and joined
		whole := list[:0]
		for _, e := range list {
			if n := len(whole) - 1; n >= 0 && whole[n].End() == e.Start {
				whole[n].Bytes += e.Bytes
				continue
			}
			e.Origin, e.Offset = mem.Decoded, 0
			whole = append(whole, e)
		}
		list = whole
	}
	return list, few, missing, present, nil
}

// bits hands over stretches of equal bits of a block's bitmap, from page first on.
// Pages whose bits lie behind the file's end are missing.
func (m *mapped) bits(ctx context.Context, b *block, first, count uint64, visit func(first, count uint64, set bool), missing *uint64) error {
	held := uint64(max(0, min(b.bitmap.Bytes, m.source.Size-b.bitmap.Off))) * 8
	if !b.mapped {
		held = 0
	}
	if first+count > held {
		lost := first + count - max(held, first)
		*missing += lost
		count -= lost
	}
	buf := make([]byte, min(bitmapChunk, (count+7)/8+8))
	end := first + count
	for at := first; at < end; {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		from := at / 64 * 8
		p := buf[:min(uint64(len(buf))/8*8, held/8-from)]
		if len(p) == 0 {
			p = buf[:1]
		}
		if err := m.source.Full(p, b.bitmap.Off+int64(from)); err != nil {
			return err
		}
		for stop := min(end, from*8+uint64(len(p))*8); at < stop; {
			n, set := stretch(p, at-from*8, stop-from*8)
			visit(at, n, set)
			at += n
		}
	}
	return nil
}

// stretch is how many bits from lo on, below hi, are equal, and which they are. Bit
// 0 of a byte is the first.
func stretch(p []byte, lo, hi uint64) (n uint64, set bool) {
	set = p[lo/8]>>(lo%8)&1 == 1
	for at := lo; at < hi; {
		differ := p[at/8] // 1 where a bit is not as looked for
		if set {
			differ = ^differ
		}
		differ >>= at % 8
		same := uint64(bits.TrailingZeros8(differ))
		if same < 8-at%8 {
			return min(at+same, hi) - lo, set
		}
		at += 8 - at%8
	}
	return hi - lo, set
}

// inPlace reads pages by their bits, where too many pieces would have to be
// listed.
type inPlace struct {
	*mapped
	bitmaps mem.Physical // the file through a cache
}

// Read fills p with pages from the first one on.
func (r *inPlace) Read(p []byte, first uint64) error {
	for i := int64(0); i*r.page < int64(len(p)); i++ {
		page := p[i*r.page:][:r.page]
		number, ok := numberAt(r.places, mem.PA((first+uint64(i))*uint64(r.page)), r.page)
		if !ok {
			clear(page)
			continue
		}
		b := blockOf(r.blocks, number, r.page)
		n := int64(number - b.first)
		var bit [1]byte
		if err := r.bitmaps.ReadAt(bit[:], mem.PA(b.bitmap.Off+n/8)); err != nil {
			return err
		}
		if bit[0]>>(n%8)&1 == 0 {
			clear(page)
			continue
		}
		if err := r.source.Full(page, b.pages+n*r.page); err != nil {
			return err
		}
	}
	return nil
}
