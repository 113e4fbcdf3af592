package dmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// wanted gives what the dump must hold of a page of the guest's stretch: the
// guest's bytes with the patches of the default profile laid on here by hand.
func wanted(g *guest, k *windows.Kernel, compat bool) []byte {
	want := bytes.Clone(g.data)
	copy(want[pageKDBG*mem.PageSize+0xf00:], g.plain)
	if !compat {
		want[pageLists*mem.PageSize+0x40] = 0
	}
	for i := 0; i < g.cpus; i++ {
		s := state(i)
		rec := want[(pageContext+perCPU*i)*mem.PageSize+0xd00:][:0x4d0]
		clear(rec)
		put32 := func(off int, v uint32) { binary.LittleEndian.PutUint32(rec[off:], v) }
		put16 := func(off int, v uint16) { binary.LittleEndian.PutUint16(rec[off:], v) }
		put64 := func(off int, v uint64) { binary.LittleEndian.PutUint64(rec[off:], v) }
		put32(0x30, 0x100007)
		put32(0x34, 0x1f80)
		put32(0x118, 0x1f80)
		for j, v := range []uint16{0x10, 0x2b, 0x2c, 0x53, 0x2d, 0x18} {
			put16(0x38+2*j, v)
		}
		put32(0x44, 0x246)
		for j := 0; j < 17; j++ {
			put64(0x78+8*j, uint64(i+1)<<32+uint64(j)+1)
		}
		if compat {
			continue
		}
		sp := want[(pagePRCB+perCPU*i)*mem.PageSize+0x180+0x100:]
		binary.LittleEndian.PutUint64(sp[0x00:], s.CR0)
		binary.LittleEndian.PutUint64(sp[0x08:], s.CR2)
		binary.LittleEndian.PutUint64(sp[0x10:], s.CR3)
		binary.LittleEndian.PutUint64(sp[0x18:], s.CR4)
		binary.LittleEndian.PutUint16(sp[0x56:], 0x57)
		binary.LittleEndian.PutUint64(sp[0x58:], s.GDT.Base)
		binary.LittleEndian.PutUint16(sp[0x66:], 0xfff)
		binary.LittleEndian.PutUint64(sp[0x68:], s.IDT.Base)
		binary.LittleEndian.PutUint16(sp[0x70:], 0x40)
		binary.LittleEndian.PutUint16(sp[0x72:], 0x48)
	}
	return want
}

func TestDefaultProfile(t *testing.T) {
	g := newGuest(2, true)
	k := g.kernel(t, nil)
	k.BugCheck = &windows.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 3, 4}}
	k.CurrentCPU = 1
	im := build(t, k, Options{})
	data := bytesOf(t, im, g.file)
	d := reread(t, data)
	if !bytes.Equal(data[0x2000:], wanted(g, k, false)) {
		t.Fatal("the page data is not the guest's with its patches")
	}
	for off, want := range map[int]uint32{
		0x8: 15, 0xc: 19041, 0x30: 0x8664, 0x34: 2, 0x38: 0xd1, 0x3c: 0x45474150, 0x60: 0x45474150, 0x88: 1, 0x8c: 0,
		0xa8: 0x45474150, 0x344: 0x45474150, 0x348 + 0x30: 0x100007, 0x348 + 0x4d0: 0x45474150,
		0xf00: 0x80000003, 0xf04: 1, 0xf98: 1, 0xfb0: 0x45474150, 0x102c: 0x45474150, 0x103c: 0x45474150,
		0x1040: 1, 0x1044: 0x110, 0x1048: 0, 0x1050: 0x45474150, 0x1054: 0x45474150, 0x1ffc: 0x45474150,
	} {
		if got := d.U32(off); got != want {
			t.Errorf("header %#x: %#x, want %#x", off, got, want)
		}
	}
	for off, want := range map[int]uint64{
		0x10: uint64(guestPA), 0x18: uint64(at(pageLists, 0x400)), 0x20: uint64(at(pageLists, 0x200)), 0x28: uint64(at(pageLists, 0x300)),
		0x40: 1, 0x48: 2, 0x50: 3, 0x58: 4, 0x80: uint64(at(pageKDBG, 0xf00)), 0x90: guestPages, 0x98: 0x100, 0xa0: guestPages,
		0x348 + 0xf8: 2<<32 + 17, 0xf10: 2<<32 + 17, 0xf08: 0, 0xf18: 0, 0xfa0: 0x2000 + guestPages*4096,
		0xfa8: 0x01da05f3a5c7b2d4, 0x1030: 0xa1b2c3d4e,
	} {
		if got := d.U64(off); got != want {
			t.Errorf("header %#x: %#x, want %#x", off, got, want)
		}
	}
	if d.Header[0x104c] != 'P' || d.Header[0x104d] != 0 || d.Header[0x104e] != 'G' {
		t.Errorf("bytes 0x104c: % x", d.Header[0x104c:0x1050])
	}
	verified(t, k, im)
	if len(im.Contexts) != 2 || len(im.Warnings) != 0 {
		t.Errorf("contexts %v, warnings %v", im.Contexts, im.Warnings)
	}
	for _, what := range []string{"KDBG decoded", "KdpDataBlockEncoded cleared", "context of CPU 1", "special registers of CPU 0"} {
		found := false
		for _, p := range im.Patches {
			found = found || p.What == what
		}
		if !found {
			t.Errorf("no patch %q in %v", what, im.Patches)
		}
	}
}

func TestAliveGuest(t *testing.T) {
	g := newGuest(1, false)
	k := g.kernel(t, nil)
	k.KDBG.Encoded = false
	d := reread(t, bytesOf(t, build(t, k, Options{}), g.file))
	if d.U32(0x38) != 0x161 || d.U64(0x40) != 0 {
		t.Errorf("bug check %#x %#x", d.U32(0x38), d.U64(0x40))
	}
}

func TestProcessorsAreThoseThatAreActive(t *testing.T) {
	g := newGuest(3, true)
	for _, tc := range []struct{ active, want uint32 }{{0, 3}, {2, 2}, {3, 3}, {9, 3}} {
		k := g.kernel(t, nil)
		k.Shared.ActiveProcessors = tc.active
		if got := reread(t, bytesOf(t, build(t, k, Options{}), g.file)).U32(0x34); got != tc.want {
			t.Errorf("%d active: %d processors in the header, want %d", tc.active, got, tc.want)
		}
	}
}

func TestCompatProfile(t *testing.T) {
	g := newGuest(2, true)
	g.fragments(3, 0x80000) // below the guest, but behind it in the file: upstream keeps the file's order
	k := g.kernel(t, nil)
	k.BugCheck = &windows.BugCheck{Code: 0xd1}
	im := build(t, k, Options{Compat: true})
	data := bytesOf(t, im, g.file)
	want := make([]byte, 0x2000)
	copy(want, "PAGEDU64")
	p32 := func(off int, v uint32) { binary.LittleEndian.PutUint32(want[off:], v) }
	p64 := func(off int, v uint64) { binary.LittleEndian.PutUint64(want[off:], v) }
	p32(0x8, 15)
	p32(0xc, 19041)
	p64(0x10, uint64(guestPA))
	p64(0x18, uint64(at(pageLists, 0x400)))
	p64(0x20, uint64(at(pageLists, 0x200)))
	p64(0x28, uint64(at(pageLists, 0x300)))
	p32(0x30, 0x8664)
	p32(0x34, 2)
	p32(0x38, 0x161)
	p64(0x80, uint64(at(pageKDBG, 0xf00)))
	p32(0x88, 4)
	p64(0x90, guestPages+3)
	for i, r := range [][2]uint64{{0x100, guestPages}, {0x80, 1}, {0x82, 1}, {0x84, 1}} {
		p64(0x98+16*i, r[0])
		p64(0xa0+16*i, r[1])
	}
	p32(0xf98, 1)
	p64(0xfa0, 0x2000+(guestPages+3)*4096)
	copy(want[0xfb0:], "Hello from elf2dmp!")
	p32(0x103c, 2)
	p32(0x1040, 1)
	p32(0x1044, 0x110)
	if !bytes.Equal(data[:0x2000], want) {
		for i := range want {
			if data[i] != want[i] {
				t.Fatalf("header differs at %#x: %#x, want %#x", i, data[i], want[i])
			}
		}
	}
	want = append(wanted(g, k, true), g.file[len(g.file)-3*4096:]...)
	if !bytes.Equal(data[0x2000:], want) {
		t.Fatal("the page data is not upstream's")
	}
}

// Upstream trims loads to whole pages; what is left over is lost there, and kept
// here with zeros.
func TestPartialPages(t *testing.T) {
	g := newGuest(1, true)
	g.fragments(0, 0)
	tail := int64(len(g.file))
	g.file = append(g.file, bytes.Repeat([]byte{0xee}, 0xf80)...)
	g.extra = []mem.Extent{{Start: 0xfed40080, Bytes: 0xf80, Offset: tail}}
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	d := reread(t, bytesOf(t, im, g.file))
	page := make([]byte, 4096)
	if err := d.Physical(page, 0xfed40000); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, append(make([]byte, 0x80), bytes.Repeat([]byte{0xee}, 0xf80)...)) {
		t.Error("the partial page is not zero-filled")
	}
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage || !strings.Contains(im.Warnings[0].Text, "0xfed40") {
		t.Errorf("warnings %v", im.Warnings)
	}
	im = build(t, g.kernel(t, nil), Options{Compat: true})
	d = reread(t, bytesOf(t, im, g.file))
	if len(d.Runs) != 1 || d.Runs[0].Count != guestPages {
		t.Errorf("compat: runs %v", d.Runs)
	}
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage {
		t.Errorf("compat: warnings %v", im.Warnings)
	}
}

// A page that two loads share is whole, but not for upstream.
func TestPageInTwoLoads(t *testing.T) {
	g := newGuest(1, true)
	cut := uint64(30*mem.PageSize + 0x800)
	blocks := []mem.Extent{{Start: guestPA, Bytes: cut, Offset: 0x333}, {Start: guestPA + mem.PA(cut), Bytes: uint64(len(g.data)) - cut, Offset: 0x333 + int64(cut)}}
	k := g.kernel(t, blocks)
	im := build(t, k, Options{})
	if len(im.Warnings) != 0 || !bytes.Equal(bytesOf(t, im, g.file)[0x2000:], wanted(g, k, false)) {
		t.Errorf("not whole: %v", im.Warnings)
	}
	im = build(t, g.kernel(t, blocks), Options{Compat: true})
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage || im.Size() != 0x2000+(guestPages-1)*4096 {
		t.Errorf("compat: %d bytes, %v", im.Size(), im.Warnings)
	}
}

// A core of countless fragments of pages must not become as many literal pages.
func TestManyPartialPagesStayOutOfMemory(t *testing.T) {
	g := newGuest(1, true)
	g.fragments(0, 0)
	tail := int64(len(g.file))
	const n = literalPages + 10
	for i := 0; i < n; i++ {
		g.extra = append(g.extra, mem.Extent{Start: mem.PA(0x1000000 + 4096*i + 8), Bytes: 8, Offset: tail + int64(8*i)})
		g.file = append(g.file, bytes.Repeat([]byte{byte(i) | 1}, 8)...)
	}
	im := build(t, g.kernel(t, nil), Options{})
	literal := 0
	for _, p := range im.Parts() {
		literal += len(p.Literal)
	}
	if literal > (literalPages+20)*mem.PageSize {
		t.Errorf("%d literal bytes", literal)
	}
	if len(im.Warnings) != maxNamed+1 {
		t.Errorf("%d warnings", len(im.Warnings))
	}
	data := bytesOf(t, im, g.file)
	last := data[len(data)-4096:]
	if want := byte((n-1)&0xff) | 1; last[8] != want || last[15] != want || last[7] != 0 || last[16] != 0 {
		t.Errorf("the last partial page: % x", last[:24])
	}
}

func TestRunLimits(t *testing.T) {
	for _, fragments := range []int{41, 42, 43, 502} { // and the guest's own run
		runs := fragments + 1
		t.Run(fmt.Sprint(runs), func(t *testing.T) {
			g := newGuest(1, true)
			g.fragments(fragments, 0x10000000)
			k := g.kernel(t, nil)
			im := build(t, k, Options{})
			data := bytesOf(t, im, g.file)
			d := reread(t, data)
			wantType, wantWarnings := uint32(1), 0
			if runs > 42 {
				wantType, wantWarnings = 5, 1
			}
			if d.Type != wantType || len(d.Runs) != runs {
				t.Fatalf("type %d with %d runs", d.Type, len(d.Runs))
			}
			if len(im.Warnings) != wantWarnings || wantWarnings == 1 && im.Warnings[0].Code != fault.BitmapDump {
				t.Errorf("warnings %v", im.Warnings)
			}
			if wantType == 5 && (d.U32(0x88) != 0x45474150 || im.Type != TypeBitmap) {
				t.Errorf("bitmap dump: runs field %#x, type %s", d.U32(0x88), im.Type)
			}
			page := make([]byte, 4096)
			for i := 0; i < fragments; i++ {
				if err := d.Physical(page, uint64(0x10000000+2*i*4096)); err != nil || page[0] != byte(i+1) || page[4095] != byte(i+1) {
					t.Fatalf("fragment %d: %#x, %v", i, page[0], err)
				}
			}
			verified(t, k, im)

			im, err := New(context.Background(), g.kernel(t, nil), Options{Compat: true})
			if runs > 43 {
				if !fault.Is(err, fault.CompatLossy) {
					t.Errorf("compat: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := reread(t, bytesOf(t, im, g.file)); len(d.Runs) != runs {
				t.Errorf("compat: %d runs", len(d.Runs))
			}
		})
	}
}

// Above 42 blocks upstream joins those that follow one another.
func TestCompatMergesAbove42(t *testing.T) {
	g := newGuest(1, true)
	var blocks []mem.Extent
	for i := 0; i < guestPages; i++ {
		blocks = append(blocks, mem.Extent{Start: guestPA + mem.PA(i*4096), Bytes: 4096, Offset: int64(0x333 + i*4096)})
	}
	im := build(t, g.kernel(t, blocks), Options{Compat: true})
	if len(im.Runs) != 1 || im.Runs[0].Pages != guestPages {
		t.Errorf("runs %v", im.Runs)
	}
	im = build(t, g.kernel(t, blocks[:42]), Options{Compat: true})
	if len(im.Runs) != 42 {
		t.Errorf("42 blocks became %d runs", len(im.Runs))
	}
}

func TestCompatRefusesWhatUpstreamLoses(t *testing.T) {
	g := newGuest(1, true)
	whole := mem.Extent{Start: guestPA, Bytes: uint64(len(g.data)), Offset: 0x333}
	overlap := g.kernel(t, []mem.Extent{whole, {Start: guestPA + 4096, Bytes: 8192, Offset: 0x333 + 4096}})
	many := g.kernel(t, nil)
	many.Machine.Headers = 70572
	other := g.kernel(t, nil)
	other.Machine.Format = "kdump"
	for name, k := range map[string]*windows.Kernel{"overlap": overlap, "headers": many, "format": other} {
		if _, err := New(context.Background(), k, Options{Compat: true}); !fault.Is(err, fault.CompatLossy) {
			t.Errorf("%s: %v", name, err)
		}
		verified(t, k, build(t, k, Options{}))
	}
}

func TestBitmapOnRequest(t *testing.T) {
	g := newGuest(2, true)
	// A second stretch far up: whole chunks of the bitmap are of one kind.
	g.fragments(2, 0x40_0000_0000)
	k := g.kernel(t, nil)
	im := build(t, k, Options{Type: TypeBitmap})
	if len(im.Warnings) != 0 {
		t.Errorf("warnings %v", im.Warnings)
	}
	d := reread(t, bytesOf(t, im, g.file))
	if d.Type != 5 || len(d.Runs) != 3 {
		t.Fatalf("type %d, runs %v", d.Type, d.Runs)
	}
	verified(t, k, im)
	shared := map[*byte]int{}
	for _, p := range im.Parts() {
		if len(p.Literal) == bitmapChunk {
			shared[&p.Literal[0]]++
		}
	}
	most := 0
	for _, n := range shared {
		most = max(most, n)
	}
	if most < 5 {
		t.Errorf("the bitmap's equal chunks do not share their bytes: %v", shared)
	}
}

func TestBitmapBits(t *testing.T) {
	runs := []mem.Run{{Start: 0x3000, Pages: 2}, {Start: 9 << 12, Pages: 70}, {Start: 1 << 35, Pages: 20 << 20}, {Start: 1 << 38, Pages: 1}}
	s, err := shapeOf(runs)
	if err != nil {
		t.Fatal(err)
	}
	im := &Image{}
	b := &builder{im: im}
	b.bytes(make([]byte, headerBytes))
	b.bitmap(runs, s)
	if im.size != s.firstPage || s.firstPage%4096 != 0 || s.bits%64 != 0 {
		t.Fatalf("size %#x, shape %+v", im.size, s)
	}
	bitmap := make([]byte, s.bits/8)
	if _, err := im.ReadAt(bitmap, headerBytes+0x38); err != nil {
		t.Fatal(err)
	}
	set, next := uint64(0), 0
	for pfn := uint64(0); pfn < s.bits; pfn++ {
		for next < len(runs) && pfn >= uint64(runs[next].End())/4096 {
			next++
		}
		want := next < len(runs) && pfn >= uint64(runs[next].Start)/4096
		got := bitmap[pfn/8]>>(pfn%8)&1 == 1
		if got != want {
			t.Fatalf("page %#x: %v, want %v", pfn, got, want)
		}
		if got {
			set++
		}
	}
	if set != s.set {
		t.Errorf("%d set, shape says %d", set, s.set)
	}
	if _, err := shapeOf([]mem.Run{{Start: 1 << 50, Pages: 1}}); !fault.Is(err, fault.DamagedHeader) {
		t.Errorf("beyond the bitmap's reach: %v", err)
	}
}

func TestContextsThatCannotBeWritten(t *testing.T) {
	whole := func() []mem.Extent { return nil }
	// Page 10 holds the second half of CPU 0's context.
	hole := func() []mem.Extent {
		return []mem.Extent{{Start: guestPA, Bytes: 10 * 4096, Offset: 0x333}, {Start: pa(11, 0), Bytes: (guestPages - 11) * 4096, Offset: 0x333 + 11*4096}}
	}
	for name, tc := range map[string]struct {
		blocks func() []mem.Extent
		change func(k *windows.Kernel)
		cpu    string
	}{
		"not in the file": {hole, func(*windows.Kernel) {}, "CPU 0"},
		"unmapped":        {whole, func(k *windows.Kernel) { k.Processors[1].Context = 0xffff900000000000 }, "CPU 1"},
		"no address":      {whole, func(k *windows.Kernel) { k.Processors[1].Context = 0 }, "CPU 1"},
		"no registers":    {whole, func(k *windows.Kernel) { k.Machine.CPUs[0].X64 = nil }, "CPU 0"},
		"refused": {whole, func(k *windows.Kernel) {
			k.Processors[0].Err = fault.New(fault.ContextUnreadable, "its block is unreadable")
		}, "CPU 0: no place to store its registers: its block is unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(2, true)
			k := g.kernel(t, tc.blocks())
			tc.change(k)
			im := build(t, k, Options{})
			if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.ContextUnreadable || !strings.HasPrefix(im.Warnings[0].Text, tc.cpu) {
				t.Fatalf("warnings %v", im.Warnings)
			}
			if len(im.Contexts) != 1 {
				t.Errorf("contexts %v", im.Contexts)
			}
			for _, p := range im.Patches {
				if p.What == "context of "+tc.cpu[:5] {
					t.Errorf("half a context was written: %v", p)
				}
			}
			verified(t, k, im)
		})
	}
	// Upstream writes up to the missing page.
	g := newGuest(1, true)
	im := build(t, g.kernel(t, hole()), Options{Compat: true})
	found := false
	for _, p := range im.Patches {
		found = found || p.What == "context of CPU 0" && p.Bytes == 0x300
	}
	if !found || len(im.Warnings) != 1 {
		t.Errorf("compat: %v, %v", im.Patches, im.Warnings)
	}
}

func TestSpecialRegistersOffsetUnknown(t *testing.T) {
	g := newGuest(1, true)
	clear(g.plain[0x2f2:0x2f4])
	im := build(t, g.kernel(t, nil), Options{})
	for _, p := range im.Patches {
		if strings.HasPrefix(p.What, "special") {
			t.Errorf("written at an unknown place: %v", p)
		}
	}
}

// KDBG whose second page is not in the core cannot be shown in clear.
func TestKDBGCannotBeWritten(t *testing.T) {
	g := newGuest(1, true)
	k := g.kernel(t, []mem.Extent{{Start: guestPA, Bytes: 6 * 4096, Offset: 0x333}, {Start: pa(7, 0), Bytes: 20 * 4096, Offset: 0x333 + 7*4096}})
	if _, err := New(context.Background(), k, Options{}); !fault.Is(err, fault.KDBGUndecodable) {
		t.Error(err)
	}
}

// compressed hands out the guest's memory without saying where a file holds it.
type compressed struct{ mem.Physical }

func (c compressed) Extents() []mem.Extent {
	var list []mem.Extent
	for _, e := range c.Physical.Extents() {
		e.Offset = -1
		list = append(list, e)
	}
	return list
}

func TestCompressedContainer(t *testing.T) {
	g := newGuest(2, true)
	k := g.kernel(t, nil)
	k.Machine.Mem = compressed{k.Machine.Mem}
	im := build(t, k, Options{})
	for _, p := range im.Parts() {
		if p.Source.Bytes > 0 {
			t.Fatalf("a range of the file: %+v", p)
		}
	}
	if !bytes.Equal(bytesOf(t, im, g.file)[0x2000:], wanted(g, k, false)) {
		t.Error("the page data differs")
	}
	verified(t, k, im)
}

func TestNeighboursAreJoined(t *testing.T) {
	g := newGuest(1, true)
	// A second block that follows in the file, not in memory: one range.
	g.fragments(1, 0x200000)
	im := build(t, g.kernel(t, nil), Options{})
	parts := im.Parts()
	last := parts[len(parts)-1]
	if last.Source.Off+last.Source.Bytes != int64(len(g.file)) || last.Source.Bytes <= mem.PageSize {
		t.Errorf("last part %+v of a file of %#x", last, len(g.file))
	}
	for i := 1; i < len(parts); i++ {
		a, b := parts[i-1].Source, parts[i].Source
		if a.Bytes > 0 && b.Bytes > 0 && a.Off+a.Bytes == b.Off {
			t.Errorf("parts %d and %d adjoin", i-1, i)
		}
	}
}

func TestShrunkenFile(t *testing.T) {
	g := newGuest(1, true)
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	im.memory, _ = mem.NewFile(shrunken{}, int64(len(g.file)), k.Machine.Blocks, 0)
	_, err := im.ReadAt(make([]byte, 4096), im.Size()-4096)
	if !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}

type shrunken struct{}

func (shrunken) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

func TestOptions(t *testing.T) {
	g := newGuest(1, true)
	for _, o := range []Options{{Type: "kernel"}, {Type: TypeBitmap, Compat: true}} {
		if _, err := New(context.Background(), g.kernel(t, nil), o); !fault.Is(err, fault.BadOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New(ctx, g.kernel(t, nil), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	k := g.kernel(t, nil)
	k.KDBG = windows.KDBG{}
	if _, err := New(context.Background(), k, Options{}); !fault.Is(err, fault.KDBGMissing) {
		t.Error(err)
	}
}

func TestSameImageTwice(t *testing.T) {
	g := newGuest(2, true)
	g.fragments(50, 0x10000000)
	a := bytesOf(t, build(t, g.kernel(t, nil), Options{}), g.file)
	b := bytesOf(t, build(t, g.kernel(t, nil), Options{}), g.file)
	if !bytes.Equal(a, b) {
		t.Error("two images of one core differ")
	}
}
