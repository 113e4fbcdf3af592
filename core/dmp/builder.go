package dmp

import (
	"sort"

	"coredrop/core/mem"
)

// literalPages bounds how many incomplete pages become literal bytes (16 MiB);
// in a core that has more, they are read when they are wanted.
const literalPages = 4096

// builder lays memory out in a dump, piece by piece.
type builder struct {
	im      *Image
	extents []mem.Extent // sorted and disjoint: what the core holds
	overlay *mem.Overlay
	special []mem.PA // pages that are not verbatim: patched or incomplete; ascending
	patched map[mem.PA]bool
	literal int // incomplete pages turned into bytes so far
}

func newBuilder(im *Image, extents []mem.Extent, overlay *mem.Overlay, partial []mem.PA) *builder {
	b := &builder{im: im, extents: extents, overlay: overlay, patched: map[mem.PA]bool{}}
	b.special = overlay.Pages()
	for _, pa := range b.special {
		b.patched[pa] = true
	}
	for _, pa := range partial {
		if !b.patched[pa] {
			b.special = append(b.special, pa)
		}
	}
	sort.Slice(b.special, func(i, j int) bool { return b.special[i] < b.special[j] })
	return b
}

// bytes appends literal bytes.
func (b *builder) bytes(p []byte) {
	if len(p) > 0 {
		b.add(piece{bytes: int64(len(p)), literal: p})
	}
}

func (b *builder) add(p piece) {
	p.off = b.im.size
	b.im.size += p.bytes
	if n := len(b.im.pieces) - 1; n >= 0 && b.im.pieces[n].joins(p) {
		last := &b.im.pieces[n]
		last.bytes += p.bytes
		if last.literal != nil {
			// Only pages come in single file; each has its own array, so that
			// growing one touches nobody else's bytes.
			last.literal = append(last.literal[:len(last.literal):len(last.literal)], p.literal...)
		}
		return
	}
	b.im.pieces = append(b.im.pieces, p)
}

// joins reports whether q carries on where p ends.
func (p *piece) joins(q piece) bool {
	if p.literal != nil || q.literal != nil {
		return len(p.literal) >= mem.PageSize && len(p.literal) < 64*mem.PageSize && len(q.literal) == mem.PageSize && p.off >= int64(form.Bytes)
	}
	if p.partial || q.partial || p.pa+mem.PA(p.bytes) != q.pa || p.from.Origin != q.from.Origin {
		return false
	}
	return p.from.Origin != mem.Verbatim || p.from.File == q.from.File && p.from.Offset+p.bytes == q.from.Offset
}

// memory appends the page frames from lo up to hi.
func (b *builder) memory(lo, hi mem.PA) error {
	next := sort.Search(len(b.special), func(i int) bool { return b.special[i] >= lo })
	for at := lo; at < hi; {
		stop := hi
		if next < len(b.special) && b.special[next] < hi {
			stop = b.special[next]
		}
		if at == stop {
			if err := b.page(at); err != nil {
				return err
			}
			at += mem.PageSize
			next++
			continue
		}
		if err := b.verbatim(at, stop); err != nil {
			return err
		}
		at = stop
	}
	return nil
}

// page appends one page frame that is patched or incomplete.
func (b *builder) page(pa mem.PA) error {
	if b.patched[pa] {
		page := make([]byte, mem.PageSize)
		if err := b.overlay.ReadAt(page, pa); err != nil {
			return unreadable(err, pa)
		}
		b.bytes(page)
		return nil
	}
	if b.literal++; b.literal > literalPages {
		b.add(piece{bytes: mem.PageSize, pa: pa, partial: true})
		return nil
	}
	page, _, err := mem.ReadPage(b.im.memory, pa)
	if err != nil {
		return unreadable(err, pa)
	}
	b.bytes(page)
	return nil
}

// verbatim appends memory of which the dump holds what the core does.
func (b *builder) verbatim(lo, hi mem.PA) error {
	i, _ := mem.Find(b.extents, lo)
	for at := lo; at < hi; i++ {
		if i >= len(b.extents) || b.extents[i].Start > at {
			return unreadable(&mem.HoleError{PA: at}, at)
		}
		e := b.extents[i]
		stop := min(e.End(), hi)
		p := piece{bytes: int64(stop - at), pa: at, from: e}
		if e.Origin == mem.Verbatim {
			p.from.Offset += int64(at - e.Start)
		}
		b.add(p)
		at = stop
	}
	return nil
}
