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
	{"POOLCODE", rvaPoolCode, 0x400, 0x60000020}, {".edata", rvaExports, 0x100, 0x40000040},
	{".data", rvaData, 0x2f00, 0xc8000040}, {"KVASCODE", rvaShadow, 0x800, 0x60000020},
}

// RSDS makes a CodeView record of a PDB 7.0; the name is written with its NUL.
func RSDS(guid [16]byte, age uint32, name string) []byte {
	r := append([]byte("RSDS"), guid[:]...)
	return append(append(le.AppendUint32(r, age), name...), 0)
}

// peImage makes a PE32+ image as it stands in memory.
func peImage(debug []DebugEntry, export string) image {
	b := make(image, imageBytes)
	const nt = 0x80
	b.text(0, "MZ")
	b.u32(0x3c, nt)
	b.text(nt, "PE\x00\x00")
	b.u16(nt+4, 0x8664)
	b.u16(nt+6, uint16(len(sections)))
	b.u32(nt+8, stamp)
	b.u16(nt+0x14, 0xf0)
	b.u16(nt+0x16, 0x22)
	b.u16(nt+0x18, 0x20b)
	b.u32(nt+0x28, rvaText)
	b.u64(nt+0x30, kernelBase)
	b.u32(nt+0x38, mem.PageSize)
	b.u32(nt+0x3c, 0x200)
	b.u32(nt+0x50, imageBytes)
	b.u32(nt+0x54, 0x400)
	b.u16(nt+0x5c, 1)
	b.u32(nt+0x84, 16)
	b.u32(nt+0x88, rvaExports)
	b.u32(nt+0x8c, 0x80)
	if debug != nil {
		b.u32(nt+0xb8, rvaRData)
		b.u32(nt+0xbc, uint32(28*len(debug)))
	}
	for i, s := range sections {
		at := nt + 0x18 + 0xf0 + 40*i
		b.text(at, s.name)
		b.u32(at+8, uint32(s.size))
		b.u32(at+12, uint32(s.rva))
		b.u32(at+16, uint32(s.size+0x1ff)&^0x1ff)
		b.u32(at+20, uint32(s.rva))
		b.u32(at+36, s.permissions)
	}
	record := rvaRecords
	for i, d := range debug {
		at := rvaRData + 28*i
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
	b.u32(rvaExports+0x0c, rvaExports+0x40)
	b.u32(rvaExports+0x10, 1)
	b.text(rvaExports+0x40, export)
	return b
}

// symbols are the variables and functions that a PDB names.
func (g *Editor) symbols() map[string]uint32 {
	kdbg := uint32(rvaKDBG)
	if g.opts.KDBGCrosses {
		kdbg = rvaKDBGCrosses
	}
	return map[string]uint32{
		"KiDivideErrorFault": 0x1100, "PoIdle": 0x1200, "KeBugCheckEx": 0x1300, "KiSwapContext": 0x1400,
		"DbgBreakPointWithStatus": 0x1500, "KiDivideErrorFaultShadow": rvaShadow + 0x40,
		"NtBuildLab": 0x3800, "NtBuildNumber": 0x3840,
		"KdDebuggerDataBlock": kdbg, "KiProcessorBlock": 0x7800, "KiBugCheckData": 0x7a00, "KdVersionBlock": 0x7a40,
		"KdpDebuggerDataListHead": 0x7a80, "PsLoadedModuleList": 0x7aa0, "PsActiveProcessHead": 0x7ac0,
		"MmPfnDatabase": 0x7ae0, "MmPhysicalMemoryBlock": 0x7ae8, "KdpDataBlockEncoded": 0x7af0,
		"KeNumberProcessors": 0x7af8, "KiWaitNever": 0x7b00, "KiWaitAlways": 0x7b08, "KeTimeIncrement": 0x7b10,
	}
}

// kernelImage maps the kernel. Pages of one large page are contiguous, others
// are not.
func (g *Editor) kernelImage() {
	t := g.Truth
	t.SizeOfImage, t.TimeDateStamp, t.Symbols = imageBytes, stamp, g.symbols()
	debug := g.opts.Debug
	if debug == nil && !g.opts.NoDebug {
		debug = []DebugEntry{{Type: 2, Data: RSDS(t.GUID, t.Age, t.PDBName)}}
	}
	if g.opts.NoDebug {
		debug = nil
	}
	b := peImage(debug, or(g.opts.Export, "ntoskrnl.exe"))
	b.put(rvaText, Noise(7, 0x1f80))
	b.text(0x3800, "19041.1.amd64fre.vb_release.191206-1406")
	b.u32(0x3840, 0xf0000000|t.Build)
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
	g.Write(kernelBase, b)
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
