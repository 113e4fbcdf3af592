package paging_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// memory is physical memory of pages that are there or not.
type memory map[mem.PA][]byte

func (m memory) Extents() []mem.Extent { return nil }

func (m memory) Prefetch() *mem.Fetch { return nil }

func (m memory) ReadAt(p []byte, pa mem.PA) error {
	for len(p) > 0 {
		page, ok := m[pa.Page()]
		if !ok {
			return &mem.HoleError{PA: pa}
		}
		n := copy(p, page[pa-pa.Page():])
		p, pa = p[n:], pa+mem.PA(n)
	}
	return nil
}

func (m memory) Scan(ctx context.Context, e mem.Extent, buf []byte, visit func(mem.PA, []byte) error) error {
	return mem.ScanByReads(ctx, m, e, buf, visit)
}

func (m memory) page(pa mem.PA) []byte {
	if m[pa] == nil {
		m[pa] = make([]byte, mem.PageSize)
	}
	return m[pa]
}

func (m memory) entry(table mem.PA, index int, value uint64) {
	binary.LittleEndian.PutUint64(m.page(table)[8*index:], value)
}

// fill puts a pattern that names its page into one.
func (m memory) fill(pa mem.PA) {
	page := m.page(pa)
	for i := 0; i < len(page); i += 8 {
		binary.LittleEndian.PutUint64(page[i:], uint64(pa)+uint64(i))
	}
}

const (
	present = 1
	large   = 0x80
	pat     = 1 << 12
	noExec  = 1 << 63
	user    = 0x67
	ignored = 0x7ff<<52 | 0xe00 // bits that software may use
)

// va makes an address of table indices.
func va(pml4, pdpt, pd, pt int, offset uint64) mem.VA {
	a := uint64(pml4)<<39 | uint64(pdpt)<<30 | uint64(pd)<<21 | uint64(pt)<<12 | offset
	return mem.VA(int64(a<<16) >> 16)
}

// guest has tables at 0x1000 (PML4), 0x2000 (PDPT), 0x3000 (PD), 0x4000 (PT)
// for the slots 0x1f0, 1, 2, 3.
func guest() memory {
	m := memory{}
	m.entry(0x1000, 0x1f0, 0x2000|user|noExec|ignored)
	m.entry(0x2000, 1, 0x3000|user|ignored)
	m.entry(0x3000, 2, 0x4000|user)
	m.entry(0x4000, 3, 0x10000|user|noExec)
	m.fill(0x10000)
	return m
}

func TestFourLevels(t *testing.T) {
	m := guest()
	// Flags, PCID and the no-flush bit of CR3 do not matter.
	for _, cr3 := range []uint64{0x1000, 0x1fff, 1<<63 | 0x1002} {
		s := paging.New(m, cr3, paging.X64)
		pa, left, err := s.Translate(va(0x1f0, 1, 2, 3, 0x123))
		if err != nil || pa != 0x10123 || left != mem.PageSize-0x123 {
			t.Errorf("CR3 %#x: %v %#x %v", cr3, pa, left, err)
		}
	}
	s := paging.New(m, 0x1000, paging.X64)
	if v, err := s.Uint64(va(0x1f0, 1, 2, 3, 0x18)); err != nil || v != 0x10018 {
		t.Error(v, err)
	}
	if v, err := s.Uint32(va(0x1f0, 1, 2, 3, 0x18)); err != nil || v != 0x10018 {
		t.Error(v, err)
	}
	if !s.Resolves(va(0x1f0, 1, 2, 3, 0xfff)) || s.Resolves(va(0x1f0, 1, 2, 4, 0)) {
		t.Error("Resolves")
	}
}

func TestFiveLevels(t *testing.T) {
	m := guest()
	m.entry(0x9000, 0x1ff, 0x1000|user)
	m.entry(0x9000, 0x123, 0x1000|user)
	s := paging.New(m, 0x9000, paging.X64L5)
	high := va(0x1f0, 1, 2, 3, 0)
	low := mem.VA(int64(uint64(0x123)<<48|uint64(high)&(1<<48-1))<<7) >> 7
	low = mem.VA(int64(uint64(low)<<7) >> 7)
	for _, a := range []mem.VA{high, low} {
		if pa, _, err := s.Translate(a + 5); err != nil || pa != 0x10005 {
			t.Errorf("%v: %v %v", a, pa, err)
		}
	}
	// The same address in a 4-level space is not canonical.
	if _, _, err := paging.New(m, 0x1000, paging.X64).Translate(low); !errors.Is(err, paging.ErrMalformed) {
		t.Error(err)
	}
	_, _, err := s.Translate(0)
	check(t, "no PML5E", err, "PML5E", paging.ErrNotPresent)
}

func TestLargePages(t *testing.T) {
	m := guest()
	const gib, mib2 = 1 << 30, 2 << 20
	m.entry(0x2000, 7, 5*gib|user|large|pat|noExec)  // 1 GiB, PAT bit set
	m.entry(0x3000, 8, 9*mib2|user|large|pat|noExec) // 2 MiB
	m.entry(0x4000, 9, 0x20000|user|large)           // bit 7 of a PTE is PAT
	m.entry(0x1000, 0x1f1, 0x2000|user|large)        // bit 7 of a PML4E means nothing
	s := paging.New(m, 0x1000, paging.X64)
	for _, c := range []struct {
		name string
		va   mem.VA
		pa   mem.PA
		left uint64
	}{
		{"1 GiB", va(0x1f0, 7, 0, 0, 0), 5 * gib, gib},
		{"1 GiB, inside", va(0x1f0, 7, 511, 511, 0xfff), 6*gib - 1, 1},
		{"2 MiB", va(0x1f0, 1, 8, 0, 0), 9 * mib2, mib2},
		{"2 MiB, inside", va(0x1f0, 1, 8, 1, 0x10), 9*mib2 + 0x1010, mib2 - 0x1010},
		{"4 KiB with PAT", va(0x1f0, 1, 2, 9, 0), 0x20000, 4096},
		{"below a PML4E with bit 7", va(0x1f1, 1, 2, 3, 0), 0x10000, 4096},
	} {
		pa, left, err := s.Translate(c.va)
		if err != nil || pa != c.pa || left != c.left {
			t.Errorf("%s: %v %#x %v", c.name, pa, left, err)
		}
	}
}

// check holds an error against its level and its reason, and against the two
// reasons that it must not have.
func check(t *testing.T, name string, err error, level string, reason error) {
	t.Helper()
	var e *paging.Error
	if !errors.As(err, &e) || e.Level != level {
		t.Errorf("%s: %v, want level %s", name, err, level)
		return
	}
	for _, r := range []error{paging.ErrNotPresent, paging.ErrMalformed, mem.ErrHole} {
		if errors.Is(err, r) != (r == reason) {
			t.Errorf("%s: %v, want %v", name, err, reason)
		}
	}
	if !strings.Contains(err.Error(), level) || !strings.Contains(err.Error(), e.VA.String()) {
		t.Errorf("%s: %q says neither level nor address", name, err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	tables := []struct {
		level string
		table mem.PA
		index int
	}{{"PML4E", 0x1000, 0x1f0}, {"PDPTE", 0x2000, 1}, {"PDE", 0x3000, 2}, {"PTE", 0x4000, 3}}
	a := va(0x1f0, 1, 2, 3, 0x40)
	var b [16]byte
	for _, c := range tables {
		m := guest()
		m.entry(c.table, c.index, 0x10000|user&^present)
		check(t, c.level+" not present", paging.New(m, 0x1000, paging.X64).ReadAt(b[:], a), c.level, paging.ErrNotPresent)
		m = guest()
		delete(m, c.table)
		check(t, c.level+" not in the file", paging.New(m, 0x1000, paging.X64).ReadAt(b[:], a), c.level, mem.ErrHole)
	}
	m := guest()
	delete(m, 0x10000)
	s := paging.New(m, 0x1000, paging.X64)
	err := s.ReadAt(b[:], a)
	check(t, "page not in the file", err, "page", mem.ErrHole)
	var hole *mem.HoleError
	if !errors.As(err, &hole) || hole.PA != 0x10040 {
		t.Error("the hole's address is lost: ", err)
	}
	if _, _, err := s.Translate(a); err != nil {
		t.Error("a translation does not ask for the page itself: ", err)
	}
	for _, bad := range []mem.VA{0x0000800000000000, 0xffff7fffffffffff, 1 << 63} {
		check(t, "not canonical", s.ReadAt(b[:], bad), "address", paging.ErrMalformed)
	}
	if !paging.X64.Canonical(0x00007fffffffffff) || !paging.X64.Canonical(0xffff800000000000) ||
		!paging.X64L5.Canonical(0x00ffffffffffffff) || paging.X64L5.Canonical(0x0100000000000000) {
		t.Error("Canonical")
	}
}

// failing is memory that cannot be read.
type failing struct{ memory }

func (failing) ReadAt([]byte, mem.PA) error { return io.ErrClosedPipe }

func TestAFailingFileIsNoneOfTheThree(t *testing.T) {
	err := paging.New(failing{}, 0x1000, paging.X64).ReadAt(make([]byte, 1), 0)
	check(t, "failing", err, "PML4E", nil)
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestReadsAcrossPages(t *testing.T) {
	m := guest()
	m.entry(0x4000, 4, 0x7000|user) // below the first one in physical memory
	m.entry(0x4000, 5, 0x30000|user)
	m.fill(0x7000)
	m.fill(0x30000)
	s := paging.New(m, 0x1000, paging.X64)
	got := make([]byte, 0x1100)
	if err := s.ReadAt(got, va(0x1f0, 1, 2, 3, 0xf80)); err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{m[0x10000][0xf80:], m[0x7000], m[0x30000][:0x80]}, nil)
	if !bytes.Equal(got, want) {
		t.Error("wrong bytes")
	}
	// The page behind is not mapped: the error names its first address.
	err := s.ReadAt(got, va(0x1f0, 1, 2, 5, 0x800))
	check(t, "end", err, "PTE", paging.ErrNotPresent)
	var e *paging.Error
	if errors.As(err, &e) && e.VA != va(0x1f0, 1, 2, 6, 0) {
		t.Error(e.VA)
	}
	// From the last page of a table into the next one.
	m.entry(0x4000, 511, 0x50000|user)
	m.entry(0x3000, 3, 0x60000|user)
	m.entry(0x60000, 0, 0x51000|user)
	m.fill(0x50000)
	m.fill(0x51000)
	if v, err := s.Uint64(va(0x1f0, 1, 2, 511, 0xffc)); err != nil || v != 0x51000<<32 {
		t.Errorf("%#x %v", v, err)
	}
}

func TestReadsEndWithTheAddressSpace(t *testing.T) {
	m := guest()
	for _, e := range []struct {
		table mem.PA
		to    uint64
	}{{0x1000, 0x2000}, {0x2000, 0x3000}, {0x3000, 0x4000}, {0x4000, 0x10000}} {
		m.entry(e.table, 511, e.to|user)
		m.entry(e.table, 0, e.to|user)
	}
	s := paging.New(m, 0x1000, paging.X64)
	p := make([]byte, 16)
	if err := s.ReadAt(p, ^mem.VA(0)-15); err != nil {
		t.Error(err)
	}
	check(t, "around the end", s.ReadAt(p, ^mem.VA(0)-7), "address", paging.ErrMalformed)
}

func TestATableThatMapsItself(t *testing.T) {
	m := guest()
	m.entry(0x1000, 0x1ed, 0x1000|user)
	s := paging.New(m, 0x1000, paging.X64)
	// Through the self reference the tables appear as memory: the PTE of an
	// address, and the root itself at the innermost place.
	pa, _, err := s.Translate(va(0x1ed, 0x1ed, 0x1ed, 0x1ed, 0x1ed*8))
	if err != nil || pa != 0x1000+0x1ed*8 {
		t.Error(pa, err)
	}
	if v, err := s.Uint64(va(0x1ed, 0x1f0, 1, 2, 3*8)); err != nil || v != uint64(0x10000|user)|noExec {
		t.Errorf("%#x %v", v, err)
	}
}

func TestOwnTables(t *testing.T) {
	m := guest()
	m.entry(0x1000, 0x1ed, 0x1000|user)
	s := paging.New(m, 0x1000, paging.X64)
	for at, want := range map[mem.VA]bool{va(0x1ed, 0, 0, 0, 0): true, va(0x1ed, 511, 511, 511, 4095): true, va(0x1f0, 1, 2, 3, 0): false, va(2, 1, 2, 3, 0): false} {
		if got := s.OwnTables(at); got != want {
			t.Errorf("%v: %v", at, got)
		}
	}
	if s := paging.New(m, 0x123456000, paging.X64); s.OwnTables(va(0x1ed, 0, 0, 0, 0)) {
		t.Error("tables that are not there")
	}
}

// flat is memory whose addresses are virtual ones.
type flat struct{ memory }

func (f flat) ReadAt(p []byte, pa mem.PA) error {
	for i := range p {
		p[i] = byte(uint64(pa) + uint64(i))
	}
	return nil
}

func TestFlat(t *testing.T) {
	s := paging.New(flat{}, 0x1000, paging.X64.Flat())
	p := make([]byte, 16)
	for _, at := range []mem.VA{0, 0xff8, 0xfffff80000000ffa, ^mem.VA(0) - 15} {
		if err := s.ReadAt(p, at); err != nil || p[0] != byte(at) || p[15] != byte(at+15) {
			t.Errorf("%v: % x, %v", at, p, err)
		}
		if pa, left, err := s.Translate(at); err != nil || pa != mem.PA(at) || left == 0 {
			t.Errorf("%v: %v %#x %v", at, pa, left, err)
		}
	}
	check(t, "no address", s.ReadAt(p, 0x123400000000000), "address", paging.ErrMalformed)
	check(t, "around the end", s.ReadAt(p, ^mem.VA(0)-7), "address", paging.ErrMalformed)
	if s.OwnTables(0xfffff6fb40000000) || s.At(0x5000).Mode != s.Mode || !s.Mode.Kernel(0xfffff80000000000) {
		t.Error("it has tables")
	}
}
