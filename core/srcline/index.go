package srcline

import (
	"cmp"
	"context"
	"slices"
	"sort"
)

// unitHead is the header of a unit in .debug_info.
type unitHead struct {
	off, end int64 // of the unit; end is behind it
	version  uint16
	wide     bool // DWARF64: offsets of 8 bytes
	kind     uint8
	abbrev   int64
	abbrevAt int64 // where in the unit the offset of its abbreviations stands
}

// Unit kinds (DW_UT_…) that are read.
const (
	unitCompile = 1
	unitPartial = 3
)

// Bounds. The largest unit of a distribution's kernel has a few megabytes; with
// link-time optimisation the whole kernel may be one.
const (
	maxUnit  = 32 << 20
	maxUnits = 1 << 20
	maxSpans = 1 << 21
	headSize = 40 // the longest unit header
)

// index tells which unit an address belongs to.
type index struct {
	heads  []unitHead // all units in file order, when they were walked
	spans  []span     // by start
	walked bool       // the units' own addresses are in spans
}

// span is a range of addresses of the unit that begins at off.
type span struct {
	start, end uint64
	off        int64
}

// readHead reads the header of the unit at an offset of .debug_info.
func (f *File) readHead(off int64) (unitHead, error) {
	p, err := f.info.prefix(off, headSize)
	if err != nil {
		return unitHead{}, err
	}
	n, at, wide, ok := unitLength(p)
	h := unitHead{off: off, wide: wide}
	if !ok || n > uint64(f.info.size-off) || len(p) < at+11 {
		return h, damaged("a unit at %#x of .debug_info ends behind it", off)
	}
	if h.end = off + int64(at) + int64(n); h.end > f.info.size {
		return h, damaged("a unit at %#x of .debug_info ends behind it", off)
	}
	h.version = le.Uint16(p[at:])
	at += 2
	h.kind = unitCompile
	switch {
	case h.version >= 5:
		h.kind = p[at]
		at += 2
	case h.version < 2:
		return h, damaged("a unit of version %d", h.version)
	}
	h.abbrevAt = int64(at)
	width := 4
	if wide {
		width = 8
	}
	if len(p) < at+width || h.end-off < int64(at+width) {
		return h, damaged("a unit at %#x has no header", off)
	}
	if wide {
		h.abbrev = int64(le.Uint64(p[at:]))
	} else {
		h.abbrev = int64(le.Uint32(p[at:]))
	}
	return h, nil
}

// unitLength reads the length that units of all sections begin with, and where
// what it counts begins.
func unitLength(p []byte) (n uint64, at int, wide, ok bool) {
	if len(p) < 12 {
		return 0, 0, false, false
	}
	n = uint64(le.Uint32(p))
	if n == 0xffffffff {
		return le.Uint64(p[4:]), 12, true, le.Uint64(p[4:]) < 1<<62
	}
	return n, 4, false, n < 0xfffffff0
}

// unitOf finds the unit that an address belongs to: by .debug_aranges, and, where
// that has nothing of it, by what every unit says of itself.
func (f *File) unitOf(ctx context.Context, addr uint64) (off int64, ok bool, err error) {
	if f.index == nil {
		f.index = &index{}
		if err := f.readAranges(ctx); err != nil {
			return 0, false, err
		}
	}
	if off, ok := f.index.find(addr); ok || f.index.walked {
		return off, ok, nil
	}
	if err := f.walkUnits(ctx); err != nil {
		return 0, false, err
	}
	off, ok = f.index.find(addr)
	return off, ok, nil
}

// find looks an address up. Spans may overlap where a file lies: the nearest
// ones below are asked.
func (x *index) find(addr uint64) (int64, bool) {
	const most = 16
	i := sort.Search(len(x.spans), func(i int) bool { return x.spans[i].start > addr })
	for n := 0; n < most && i > 0; n++ {
		i--
		if addr < x.spans[i].end {
			return x.spans[i].off, true
		}
	}
	return 0, false
}

func (x *index) add(start, end uint64, off int64) bool {
	if start < end && start != 0 { // linkers leave 0 for what they dropped
		x.spans = append(x.spans, span{start, end, off})
	}
	return len(x.spans) < maxSpans
}

func (x *index) sort() {
	slices.SortFunc(x.spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
}

// readAranges reads .debug_aranges, a set of address ranges for each unit. Damage
// only ends it: the units themselves are asked then.
func (f *File) readAranges(ctx context.Context) error {
	for off := int64(0); off < f.aranges.size; {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		p, err := f.aranges.prefix(off, 32)
		if err != nil {
			break
		}
		n, at, wide, ok := unitLength(p)
		if !ok || n < 8 || n > maxUnit || off+int64(at)+int64(n) > f.aranges.size {
			break
		}
		set, err := f.aranges.read(off+int64(at), int64(n))
		if err != nil {
			break
		}
		off += int64(at) + int64(n)
		if !f.addSet(set, at, wide) {
			break
		}
	}
	f.index.sort()
	return nil
}

// addSet adds one set of .debug_aranges: version, unit, sizes of address and
// segment, and pairs aligned to twice an address.
func (f *File) addSet(p []byte, at int, wide bool) bool {
	unit, head := int64(le.Uint32(p[2:])), 6
	if wide {
		if len(p) < 12 {
			return false
		}
		unit, head = int64(le.Uint64(p[2:])), 10
	}
	if len(p) < head+2 || p[head] != 8 || p[head+1] != 0 {
		return true // not for us
	}
	for i := (at+head+2+15)&^15 - at; i+16 <= len(p); i += 16 {
		start, n := le.Uint64(p[i:]), le.Uint64(p[i+8:])
		if !f.index.add(start, start+n, unit) {
			return false
		}
	}
	return true
}

// walkUnits asks every unit for its addresses.
func (f *File) walkUnits(ctx context.Context) error {
	x := f.index
	x.walked = true
	for off := int64(0); off < f.info.size; {
		if ctx.Err() != nil {
			x.walked = false
			return cancelled(ctx)
		}
		h, err := f.readHead(off)
		if err != nil || len(x.heads) == maxUnits {
			break // what is known so far is used
		}
		x.heads = append(x.heads, h)
		off = h.end
		if h.kind != unitCompile {
			continue
		}
		root, err := f.readRoot(h)
		if err != nil {
			continue
		}
		for _, r := range root.spans {
			if !x.add(r.start, r.end, h.off) {
				break
			}
		}
	}
	x.sort()
	return nil
}

// unitAt finds the unit that holds an offset of .debug_info.
func (f *File) unitAt(ctx context.Context, off int64) (int64, error) {
	x := f.index
	if !x.walked {
		if err := f.walkUnits(ctx); err != nil {
			return 0, err
		}
	}
	i := sort.Search(len(x.heads), func(i int) bool { return x.heads[i].end > off })
	if i == len(x.heads) || off < x.heads[i].off {
		return 0, damaged("no unit holds %#x", off)
	}
	return x.heads[i].off, nil
}
