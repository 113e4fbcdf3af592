package savevm

import (
	"slices"
	"sort"

	"coredrop/core/container/inflate"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

const (
	// packedHead is the length in front of a packed page.
	packedHead = 4

	// readGap is what is read for nothing between the contents of two pages, and
	// maxAhead bounds one read.
	readGap  = 16 << 10
	maxAhead = 1 << 20
)

// pages is the memory of a stream: where pages are, by the guest's address.
type pages struct {
	source source.Source
	places []place // sorted, disjoint
	index  *index
	ahead  int64 // bytes of one read
}

// extents lists what is there, and counts the pages that are not.
func (m *pages) extents() (list []mem.Extent, missing uint64) {
	size := mem.PA(m.index.page)
	for _, p := range m.places {
		lo, hi := uint64(p.first), uint64(p.first)+p.pages
		at := lo
		for i, _ := m.index.find(p.first); i < len(m.index.done) && uint64(m.index.done[i].first) < hi; i++ {
			r := &m.index.done[i]
			from, to := max(at, uint64(r.first)), min(hi, r.end())
			missing += from - at
			start := p.start + mem.PA(from-lo)*size
			if n := len(list) - 1; n >= 0 && list[n].End() == start {
				list[n].Bytes += (to - from) * uint64(size)
			} else {
				list = append(list, mem.Extent{Start: start, Bytes: (to - from) * uint64(size), Origin: mem.Decoded})
			}
			at = to
		}
		missing += hi - at
	}
	return list, missing
}

// number gives the page at an address.
func numberAt(places []place, pa mem.PA, size int64) (uint32, bool) {
	i := sort.Search(len(places), func(i int) bool { return places[i].start+mem.PA(places[i].pages)*mem.PA(size) > pa })
	if i == len(places) || places[i].start > pa {
		return 0, false
	}
	return places[i].first + uint32((pa-places[i].start)/mem.PA(size)), true
}

// reader makes pages. It is for one goroutine.
type reader struct {
	*pages
	inflate inflate.Zlib
	window  []byte // of the file, from start
	start   int64
	run     int // the run of the page before
}

// Read fills p with pages from the first one on.
func (r *reader) Read(p []byte, first uint64) error {
	size := r.index.page
	for i := int64(0); i*size < int64(len(p)); i++ {
		pa := mem.PA((first + uint64(i)) * uint64(size))
		number, ok := numberAt(r.places, pa, size)
		if !ok {
			clear(p[i*size:][:size]) // of a block that is there in part: nobody sees it
			continue
		}
		if err := r.page(p[i*size:][:size], number, uint32(int64(len(p))/size-i)); err != nil {
			return err
		}
	}
	return nil
}

// page fills p with a page; left is how many pages are wanted from it on.
func (r *reader) page(p []byte, number uint32, left uint32) error {
	if r.run >= len(r.index.done) || r.index.done[r.run].first > number || r.index.done[r.run].end() <= uint64(number) {
		i, ok := r.index.find(number)
		if !ok {
			clear(p)
			return nil
		}
		r.run = i
	}
	span := func() int64 {
		if left == 1 {
			return max(r.span(number, left), r.ahead) // a read for itself: its neighbours are likely next
		}
		return r.span(number, left)
	}
	if err := r.content(p, &r.index.done[r.run], number, span); err != nil {
		return err
	}
	if len(r.index.changed) == 0 {
		return nil
	}
	for _, d := range r.index.changes(number) {
		changes, err := r.bytes(int64(d&maxAt), int64(d>>atBits), nil)
		if err != nil {
			return err
		}
		if !applyXBZRLE(p, changes) {
			return fault.New(fault.DamagedCopy, "the changes of a page at %#x of the file do not fit it", d&maxAt)
		}
	}
	return nil
}

// content fills p with what the page's latest whole record has.
func (r *reader) content(p []byte, of *run, number uint32, span func() int64) error {
	skip := number - of.first
	switch of.kind() {
	case kindFill:
		if v := byte(of.rest()); v != 0 {
			for i := range p {
				p[i] = v
			}
			return nil
		}
		clear(p)
		return nil
	case kindMixed:
		if of.bits>>skip&1 == 0 {
			clear(p)
			return nil
		}
		return r.copy(p, of.at()+r.index.mixedOffset(of.bits, skip), span)
	case kindPacked:
		head, err := r.bytes(of.at(), packedHead, span)
		if err != nil {
			return err
		}
		packed, err := r.bytes(of.at()+packedHead, int64(be.Uint32(head)), span)
		if err != nil {
			return err
		}
		if err := r.inflate.Unpack(p, packed); err != nil {
			return fault.New(fault.DamagedCopy, "a page at %#x of the file cannot be unpacked: %v", of.at(), err)
		}
		return nil
	}
	return r.copy(p, of.at()+int64(skip)*(r.index.page+int64(of.rest())), span)
}

// span is how much of the file has the contents of pages from one on, of which the
// run is known: those that follow one another there, perhaps with a little between
// them.
func (r *reader) span(number, left uint32) int64 {
	x := r.index
	end := uint64(number) + uint64(left)
	begin := int64(-1)
	var stop int64
	for i := r.run; i < len(x.done) && uint64(x.done[i].first) < end; i++ {
		of := &x.done[i]
		lo, hi := max(number, of.first)-of.first, uint32(min(end, of.end())-uint64(of.first))
		var from, to int64
		switch of.kind() {
		case kindFill:
			continue
		case kindMixed:
			from, to = of.at()+x.mixedOffset(of.bits, lo), of.at()+x.mixedOffset(of.bits, hi)
		case kindPacked:
			from, to = of.at(), of.at()+packedHead+x.page
		default:
			stride := x.page + int64(of.rest())
			from, to = of.at()+int64(lo)*stride, of.at()+int64(hi-1)*stride+x.page
		}
		switch {
		case begin < 0:
			begin, stop = from, to
		case from < stop || from > stop+readGap:
			return stop - begin
		default:
			stop = to
		}
	}
	return stop - begin
}

// copy fills p with a page that lies in the file as it is.
func (r *reader) copy(p []byte, at int64, span func() int64) error {
	data, err := r.bytes(at, int64(len(p)), span)
	copy(p, data)
	return err
}

// bytes gives a range of the file; what is wanted behind it, span in all, is read
// along. nil: nothing is.
func (r *reader) bytes(at, n int64, span func() int64) ([]byte, error) {
	if n > r.source.Size-at {
		return nil, fault.New(fault.FileChanged, "%s became shorter while it was being read", r.source.Name)
	}
	if at < r.start || at+n > r.start+int64(len(r.window)) {
		want := n
		if span != nil {
			want = max(n, min(span(), maxAhead))
		}
		want = min(want, r.source.Size-at)
		r.window = slices.Grow(r.window[:0], int(want))[:want]
		r.start = at
		if err := r.source.Full(r.window, at); err != nil {
			r.window = r.window[:0]
			return nil, err
		}
	}
	return r.window[at-r.start:][:n], nil
}

// applyXBZRLE changes a page: again and again how many bytes stay, how many are
// new, and those; the bytes behind the last ones stay. Source: QEMU 10.0
// migration/xbzrle.c.
func applyXBZRLE(page, changes []byte) bool {
	at := 0
	for len(changes) > 0 {
		skip, n := leb128(changes)
		if n == 0 || skip > len(page)-at {
			return false
		}
		if at, changes = at+skip, changes[n:]; len(changes) == 0 {
			return true
		}
		size, n := leb128(changes)
		if n == 0 || size > len(page)-at || size > len(changes)-n {
			return false
		}
		copy(page[at:], changes[n:][:size])
		at, changes = at+size, changes[n+size:]
	}
	return true
}

// leb128 reads a number of at most 14 bits; n is 0 where there is none.
func leb128(p []byte) (v, n int) {
	if p[0]&0x80 == 0 {
		return int(p[0]), 1
	}
	if len(p) < 2 || p[1]&0x80 != 0 {
		return 0, 0
	}
	return int(p[0]&0x7f) | int(p[1])<<7, 2
}
