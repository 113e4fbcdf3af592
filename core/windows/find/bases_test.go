package find

import (
	"bytes"
	"encoding/binary"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// noIDT takes every CPU's interrupt table away.
func (g *guest) noIDT() {
	for _, c := range g.m.CPUs {
		c.State.Set(cpu.IDTBase, 0)
	}
}

// TestNoInterruptTable: the instruction pointers lead to the kernel.
func TestNoInterruptTable(t *testing.T) {
	g := newGuest(t)
	g.noIDT()
	g.found(nil, demoDTB, "cpu0 cr3")
	if k, err := g.locateWith(Options{Symbols: demoSymbols{}, Compat: true}); err == nil {
		t.Errorf("elf2dmp gives up here, -compat found %v", k.Image.Base)
	}
}

// TestOnlyTheStack: the CPUs stand elsewhere, but their stacks hold an address.
func TestOnlyTheStack(t *testing.T) {
	g := newGuest(t)
	g.noIDT()
	stack := g.room(0x100, 0x400)
	for _, c := range g.m.CPUs {
		c.State.SetAll(cpu.Values{cpu.RIP: 0x7ff712345678, cpu.RSP: uint64(stack)})
	}
	g.put64(stack+0x40, uint64(demoBase)+0x12345)
	g.found(nil, demoDTB, "cpu0 cr3")
	for _, l := range g.lines {
		if bytes.Contains([]byte(l), []byte("no pointer leads")) {
			t.Errorf("the stack was not enough: %s", l)
		}
	}
}

// TestOnlyTheTables: nothing leads to the kernel but the tables themselves.
func TestOnlyTheTables(t *testing.T) {
	for _, five := range []bool{false, true} {
		g := newGuest(t)
		g.noIDT()
		from := mem.PA(demoDTB)
		if five {
			from = g.page()
			g.phys64(from+8*511, demoDTB|0x63)
		}
		for _, c := range g.m.CPUs {
			c.State.SetAll(cpu.Values{cpu.RIP: 0x7ff712345678, cpu.RSP: 0x1000, cpu.CR3: uint64(from)})
			if five {
				c.State.Set(cpu.CR4, c.State.Get(cpu.CR4)|cpu.CR4LA57)
			}
		}
		g.found(nil, from, "cpu0 cr3")
	}
}

// TestGatesOfAnotherCPU: CPU 0's first gate leads nowhere.
func TestGatesOfAnotherCPU(t *testing.T) {
	g := newGuest(t)
	g.m.CPUs[0].State.Set(cpu.IDTBase, 0x1000)
	g.found(nil, demoDTB, "cpu0 cr3")

	// No CPU's gate 0 can be used, but gate 14 can.
	g = newGuest(t)
	for _, c := range g.m.CPUs {
		idt := mem.VA(c.State.Get(cpu.IDTBase))
		gate := g.get(idt, 16)
		g.put(idt, make([]byte, 0x1000))
		g.put(idt+14*16, gate)
		c.State.SetAll(cpu.Values{cpu.RIP: 0x7ff712345678, cpu.RSP: 0x1000})
	}
	g.found(nil, demoDTB, "cpu0 cr3")
}

// TestGateBelowTheFloor: images far below upstream's floor are found too.
func TestBelowTheFloor(t *testing.T) {
	g := newGuest(t)
	handler := mem.VA(0xffffe00012345000)
	g.mapPage(demoDTB, paging.X64, handler, g.page())
	pa, _, err := g.s.Translate(demoBase)
	if err != nil {
		t.Fatal(err)
	}
	g.mapPage(demoDTB, paging.X64, handler-0x3000, pa) // the kernel's header seen from there
	f := &finder{ctx: t.Context(), m: g.m, p: x64, near: nearPages}
	var got []mem.VA
	w := f.near.walk(shortWalk)
	f.walkDown(g.s, handler, 0, &w, map[mem.VA]bool{}, func(va mem.VA) bool { got = append(got, va); return len(got) < 2 })
	if len(got) == 0 || got[0] != handler-0x3000 {
		t.Errorf("got %v", got)
	}
}

// TestDecoys puts pages that begin like images between the handler and the
// kernel: nothing but MZ, headers that lead nowhere, another machine, another
// name, and a copy of the kernel's own header.
func TestDecoys(t *testing.T) {
	g := newGuest(t)
	header := g.get(demoBase, 0x1000)
	nt := int(binary.LittleEndian.Uint32(header[0x3c:]))
	damage := func(change func(p []byte)) []byte {
		p := bytes.Clone(header)
		change(p)
		return p
	}
	for i, p := range [][]byte{
		append([]byte("MZ"), bytes.Repeat([]byte{0xff}, 0xffe)...),
		damage(func(p []byte) { binary.LittleEndian.PutUint32(p[0x3c:], 0x7ffffff0) }),
		damage(func(p []byte) { binary.LittleEndian.PutUint16(p[nt+4:], 0x14c) }),
		damage(func(p []byte) { binary.LittleEndian.PutUint32(p[nt+0xb8:], 0xfffff000) }),
		damage(func(p []byte) { binary.LittleEndian.PutUint32(p[nt+0x50:], 0) }),
		damage(func(p []byte) { binary.LittleEndian.PutUint16(p[nt+6:], 0xffff) }),
		header,
	} {
		g.put(demoBase+0x11000-mem.VA(i)*0x1000, p)
	}
	for _, s := range []windows.Symbols{nil, demoSymbols{}} {
		g.found(s, demoDTB, "cpu0 cr3")
	}
}

// TestImpostor: an image that names the kernel's PDB with another GUID, with a
// debugger block of its own in clear, stands before the kernel.
func TestImpostor(t *testing.T) {
	for _, block := range []bool{false, true} {
		g := newGuest(t)
		plain := g.plain()
		at := demoBase + 0x11000
		header := g.get(demoBase, 0x1000)
		nt := int(binary.LittleEndian.Uint32(header[0x3c:]))
		optional := nt + 0x18 + int(binary.LittleEndian.Uint16(header[nt+0x14:]))
		// One writable section in its own second page, the record in the first.
		binary.LittleEndian.PutUint16(header[nt+6:], 1)
		copy(header[optional:], ".data\x00\x00\x00")
		binary.LittleEndian.PutUint32(header[optional+8:], 0x1000)
		binary.LittleEndian.PutUint32(header[optional+12:], 0x1000)
		binary.LittleEndian.PutUint32(header[optional+36:], 0xc0000040)
		binary.LittleEndian.PutUint32(header[nt+0x50:], 0x32000)
		binary.LittleEndian.PutUint32(header[nt+0xb8:], 0x800) // debug directory
		binary.LittleEndian.PutUint32(header[nt+0xbc:], 28)
		record := append([]byte("RSDS\x11\x22\x33\x44xxxxxxxxxxxx\x01\x00\x00\x00"), "ntkrnlmp.pdb\x00"...)
		clear(header[0x800:0x81c])
		binary.LittleEndian.PutUint32(header[0x80c:], 2)
		binary.LittleEndian.PutUint32(header[0x810:], uint32(len(record)))
		binary.LittleEndian.PutUint32(header[0x814:], 0x900)
		copy(header[0x900:], record)
		g.put(at, header)
		if block {
			binary.LittleEndian.PutUint64(plain[0x18:], uint64(at))
			g.put(at+0x1100, plain)
		}
		for _, s := range []windows.Symbols{nil, demoSymbols{}, demoSymbols{any: true}} {
			k := g.found(s, demoDTB, "cpu0 cr3")
			if !warned(k, fault.ForeignKernel) || k.KDBG.VA != demoKDBG {
				t.Errorf("block %v: at %v, warnings %v", block, k.KDBG.VA, k.Warnings)
			}
			if s != nil && k.SymbolsStatus != windows.SymbolsFound {
				t.Errorf("symbols %s: %v", k.SymbolsStatus, k.SymbolsError)
			}
		}
	}
}

// noKernel takes away everything by which the kernel image is known.
func (g *guest) noKernel() {
	g.put(demoBase, make([]byte, 0x1000))
	g.put(g.symbol(symVersionBlock), make([]byte, windows.VersionBytes))
	g.erase()
}

// TestWithoutTheHeader: a kernel without its first page is known by its data,
// which name its base. Its PDB's name is found by its contents, its functions by
// its export directory.
func TestWithoutTheHeader(t *testing.T) {
	g := newGuest(t)
	want := g.found(nil, demoDTB, "cpu0 cr3")
	g.put(demoBase, make([]byte, 0x1000))
	for _, s := range []windows.Symbols{nil, demoSymbols{}} {
		k := g.found(s, demoDTB, "cpu0 cr3")
		if len(k.Warnings) != 1 || !warned(k, fault.ImageDamaged) || *k.PDB != *want.PDB || k.Image.SizeOfImage != want.Image.SizeOfImage {
			t.Errorf("warnings %v, PDB %v, %#x bytes", k.Warnings, k.PDB, k.Image.SizeOfImage)
		}
		entry, ok := windows.ExportedAt(k.Space, k.Image, symBugCheck)
		if was, known := windows.ExportedAt(want.Space, want.Image, symBugCheck); entry != was || ok != known {
			t.Errorf("KeBugCheckEx at %v, it was at %v", entry, was)
		}
		if flag, err := k.FindEncodedFlag(t.Context()); err != nil || flag != g.symbol(symEncodedFlag) {
			t.Errorf("KdpDataBlockEncoded at %v, %v", flag, err)
		}
	}
	g.noKernel()
	if e := g.refused(nil, fault.KernelNotFound); len(e.Hints) == 0 {
		t.Errorf("no hints")
	}
}
