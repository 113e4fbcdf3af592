package synth

import "coredrop/core/mem"

// The kernel image: RVAs of its sections and of what is in them.
const (
	imageBytes  = 0xa000
	rvaText     = 0x1000
	rvaRData    = 0x3000
	rvaPoolCode = 0x4000
	rvaExports  = 0x5000
	rvaData     = 0x6000
	rvaShadow   = 0x9000
	rvaRecords  = 0x3200 // CodeView records
	stamp       = 0x65a1b2c3

	rvaKDBG        = 0x6040
	rvaKDBGCrosses = 0x6e20
	rvaSecondBlock = 0x7c00
)

type section struct {
	name        string
	rva, size   int
	permissions uint32
}

var sections = []section{
	{".text", rvaText, 0x1f80, 0x60000020}, {".rdata", rvaRData, 0x1000, 0x40000040},
	{"POOLCODE", rvaPoolCode, 0x400, 0x60000020}, {".edata", rvaExports, exportBytes, 0x40000040},
	{".data", rvaData, 0x2f00, 0xc8000040}, {"KVASCODE", rvaShadow, 0x800, 0x60000020},
}

// RSDS makes a CodeView record of a PDB 7.0; the name is written with its NUL.
func RSDS(guid [16]byte, age uint32, name string) []byte {
	r := append([]byte("RSDS"), guid[:]...)
	return append(append(le.AppendUint32(r, age), name...), 0)
}

// peImage makes the PE32+ image of a small kernel or driver as it stands in
// memory.
func peImage(debug []DebugEntry, export string) image {
	return defaultLayout(Options{}).peImage(debug, export)
}

// peImage makes a kernel's image as it stands in memory.
func (l *layout) peImage(debug []DebugEntry, export string) image {
	b := make(image, l.image)
	const nt = 0x80
	b.text(0, "MZ")
	b.u32(0x3c, nt)
	b.text(nt, "PE\x00\x00")
	b.u16(nt+4, 0x8664)
	b.u16(nt+6, uint16(len(l.sections)))
	b.u32(nt+8, stamp)
	b.u16(nt+0x14, 0xf0)
	b.u16(nt+0x16, 0x22)
	b.u16(nt+0x18, 0x20b)
	b.u32(nt+0x28, l.symbols["KeBugCheckEx"])
	b.u64(nt+0x30, kernelBase)
	b.u32(nt+0x38, mem.PageSize)
	b.u32(nt+0x3c, 0x200)
	b.u32(nt+0x50, l.image)
	b.u32(nt+0x54, 0x400)
	b.u16(nt+0x5c, 1)
	b.u32(nt+0x84, 16)
	b.u32(nt+0x88, l.exports)
	b.u32(nt+0x8c, exportBytes)
	if debug != nil {
		b.u32(nt+0xb8, l.rdata)
		b.u32(nt+0xbc, uint32(28*len(debug)))
	}
	for i, s := range l.sections {
		at := nt + 0x18 + 0xf0 + 40*i
		b.text(at, s.name)
		b.u32(at+8, uint32(s.size))
		b.u32(at+12, uint32(s.rva))
		b.u32(at+16, uint32(s.size+0x1ff)&^0x1ff)
		b.u32(at+20, uint32(s.rva))
		b.u32(at+36, s.permissions)
	}
	record := int(l.records)
	for i, d := range debug {
		at := int(l.rdata) + 28*i
		b.u32(at+4, stamp)
		b.u32(at+0xc, d.Type)
		b.u32(at+0x10, or(d.Size, uint32(len(d.Data))))
		if !d.Unmapped {
			b.u32(at+0x14, uint32(record))
		}
		b.u32(at+0x18, uint32(record))
		b.put(record, d.Data)
		record += (len(d.Data) + 15) &^ 15
	}
	l.exportTable(b, export)
	return b
}

// exportBytes is the size of the export directory with its tables and names.
const exportBytes = 0x100

// NoExports takes the names out of the kernel's export directory.
func (g *Editor) NoExports() { g.Write32(kernelBase+uint64(g.lay.exports)+0x18, 0) }

// exportTable writes the export directory: KeBugCheckEx between two others.
func (l *layout) exportTable(b image, module string) {
	at := int(l.exports)
	names := []string{"DbgBreakPointWithStatus", "KeBugCheckEx", "KiSwapContext"}
	b.u32(at+0x0c, l.exports+0x40)
	b.u32(at+0x10, 1)
	b.u32(at+0x14, uint32(len(names)))
	b.u32(at+0x18, uint32(len(names)))
	b.u32(at+0x1c, l.exports+0x60)
	b.u32(at+0x20, l.exports+0x70)
	b.u32(at+0x24, l.exports+0x80)
	b.text(at+0x40, module)
	text := 0x90
	for i, name := range names {
		index := (i + 1) % len(names) // the functions are in another order than the names
		b.u32(at+0x60+4*index, l.symbols[name])
		b.u32(at+0x70+4*i, l.exports+uint32(text))
		b.u16(at+0x80+2*i, uint16(index))
		b.text(at+text, name)
		text += len(name) + 1
	}
}

// kernelImage maps the kernel. Pages of one large page are contiguous, others
// are not.
func (g *Editor) kernelImage() {
	t, l := g.Truth, g.lay
	t.SizeOfImage, t.TimeDateStamp, t.Symbols, t.sections = l.image, stamp, l.symbols, l.sections
	debug := g.opts.Debug
	if debug == nil && !g.opts.NoDebug {
		debug = []DebugEntry{{Type: 2, Data: RSDS(t.GUID, t.Age, t.PDBName)}}
	}
	if g.opts.NoDebug {
		debug = nil
	}
	b := l.peImage(debug, or(g.opts.Export, "ntoskrnl.exe"))
	if l.whole {
		b.put(rvaText, Noise(7, 0x1f80))
	} else {
		l.fill(b)
	}
	l.copyCode(b)
	b.text(int(l.symbols["NtBuildLab"]), "19041.1.amd64fre.vb_release.191206-1406")
	b.u32(int(l.symbols["NtBuildNumber"]), 0xf0000000|t.Build)
	t.Handler = g.Sym("KiDivideErrorFault")
	if g.opts.KVAShadow != 0 {
		t.Handler = g.Sym("KiDivideErrorFaultShadow")
	}
	if g.opts.LargePage {
		const large = 2 << 20
		pa := g.ram.alloc(large/mem.PageSize, large)
		g.system.set(kernelBase, 2, uint64(pa)|kernelCode|pteWrite|pteLarge|ptePAT)
		for off := 0; off < large; off += mem.PageSize {
			g.pages[kernelBase+uint64(off)] = pa + mem.PA(off)
		}
	}
	if l.whole {
		g.Write(kernelBase, b)
		return
	}
	g.Write(kernelBase, b[:mem.PageSize])
	for _, s := range l.sections {
		start, end := s.rva, min(s.rva+s.size, len(b))
		if s.permissions == 0x60000020 { // code is paged: what the tests need is there
			for _, name := range codeSymbols {
				if rva := int(l.symbols[name]); rva >= start && rva < end {
					at := rva &^ (mem.PageSize - 1)
					g.Write(kernelBase+uint64(at), b[at:at+2*mem.PageSize])
				}
			}
			continue
		}
		g.Write(kernelBase+uint64(start), b[start:end])
	}
}

// fill puts noise into the sections of a real kernel's layout, and zeros where
// its variables are.
func (l *layout) fill(b image) {
	for i, s := range l.sections[:len(l.sections)-3] {
		b.put(s.rva, Noise(uint64(i)+7, min(s.size, len(b)-s.rva)))
	}
	for name, rva := range l.symbols {
		size := uint32(0x80)
		if name == "KiProcessorBlock" {
			size = symbolRoom
		}
		for _, other := range l.symbols {
			if other > rva {
				size = min(size, other-rva)
			}
		}
		clear(b[rva : rva+size])
	}
}

// copyCode writes the beginning of the function that copies the debugger block
// in clear: it refers to the flag, the block and the two keys relative to the
// instruction pointer.
func (l *layout) copyCode(b image) {
	at := l.symbols["KdCopyDataBlock"]
	for _, c := range []struct {
		opcode    []byte
		symbol    string
		immediate []byte
	}{
		{[]byte{0x80, 0x3d}, "KdpDataBlockEncoded", []byte{0}}, // cmp byte [rip+…], 0
		{[]byte{0x48, 0x8d, 0x15}, "KdDebuggerDataBlock", nil}, // lea rdx, [rip+…]
		{[]byte{0x4c, 0x8b, 0x05}, "KiWaitNever", nil},         // mov r8, [rip+…]
		{[]byte{0x4c, 0x8b, 0x0d}, "KiWaitAlways", nil},        // mov r9, [rip+…]
	} {
		b.put(int(at), c.opcode)
		next := at + uint32(len(c.opcode)+4+len(c.immediate))
		b.u32(int(at)+len(c.opcode), l.symbols[c.symbol]-next)
		b.put(int(next)-len(c.immediate), c.immediate)
		at = next
	}
}

// between puts other images between the interrupt handler and the kernel.
func (g *Editor) between() {
	if !g.opts.Decoys && !g.opts.Impostor {
		return
	}
	if g.opts.Impostor {
		other := g.Truth.GUID
		other[3] ^= 0xff
		b := peImage([]DebugEntry{{Type: 2, Data: RSDS(other, 1, "ntkrnlmp.pdb")}}, "ntoskrnl.exe")
		g.Truth.ImpostorBase = impostorAt
		g.Write(impostorAt, b)
	}
	if g.opts.Decoys {
		g.decoys()
	}
	// The handler's page is far above, as other images' handlers are.
	g.Write(handlerAt, Noise(8, mem.PageSize))
	g.Truth.Handler = handlerAt + 0x100
	for _, kpcr := range g.Truth.KPCR {
		if kpcr != 0 {
			g.gate(kpcr+idtOffset, 0, g.Truth.Handler)
		}
	}
}

// decoys are images that a search downwards meets before the kernel.
func (g *Editor) decoys() {
	at := uint64(decoyAt)
	put := func(p []byte) { g.Write(at, p); at += 0x20000 }

	put([]byte("MZ"))
	wild := make(image, mem.PageSize) // e_lfanew leads out of everything
	wild.text(0, "MZ")
	wild.u32(0x3c, 0xfffffff0)
	put(wild)

	other := RSDS([16]byte{1, 2, 3}, 1, "hal.pdb")
	put(peImage([]DebugEntry{{Type: 2, Data: other}}, "HAL.dll"))

	small := peImage([]DebugEntry{{Type: 2, Data: RSDS(g.Truth.GUID, 1, "ntkrnlmp.pdb")}}, "ntoskrnl.exe")
	small.u16(0x84, 0x14c) // another processor's image
	put(small)

	torn := peImage([]DebugEntry{{Type: 2, Data: RSDS(g.Truth.GUID, 1, "ntkrnlmp.pdb")}}, "ntoskrnl.exe")
	put(torn[:mem.PageSize]) // only its header page is there

	cut := peImage([]DebugEntry{{Type: 2, Data: RSDS(g.Truth.GUID, 1, "ntkrnlmp.pdb")}}, "ntoskrnl.exe")
	cut.u32(0x138, 0x7fffff00) // debug directory far outside
	put(cut)

	put(peImage(nil, "driver.sys"))
}
