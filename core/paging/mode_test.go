package paging_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// windows is an entry of a page that Windows has taken from its working set.
var windows = paging.Rule{Mask: 1<<0 | 1<<10 | 1<<11, Value: 1 << 11}

// entryAt puts an entry of a mode's width.
func (m memory) entryAt(mode *paging.Mode, table mem.PA, index int, value uint64) {
	at := table + mem.PA(index*mode.Entry)
	p := m.page(at.Page())[at-at.Page():]
	if mode.Entry == 4 {
		binary.LittleEndian.PutUint32(p, uint32(value))
		return
	}
	binary.LittleEndian.PutUint64(p, value)
}

// slot is an entry of the walk's level to be, and what it is set to.
type slot struct {
	index int
	value uint64
}

// tables builds one table a level at 0x1000, 0x2000, …, from the root down.
func tables(mode *paging.Mode, root mem.PA, slots ...slot) memory {
	m := memory{}
	for i, s := range slots {
		at := root
		if i > 0 {
			at = mem.PA(0x1000 * (i + 1))
		}
		m.entryAt(mode, at, s.index, s.value)
	}
	return m
}

// TestModes walks constructed tables of every mode: pages and large pages at
// each level that has them, rules of sign, entries that map nothing.
func TestModes(t *testing.T) {
	const mapped, none = true, false
	for _, c := range []struct {
		name  string
		mode  *paging.Mode
		root  uint64
		va    mem.VA
		slots []slot
		ok    bool
		pa    mem.PA // or, of what is not mapped, nothing
		left  uint64
		level string // of the error
	}{
		{"PAE page", paging.X86PAE, 0x1060 | 0x1f, 0xc0604123, []slot{{3, 0x2001}, {3, 0x3067}, {4, 0x8000000123456067}}, mapped, 0x123456123, 0xedd, ""},
		{"PAE, above 4 GiB", paging.X86PAE, 0x1000, 0x123, []slot{{0, 0x2001}, {0, 0x3067}, {0, 0xf_1234_5067}}, mapped, 0xf12345123, 0xedd, ""},
		{"PAE 2 MiB", paging.X86PAE, 0x1000, 0xc0612345, []slot{{3, 0x2001}, {3, 0x8_0040_10e7}}, mapped, 0x800412345, 0x1edcbb, ""},
		{"PAE, no large PDPTE", paging.X86PAE, 0x1000, 0xc0604123, []slot{{3, 0x2081}, {3, 0x3067}, {4, 0x9067}}, mapped, 0x9123, 0xedd, ""},
		{"PAE, not present", paging.X86PAE, 0x1000, 0xc0604123, []slot{{3, 0x2001}, {3, 0x3066}}, none, 0, 2 << 20, "PDE"},
		{"PAE, 33 bits", paging.X86PAE, 0x1000, 1 << 32, nil, none, 0, 0, "address"},
		{"PAE, sign-extended", paging.X86PAE, 0x1000, 0xffffffffc0604123, nil, none, 0, 0, "address"},

		{"x86 page", paging.X86, 0x1000 | 0xfff, 0xc0404123, []slot{{0x301, 0x2067}, {4, 0x89abc067}}, mapped, 0x89abc123, 0xedd, ""},
		{"x86 4 MiB", paging.X86, 0x1000, 0xc0512345, []slot{{0x301, 0x004000e7}}, mapped, 0x512345, 0x2edcbb, ""},
		{"x86 4 MiB above 4 GiB", paging.X86, 0x1000, 0xc0512345, []slot{{0x301, 0x004000e7 | 0xa5<<13}}, mapped, 0xa500512345, 0x2edcbb, ""},
		{"x86, its attribute", paging.X86, 0x1000, 0xc0512345, []slot{{0x301, 0x004010e7}}, mapped, 0x512345, 0x2edcbb, ""},
		{"x86, not present", paging.X86, 0x1000, 0xc0404123, []slot{{0x301, 0x2067}, {4, 0x89abc066}}, none, 0, 0x1000, "PTE"},
		{"x86, 33 bits", paging.X86, 0x1000, 1 << 32, nil, none, 0, 0, "address"},

		{"ARM64 page", paging.ARM64, 0xabcd_0000_0000_1801, 0xfffff80000404123, []slot{{0x1f0, 0x2003}, {0, 0x3003}, {2, 0x4003}, {4, 0x00600000_12345703}}, mapped, 0x12345123, 0xedd, ""},
		{"ARM64 2 MiB block", paging.ARM64, 0x1000, 0xfffff80000412345, []slot{{0x1f0, 0x2003}, {0, 0x3003}, {2, 0x00600000_40200701}}, mapped, 0x40212345, 0x1edcbb, ""},
		{"ARM64 1 GiB block", paging.ARM64, 0x1000, 0xfffff80012345678, []slot{{0x1f0, 0x2003}, {0, 0x00600000_80000701}}, mapped, 0x92345678, 0x2dcba988, ""},
		{"ARM64, lower half", paging.ARM64, 0x1000, 0x123, []slot{{0, 0x2003}, {0, 0x3003}, {0, 0x4003}, {0, 0x5003}}, mapped, 0x5123, 0xedd, ""},
		// Bit 7 is an access permission: neither a block nor a large page.
		{"ARM64, bit 7 of a table", paging.ARM64, 0x1000, 0x123, []slot{{0, 0x2083}, {0, 0x3083}, {0, 0x4083}, {0, 0x5083}}, mapped, 0x5123, 0xedd, ""},
		{"ARM64, a block at the root", paging.ARM64, 0x1000, 0x123, []slot{{0, 0x2001}}, none, 0, 1 << 39, "L0"},
		{"ARM64, reserved at the end", paging.ARM64, 0x1000, 0x123, []slot{{0, 0x2003}, {0, 0x3003}, {0, 0x4003}, {0, 0x5001}}, none, 0, 0x1000, "L3"},
		{"ARM64, bit 1 alone", paging.ARM64, 0x1000, 0x123, []slot{{0, 0x2003}, {0, 0x3002}}, none, 0, 1 << 30, "L1"},
		{"ARM64, 49 bits", paging.ARM64, 0x1000, 0x0001_0000_0000_0000, nil, none, 0, 0, "address"},
		{"ARM64, a tag", paging.ARM64, 0x1000, 0xa5fff80000404123, nil, none, 0, 0, "address"},
	} {
		m := tables(c.mode, mem.PA(c.root&c.mode.Root), c.slots...)
		m.page(0x4000) // a table that is read without an entry
		s := paging.New(m, c.root, c.mode)
		pa, left, err := s.Translate(c.va)
		if c.ok {
			if err != nil || pa != c.pa || left != c.left {
				t.Errorf("%s: %v %#x %v, want %v %#x", c.name, pa, left, err, c.pa, c.left)
			}
			continue
		}
		reason := paging.ErrNotPresent
		if c.level == "address" {
			reason = paging.ErrMalformed
		}
		check(t, c.name, err, c.level, reason)
		var e *paging.Error
		if errors.As(err, &e) && e.Span != c.left {
			t.Errorf("%s: span %#x, want %#x", c.name, e.Span, c.left)
		}
	}
}

// TestHalves holds which addresses of each mode are the kernel's.
func TestHalves(t *testing.T) {
	for _, c := range []struct {
		mode            *paging.Mode
		first, last     mem.VA // of the upper half
		below, stranger mem.VA
	}{
		{paging.X64, 0xffff800000000000, ^mem.VA(0), 0x00007fffffffffff, 0xffff7fffffffffff},
		{paging.X64L5, 0xff00000000000000, ^mem.VA(0), 0x00ffffffffffffff, 0xfeffffffffffffff},
		{paging.ARM64, 0xffff800000000000, ^mem.VA(0), 0x00007fffffffffff, 0x0000800000000000},
		{paging.X86PAE, 0x80000000, 0xffffffff, 0x7fffffff, 0xffffffff80000000},
		{paging.X86, 0x80000000, 0xffffffff, 0x7fffffff, 1 << 32},
	} {
		if c.mode.Upper() != c.first || !c.mode.Kernel(c.first) || !c.mode.Kernel(c.last) {
			t.Errorf("%s: the upper half begins at %v", c.mode.Name, c.mode.Upper())
		}
		if c.mode.Kernel(c.below) || !c.mode.Canonical(c.below) || c.mode.Kernel(c.stranger) || c.mode.Canonical(c.stranger) {
			t.Errorf("%s: %v or %v", c.mode.Name, c.below, c.stranger)
		}
	}
}

// TestTransition reads pages that Windows has taken from its working set, and
// tables as well, and counts each page once.
func TestTransition(t *testing.T) {
	const high = 1 << 45 // which Windows sets against L1TF
	for _, mode := range []*paging.Mode{paging.X64, paging.X86PAE, paging.X86} {
		kept := mode.WithTransition(windows, 0x00001ffffffff000)
		var slots []slot
		for i := range mode.Levels {
			slots = append(slots, slot{0, uint64(0x1000*(i+2)) | 0x67})
		}
		last := len(slots) - 1
		page := mem.PA(0x1000 * (last + 2))
		for _, c := range []struct {
			name  string
			level int
			value uint64
			ok    bool
		}{
			{"page", last, uint64(page) | 0x880, true},
			// Bit 7 is one of the protection there.
			{"table", last - 1, uint64(page-0x1000) | 0x8e0, true},
			{"prototype", last, uint64(page) | 0xc80, false},
			{"paged out", last, uint64(page) | 0x080, false},
			{"zero", last, 0, false},
		} {
			change := append([]slot{}, slots...)
			if mode.Entry == 8 && c.value&0x800 != 0 {
				c.value |= high
			}
			change[c.level].value = c.value
			m := tables(mode, 0x1000, change...)
			m.fill(page)
			for _, mode := range []*paging.Mode{mode, kept} {
				s := paging.New(m, 0x1000, mode)
				other := s.At(0x1000)
				pa, left, err := s.Translate(0x123)
				if c.ok && mode == kept {
					other.Resolves(0x456)
					if err != nil || pa != page+0x123 || left != 0xedd || s.InTransition() != 1 || other.InTransition() != 1 {
						t.Errorf("%s, %s: %v %#x %v, %d pages", mode.Name, c.name, pa, left, err, s.InTransition())
					}
					continue
				}
				check(t, c.name, err, mode.Levels[c.level].Name, paging.ErrNotPresent)
				if s.InTransition() != 0 {
					t.Errorf("%s, %s: counted", mode.Name, c.name)
				}
			}
		}
		// What is simply mapped is not counted.
		m := tables(mode, 0x1000, slots...)
		m.fill(page)
		if s := paging.New(m, 0x1000, kept); !s.Resolves(0) || s.InTransition() != 0 {
			t.Errorf("%s: %d pages", mode.Name, s.InTransition())
		}
	}
}
