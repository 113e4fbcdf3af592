package dmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
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
		binary.LittleEndian.PutUint64(sp[0x00:], s.Get(cpu.CR0))
		binary.LittleEndian.PutUint64(sp[0x08:], s.Get(cpu.CR2))
		binary.LittleEndian.PutUint64(sp[0x10:], s.Get(cpu.CR3))
		binary.LittleEndian.PutUint64(sp[0x18:], s.Get(cpu.CR4))
		binary.LittleEndian.PutUint16(sp[0x56:], 0x57)
		binary.LittleEndian.PutUint64(sp[0x58:], s.Get(cpu.GDTBase))
		binary.LittleEndian.PutUint16(sp[0x66:], 0xfff)
		binary.LittleEndian.PutUint64(sp[0x68:], s.Get(cpu.IDTBase))
		binary.LittleEndian.PutUint16(sp[0x70:], 0x40)
		binary.LittleEndian.PutUint16(sp[0x72:], 0x48)
	}
	return want
}

func TestDefaultProfile(t *testing.T) {
	g := newGuest(2, true)
	k := g.kernel(t, nil)
	k.BugCheck = &windows.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 3, 4}}
	k.Opens.Index = 1
	im := build(t, k, Options{})
	data := bytesOf(t, im, g.file)
	d := reread(t, data)
	if !bytes.Equal(data[0x2000:], wanted(g, k, false)) {
		t.Fatal("the page data is not the guest's with its patches")
	}
	for off, want := range map[int]uint32{
		0x8: 15, 0xc: 19041, 0x30: 0x8664, 0x34: 2, 0x38: 0xd1, 0x3c: 0x45474150, 0x60: 0x45474150, 0x88: 1, 0x8c: 0,
		0xa8: 0x45474150, 0x344: 0x45474150, 0x348 + 0x30: 0x100007, 0x348 + 0x4d0: 0, 0xefc: 0, 0xf18: 0, 0xf1c: 0x45474150, 0xf94: 0x45474150,
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
		0x348 + 0xf8: 2<<32 + 17, 0xf10: 2<<32 + 17, 0xf08: 0, 0xfa0: 0x2000 + guestPages*4096,
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

// compressed hands out the guest's memory without saying where a file holds it.
type compressed struct{ mem.Physical }

func (c compressed) Extents() []mem.Extent {
	var list []mem.Extent
	for _, e := range c.Physical.Extents() {
		e.Origin = mem.Decoded
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
		if p.Kind == Copy {
			t.Fatalf("a range of the file: %+v", p)
		}
	}
	if !bytes.Equal(bytesOf(t, im, g.file)[0x2000:], wanted(g, k, false)) {
		t.Error("the page data differs")
	}
	verified(t, k, im)
}

func TestShrunkenFile(t *testing.T) {
	g := newGuest(1, true)
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	im.memory, _ = mem.NewFile(source.Source{ReaderAt: shrunken{}, Size: int64(len(g.file))}, k.Machine.ELF.Loads, 0)
	_, err := im.ReadAt(make([]byte, 4096), im.Size()-4096)
	if !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}

type shrunken struct{}

func (shrunken) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

func TestOptions(t *testing.T) {
	g := newGuest(1, true)
	for _, o := range []Options{{Type: "triangle"}, {Type: TypeBitmap, Compat: true}} {
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
