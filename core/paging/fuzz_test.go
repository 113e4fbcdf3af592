package paging_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// modes are all that a walk can be asked for.
var modes = []*paging.Mode{paging.X64, paging.X64L5, paging.X86PAE, paging.X86, paging.ARM64,
	paging.X64.WithTransition(windows, 1<<45-1), paging.X86.WithTransition(windows, 1<<45-1)}

// FuzzTranslate walks any table in any mode: four pages of memory are filled
// with the same few entries, at any place.
func FuzzTranslate(f *testing.F) {
	f.Add(uint8(0), uint64(0x1000), uint64(va(0x1f0, 1, 2, 3, 9)), binary.LittleEndian.AppendUint64(nil, 0x2003))
	f.Add(uint8(2), uint64(0x1020), uint64(0xc0604123), []byte{0xe7, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(uint8(3), uint64(0x1000), uint64(0xffffffff), []byte{0x67, 0x20, 0, 0, 0xe7, 0xff, 0xff, 0xff})
	f.Add(uint8(4), uint64(0x2800), uint64(0xfffff80000404123), []byte{3, 0x30, 0, 0, 0, 0, 0, 0, 1, 7, 0x20, 0x40, 0, 0, 0x60, 0})
	f.Add(uint8(5), uint64(0x1000), ^uint64(0), []byte{0x80, 0x28, 0, 0, 0, 0x20, 0, 0})
	f.Fuzz(func(t *testing.T, which uint8, root, a uint64, entries []byte) {
		if len(entries) == 0 {
			return
		}
		mode := modes[int(which)%len(modes)]
		m := memory{}
		for pa := mem.PA(0x1000); pa < 0x5000; pa += mem.PageSize {
			page := m.page(pa)
			for n := 0; n < len(page); {
				n += copy(page[n:], entries)
			}
		}
		s := paging.New(m, root, mode)
		pa, left, err := s.Translate(mem.VA(a))
		if err != nil {
			var e *paging.Error
			if !errors.As(err, &e) || !errors.Is(err, paging.ErrNotPresent) && !errors.Is(err, paging.ErrMalformed) && !errors.Is(err, mem.ErrHole) {
				t.Fatal(err)
			}
			if n := paging.Skip(mem.VA(a), err); n == 0 || n > 1<<48 {
				t.Fatalf("%#x: skip %#x", a, n)
			}
			return
		}
		top := mode.Levels[0].Span()
		if left == 0 || left > top || uint64(pa)&0xfff != a&0xfff || uint64(pa)>>52 != 0 || !mode.Canonical(mem.VA(a)) {
			t.Fatalf("%#x: %v %#x", a, pa, left)
		}
		// The bytes read are those of the page, wherever it ends.
		var b [8]byte
		if err := s.ReadAt(b[:], mem.VA(a)); err == nil && left >= 8 {
			var want [8]byte
			if m.ReadAt(want[:], pa) != nil || want != b {
				t.Fatalf("%#x: % x, want % x", a, b, want)
			}
		}
	})
}
