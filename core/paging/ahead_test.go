package paging_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/source"
	"coredrop/core/source/remotetest"
)

// scattered is physical memory of pages of which a few lie in each block of the
// source, side by side.
type scattered struct {
	pages  map[mem.PA][]byte
	last   mem.PA
	shared mem.PA // pages in a block
}

// offset is where the file has a page.
func (m *scattered) offset(pa mem.PA) int64 {
	n := pa / mem.PageSize
	return int64(n/m.shared)*remotetest.Block + int64(n%m.shared*mem.PageSize)
}

func (m *scattered) page(pa mem.PA) []byte {
	if m.pages[pa] == nil {
		m.pages[pa] = make([]byte, mem.PageSize)
		m.last = max(m.last, pa)
	}
	return m.pages[pa]
}

func (m *scattered) entry(table mem.PA, index int, value uint64) {
	binary.LittleEndian.PutUint64(m.page(table)[8*index:], value)
}

// ReadAt reads the file: the page, and zeros behind it.
func (m *scattered) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for pa, page := range m.pages {
		if at := m.offset(pa) - off; at > -mem.PageSize && at < int64(len(p)) {
			copy(p[max(at, 0):], page[max(-at, 0):])
		}
	}
	return len(p), nil
}

// memory gives it near at hand, and far away with a count, through a cache of some
// bytes.
func (m *scattered) memory(t *testing.T, cache int64) (near, far mem.Physical, r *remotetest.Remote) {
	t.Helper()
	blocks := int64(m.last/mem.PageSize/m.shared) + 1
	s := source.Source{ReaderAt: m, Size: blocks * remotetest.Block, Name: "core"}
	var list []mem.Extent
	for pa := mem.PA(0); pa <= m.last; pa += mem.PageSize {
		if m.pages[pa] != nil {
			list = append(list, mem.Extent{Start: pa, Bytes: mem.PageSize, Offset: m.offset(pa)})
		}
	}
	distant, r := remotetest.Of(s)
	s.Block = mem.PageSize
	for at, s := range map[*mem.Physical]source.Source{&near: s, &far: distant} {
		f, err := mem.NewFile(s, list, cache)
		if err != nil {
			t.Fatal(err)
		}
		*at = f
	}
	return near, far, r
}

// spread maps pages from va(0x1f0, 1, 0, 0) on, of which every seventh is not there:
// one page table for each 64 of them.
func spread(pages int) *scattered {
	m := &scattered{pages: map[mem.PA][]byte{}, shared: 1}
	m.entry(0x1000, 0x1f0, 0x2000|user)
	m.entry(0x2000, 1, 0x3000|user)
	for i := range pages {
		table := mem.PA(0x100000 + i/64*mem.PageSize)
		m.entry(0x3000, i/64, uint64(table)|user)
		if i%7 != 6 {
			pa := mem.PA(0x200000 + i*mem.PageSize)
			m.entry(table, i%64, uint64(pa)|user)
			copy(m.page(pa), bytes.Repeat([]byte{byte(i + 1)}, mem.PageSize))
		}
	}
	return m
}

// TestReadsOfManyPages: a read of many pages that lie apart waits for each level of
// the tables once, and for as many pages at a time as the source takes; what it
// gives is the same as of a file at hand.
func TestReadsOfManyPages(t *testing.T) {
	near, far, r := spread(64).memory(t, 0)
	s := paging.New(far, 0x1000, paging.X64)
	at := va(0x1f0, 1, 0, 0, 0x123)
	got, want := make([]byte, 64*mem.PageSize-0x246), make([]byte, 64*mem.PageSize-0x246)
	n := s.ReadBest(got, at)
	r.Within(t, "64 pages, of which 9 are not there", 4+4, 4+55)
	if m := paging.New(near, 0x1000, paging.X64).ReadBest(want, at); n != m || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, of a file at hand %d", n, m)
	}

	_, far, r = spread(6).memory(t, 0)
	s = paging.New(far, 0x1000, paging.X64)
	p := make([]byte, 6*mem.PageSize-0x123)
	if err := s.ReadAt(p, at); err != nil || p[0] != 1 || p[len(p)-1] != 6 {
		t.Error(err)
	}
	r.Within(t, "6 pages", 4+1, 4+6)
}

// TestFarErrors: a read that fails does so at the same place, for the same reason,
// wherever the file lies.
func TestFarErrors(t *testing.T) {
	m := spread(20)
	m.entry(0x100000, 20, 0xdead000|user) // not in the file
	m.entry(0x1000, 0x1ff, 0x2000|user)   // the end of the space
	m.entry(0x2000, 511, 0x3000|user)     //
	m.entry(0x3000, 511, 0x100000|user)   //
	m.entry(0x100000, 511, 0x200000|user) //
	m.entry(0x100000, 510, 0x200000|user) //
	near, far, _ := m.memory(t, 0)
	for name, c := range map[string]struct {
		at mem.VA
		n  int
	}{
		"not present":       {va(0x1f0, 1, 0, 0, 0x10), 10 * mem.PageSize},
		"not in the file":   {va(0x1f0, 1, 0, 14, 0), 7 * mem.PageSize},
		"end of the space":  {^mem.VA(0) - 0x1fff, 3 * mem.PageSize},
		"up to the end":     {^mem.VA(0) - 0x1fff, 2 * mem.PageSize},
		"below the space":   {0x7fffffffffff, 3 * mem.PageSize},
		"less than a page":  {va(0x1f0, 1, 0, 5, 0xff0), 0x20},
		"nothing, anywhere": {0x1234, 0},
	} {
		text := func(m mem.Physical) string {
			if err := paging.New(m, 0x1000, paging.X64).ReadAt(make([]byte, c.n), c.at); err != nil {
				return err.Error()
			}
			return ""
		}
		if a, b := text(near), text(far); a != b {
			t.Errorf("%s: %q, of a file at hand %q", name, b, a)
		}
	}
}

// TestAheadReadsAcrossPages: a dry run names all the pages of a read at once.
func TestAheadReadsAcrossPages(t *testing.T) {
	_, far, r := spread(6).memory(t, 0)
	s := paging.New(far, 0x1000, paging.X64)
	s.Ahead(1, func(s *paging.Space, _ int) { _ = s.ReadAt(make([]byte, 6*mem.PageSize), va(0x1f0, 1, 0, 0, 0)) }).To(0)
	r.Within(t, "6 pages", 4+1, 4+6)
	if s.InTransition() != 0 {
		t.Error("a dry run counts")
	}
}

// TestReachOfManyTables: the tables of a level are fetched together, as many at a
// time as the source takes, those that lie in one block as one; of several spaces
// together.
func TestReachOfManyTables(t *testing.T) {
	for _, c := range []struct {
		shared           mem.PA
		rounds, requests int
	}{{1, 3 + 320/source.DefaultAhead, 330}, {8, 3 + 40/source.DefaultAhead, 2 + 2 + 40}} {
		reachManyTables(t, c.shared, c.rounds, c.requests)
	}
}

func reachManyTables(t *testing.T, shared mem.PA, rounds, requests int) {
	t.Helper()
	const tables, roots = 320, 8
	m := &scattered{pages: map[mem.PA][]byte{}, shared: shared}
	for n := range roots {
		m.entry(mem.PA(0x1000+0x1000*n), 0x1f0, 0x20000|user)
	}
	m.entry(0x20000, 1, 0x21000|user)
	for i := range tables {
		table := mem.PA(0x100000 + i*mem.PageSize)
		m.entry(0x21000, (i*37+5)%512, uint64(table)|user) // in no order
		m.entry(table, 3, uint64(0x40000000+i*mem.PageSize)|user)
	}
	near, far, r := m.memory(t, 128<<10) // so that the order counts
	walk := func(phys mem.Physical) map[mem.PA]uint64 {
		got := map[mem.PA]uint64{}
		var spaces []*paging.Space
		for n := range roots {
			spaces = append(spaces, paging.New(phys, uint64(0x1000+0x1000*n), paging.X64))
		}
		runs, _ := mem.Runs(phys.Extents())
		if err := paging.NewReach(runs, func(pa mem.PA, n uint64) { got[pa] = n }).Upper(context.Background(), spaces...); err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := walk(far)
	r.Within(t, "320 tables below 8 roots", rounds, requests)
	if want := walk(near); len(got) != len(want) || len(got) != roots+2+2*tables {
		t.Errorf("%d pages, of a file at hand %d", len(got), len(want))
	}
}
