package srcline

import "encoding/binary"

// rangeChunk is how much of a list of ranges is read at once, and maxRanges how
// many are believed.
const (
	rangeChunk = 512
	maxRanges  = 1 << 16
)

// oldRanges reads a list of .debug_ranges (up to version 4): pairs of addresses,
// relative to a base; a pair with all ones first sets it, zeros end the list.
func (f *File) oldRanges(u *unit, off int64, spans []span) ([]span, error) {
	base := u.lowPC
	for n := 0; n < maxRanges; {
		p, err := f.ranges.prefix(off, rangeChunk)
		if err != nil {
			return spans, err
		}
		if len(p) < 16 {
			break
		}
		for ; len(p) >= 16; p, off, n = p[16:], off+16, n+1 {
			start, end := le.Uint64(p), le.Uint64(p[8:])
			switch {
			case start == 0 && end == 0:
				return spans, nil
			case start == ^uint64(0):
				base = end
			case start < end:
				spans = append(spans, span{start: base + start, end: base + end})
			}
		}
	}
	return spans, damaged("a list of ranges has no end")
}

// The entries of .debug_rnglists (DW_RLE_…, DWARF 5 section 7.25).
const (
	rleEnd          = 0
	rleBaseIndex    = 1
	rleStartEndIdx  = 2
	rleStartLenIdx  = 3
	rleOffsetPair   = 4
	rleBase         = 5
	rleStartEnd     = 6
	rleStartLength  = 7
	rleLongestEntry = 1 + 2*binary.MaxVarintLen64
)

// rangeList reads a list of .debug_rnglists (version 5).
func (f *File) rangeList(u *unit, off int64, spans []span) ([]span, error) {
	base := u.lowPC
	for n := 0; n < maxRanges; {
		p, err := f.rngLists.prefix(off, rangeChunk)
		if err != nil {
			return spans, err
		}
		last := off+int64(len(p)) == f.rngLists.size
		r := leb{p: p}
		for used := 0; !r.short && (len(r.p) >= rleLongestEntry || last && len(r.p) > 0); n++ {
			start, end, more, err := f.rangeEntry(u, &r, &base)
			if err != nil {
				return spans, err
			}
			if !more {
				return spans, nil
			}
			if start < end {
				spans = append(spans, span{start: start, end: end})
			}
			off += int64(len(p) - len(r.p) - used)
			used = len(p) - len(r.p)
		}
		if last || r.short {
			break
		}
	}
	return spans, damaged("a list of ranges has no end")
}

// rangeEntry reads one entry; more is false for the last one.
func (f *File) rangeEntry(u *unit, r *leb, base *uint64) (start, end uint64, more bool, err error) {
	indexed := func() uint64 {
		a, e := f.indexedAddr(u, int64(r.uint()))
		if e != nil {
			err = e
		}
		return a
	}
	switch kind := r.byte(); kind {
	case rleEnd:
		return 0, 0, false, nil
	case rleBaseIndex:
		*base = indexed()
	case rleBase:
		*base = r.addr()
	case rleStartEndIdx:
		start = indexed()
		end = indexed()
	case rleStartLenIdx:
		start = indexed()
		end = start + r.uint()
	case rleOffsetPair:
		start = *base + r.uint()
		end = *base + r.uint()
	case rleStartEnd:
		start = r.addr()
		end = r.addr()
	case rleStartLength:
		start = r.addr()
		end = start + r.uint()
	default:
		return 0, 0, false, damaged("a list of ranges with an entry of kind %d", kind)
	}
	if r.short {
		err = damaged("a list of ranges ends early")
	}
	return start, end, true, err
}

// addr reads an address of 8 bytes.
func (r *leb) addr() uint64 {
	if len(r.p) < 8 {
		r.short, r.p = true, nil
		return 0
	}
	a := le.Uint64(r.p)
	r.p = r.p[8:]
	return a
}
