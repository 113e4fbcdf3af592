package dmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// A guest for these tests, laid out by hand: its memory is one stretch of
// frames at guestPA, mapped in order at guestVA.
const (
	guestPA    = mem.PA(0x100000)
	guestVA    = mem.VA(0xfffff80000000000)
	guestPages = 48

	pageKernel  = 4 // MZ
	pageKDBG    = 5 // the block begins at +0xf00 and crosses into page 6
	pageLists   = 7
	pagePRCB    = 8 // one of four pages for each processor
	pageContext = 9 // the record begins at +0xd00 and crosses into the next page
	perCPU      = 4

	kdbgSize  = 0x380
	specialAt = 0x100
	contextAt = 0x800
)

func at(page, off int) mem.VA { return guestVA + mem.VA(page*mem.PageSize+off) }
func pa(page, off int) mem.PA { return guestPA + mem.PA(page*mem.PageSize+off) }

type guest struct {
	data  []byte // the stretch at guestPA
	cpus  int
	plain []byte // KDBG in clear
	extra []mem.Extent
	file  []byte
}

func (g *guest) put64(page, off int, v uint64) {
	binary.LittleEndian.PutUint64(g.data[page*mem.PageSize+off:], v)
}

// newGuest lays the guest out; encoded says that its KDBG is not in clear.
func newGuest(cpus int, encoded bool) *guest {
	g := &guest{data: make([]byte, guestPages*mem.PageSize), cpus: cpus}
	for i := range g.data[pageKernel*mem.PageSize:] {
		g.data[pageKernel*mem.PageSize+i] = byte(i * 7)
	}
	const flags = 3
	index := func(shift uint) int { return int(guestVA>>shift) & 511 * 8 }
	g.put64(0, index(39), uint64(pa(1, 0))|flags)
	g.put64(1, index(30), uint64(pa(2, 0))|flags)
	g.put64(2, index(21), uint64(pa(3, 0))|flags)
	for i := 0; i < guestPages; i++ {
		g.put64(3, 8*i, uint64(pa(i, 0))|flags)
	}
	copy(g.data[pageKernel*mem.PageSize:], "MZ")

	g.plain = make([]byte, kdbgSize)
	k := func(off int, v uint64) { binary.LittleEndian.PutUint64(g.plain[off:], v) }
	k(0x00, uint64(at(pageLists, 0x100)))
	k(0x08, uint64(at(pageLists, 0x100)))
	copy(g.plain[0x10:], "KDBG")
	binary.LittleEndian.PutUint32(g.plain[0x14:], kdbgSize)
	k(0x18, uint64(at(pageKernel, 0)))
	k(0x48, uint64(at(pageLists, 0x200))) // PsLoadedModuleList
	k(0x50, uint64(at(pageLists, 0x300))) // PsActiveProcessHead
	k(0xc0, uint64(at(pageLists, 0x400)))
	k(0x218, uint64(at(pageLists, 0x500))) // KiProcessorBlock
	binary.LittleEndian.PutUint16(g.plain[0x2f2:], specialAt)
	binary.LittleEndian.PutUint16(g.plain[0x338:], contextAt)
	stored := bytes.Clone(g.plain)
	if encoded {
		for i := range stored {
			stored[i] ^= 0xa5
		}
	}
	copy(g.data[pageKDBG*mem.PageSize+0xf00:], stored)
	g.data[pageLists*mem.PageSize+0x40] = 1 // KdpDataBlockEncoded

	// A module and a process, each a list of one.
	g.put64(pageLists, 0x200, uint64(at(pageLists, 0xa00)))
	g.put64(pageLists, 0x208, uint64(at(pageLists, 0xa00)))
	g.put64(pageLists, 0xa00, uint64(at(pageLists, 0x200)))
	g.put64(pageLists, 0xa08, uint64(at(pageLists, 0x200)))
	g.put64(pageLists, 0xa30, uint64(at(pageKernel, 0)))
	g.put64(pageLists, 0x300, uint64(at(pageLists, 0xb00)))
	g.put64(pageLists, 0x308, uint64(at(pageLists, 0xb00)))
	g.put64(pageLists, 0xb00, uint64(at(pageLists, 0x300)))
	g.put64(pageLists, 0xb08, uint64(at(pageLists, 0x300)))
	for i := 0; i < cpus; i++ {
		g.put64(pageLists, 0x500+8*i, uint64(at(pagePRCB+perCPU*i, 0x180)))
		g.put64(pagePRCB+perCPU*i, 0x180+contextAt, uint64(at(pageContext+perCPU*i, 0xd00)))
	}
	for i := cpus; i < 16; i++ {
		g.put64(pageLists, 0x500+8*i, 0)
	}
	return g
}

func state(i int) *cpu.State {
	v := uint64(i+1) << 32
	s := cpu.Of(cpu.X64, cpu.Values{cpu.RIP: v + 17, cpu.RFLAGS: v + 0x246,
		cpu.CS: 0x10, cpu.DS: 0x2b, cpu.ES: 0x2c, cpu.FS: 0x53, cpu.GS: 0x2d, cpu.SS: 0x18, cpu.TR: 0x40, cpu.LDT: 0x48,
		cpu.GDTLimit: 0x57, cpu.GDTBase: v + 18, cpu.IDTLimit: 0xfff, cpu.IDTBase: v + 19,
		cpu.CR0: 0x80050033, cpu.CR2: v + 20, cpu.CR3: uint64(guestPA), cpu.CR4: 0x6f8})
	for i, r := range cpu.General {
		s.Set(r, v+1+uint64(i))
	}
	return s
}

// kernel gives the guest as core/windows would, over the extents given: pieces
// of the guest's stretch, and further ones after it in the file. nil: the whole.
func (g *guest) kernel(t testing.TB, blocks []mem.Extent) *windows.Kernel {
	t.Helper()
	if g.file == nil {
		g.file = append(make([]byte, 0x333), g.data...)
	}
	whole := mem.Extent{Start: guestPA, Bytes: uint64(len(g.data)), Offset: 0x333}
	if blocks == nil {
		blocks = append([]mem.Extent{whole}, g.extra...)
	}
	file, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(g.file), Size: int64(len(g.file))}, blocks, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine.Machine{Format: "elf", Arch: cpu.X64, Mem: file, ELF: &machine.ELF{Loads: blocks, Headers: len(blocks) + 1}}
	k := &windows.Kernel{Machine: m, DTB: guestPA, HeaderDTB: guestPA, Space: paging.New(file, uint64(guestPA), paging.X64),
		KDBG:        windows.KDBG{VA: at(pageKDBG, 0xf00), Size: kdbgSize, Encoded: true, Plain: g.plain},
		EncodedFlag: at(pageLists, 0x40),
		Version:     windows.VersionBlock{Major: 15, Minor: 19041, MachineType: 0x8664, KdSecondaryVersion: 2},
		Shared: windows.SharedData{Readable: true, ProductType: 1, SuiteMask: 0x110, SystemTime: 0x01da05f3a5c7b2d4,
			InterruptTime: 0xa1b2c3d4e, ActiveProcessors: uint32(g.cpus)},
		Opens:     windows.Opening{Choice: windows.ChoiceFirst},
		Modules:   []windows.Module{{Name: "ntoskrnl.exe", Base: at(pageKernel, 0)}},
		Processes: []windows.Process{{PID: 4, Name: "System"}},
	}
	for i := 0; i < g.cpus; i++ {
		m.CPUs = append(m.CPUs, machine.CPU{Index: i, State: state(i)})
		k.Processors = append(k.Processors, windows.Processor{Number: i, PRCB: at(pagePRCB+perCPU*i, 0x180),
			Context: at(pageContext+perCPU*i, 0xd00), CPU: i})
	}
	return k
}

// fragments adds n single pages with a page between them, from start on.
func (g *guest) fragments(n int, start mem.PA) {
	if g.file == nil {
		g.file = append(make([]byte, 0x333), g.data...)
	}
	for i := 0; i < n; i++ {
		g.extra = append(g.extra, mem.Extent{Start: start + mem.PA(2*i*mem.PageSize), Bytes: mem.PageSize, Offset: int64(len(g.file))})
		g.file = append(g.file, bytes.Repeat([]byte{byte(i + 1)}, mem.PageSize)...)
	}
}

func build(t testing.TB, k *windows.Kernel, o Options) *Image {
	t.Helper()
	im, err := New(context.Background(), k, o)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// bytesOf assembles the dump from its parts and checks that ReadAt and Scan
// agree, in pieces of odd length.
func bytesOf(t testing.TB, im *Image, file []byte) []byte {
	t.Helper()
	var out []byte
	for i, p := range im.Parts() {
		if p.Bytes <= 0 || (p.Kind == Literal) != (p.Literal != nil) || p.Kind == Literal && p.Bytes != int64(len(p.Literal)) {
			t.Fatalf("part %d: kind %d, %d bytes, %d literal ones", i, p.Kind, p.Bytes, len(p.Literal))
		}
		switch p.Kind {
		case Literal:
			out = append(out, p.Literal...)
		case Copy:
			out = append(out, file[p.Off:][:p.Bytes]...)
		case Zero:
			out = append(out, make([]byte, p.Bytes)...)
		case Computed:
			page := make([]byte, p.Bytes)
			if _, err := im.ReadAt(page, int64(len(out))); err != nil {
				t.Fatal(err)
			}
			out = append(out, page...)
		}
	}
	if int64(len(out)) != im.Size() {
		t.Fatalf("the parts have %d bytes, the image %d", len(out), im.Size())
	}
	read := make([]byte, len(out))
	for off := 0; off < len(read); off += 12345 {
		n := min(12345, len(read)-off)
		if got, err := im.ReadAt(read[off:off+n], int64(off)); got != n || err != nil {
			t.Fatalf("ReadAt %#x: %d, %v", off, got, err)
		}
	}
	if !bytes.Equal(out, read) {
		t.Fatal("Parts and ReadAt disagree")
	}
	read = read[:0]
	buf := make([]byte, 9999)
	if err := im.Scan(context.Background(), 0, im.Size(), buf, func(p []byte) error {
		if len(p) == 0 || len(p) > len(buf) {
			t.Fatalf("%d bytes for a buffer of %d", len(p), len(buf))
		}
		read = append(read, p...)
		return nil
	}); err != nil || !bytes.Equal(out, read) {
		t.Fatalf("Parts and Scan disagree (%v)", err)
	}
	if n, err := im.ReadAt(make([]byte, 10), im.Size()-3); n != 3 || err != io.EOF {
		t.Fatalf("at the end: %d, %v", n, err)
	}
	return out
}

func reread(t testing.TB, data []byte) *dmptest.Dump {
	t.Helper()
	d, err := dmptest.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verified runs Verify and wants nothing to complain about.
func verified(t testing.TB, k *windows.Kernel, im *Image) *Report {
	t.Helper()
	r, err := Verify(context.Background(), im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	if wrong := append(r.Differences(k, im), r.Problems...); len(wrong) > 0 || r.ModulesErr != nil || r.ProcessesErr != nil {
		t.Fatalf("read back: %q", wrong)
	}
	return r
}
