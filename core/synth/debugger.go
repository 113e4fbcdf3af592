package synth

import "math/bits"

func (g *Editor) kdbgSize() uint32 { return or(g.opts.KDBGSize, 0x380) }

// plainBlock is KDDEBUGGER_DATA64 as the kernel knows it, cut to its size.
func (g *Editor) plainBlock() image {
	b := make(image, 0x1000)
	size := g.kdbgSize()
	head := g.Sym("KdpDebuggerDataListHead")
	b.u64(0x000, head)
	b.u64(0x008, head)
	if g.opts.SecondBlock {
		b.u64(0x000, kernelBase+uint64(g.lay.second))
	}
	b.text(0x010, "KDBG")
	b.u32(0x014, size)
	b.u64(0x018, kernelBase)
	b.u64(0x020, g.Sym("DbgBreakPointWithStatus"))
	b.u16(0x036, 1)
	b.u64(0x048, g.Sym("PsLoadedModuleList"))
	b.u64(0x050, g.Sym("PsActiveProcessHead"))
	b.u64(0x078, g.Sym("KeTimeIncrement"))
	b.u64(0x088, g.Sym("KiBugCheckData"))
	b.u64(0x0c0, g.Sym("MmPfnDatabase"))
	b.u64(0x138, 0x1000)
	b.u64(0x208, g.Sym("NtBuildLab"))
	b.u64(0x218, g.Sym("KiProcessorBlock"))
	b.u64(0x270, g.Sym("MmPhysicalMemoryBlock"))
	b.u16(0x2a8, 0xa40)
	b.u16(0x2ae, 0x28)
	b.u16(0x29c, threadKernelStack)
	l := g.lay
	for _, f := range []struct {
		off int
		v   uint64
	}{{0x2b0, l.prcbBytes}, {0x2b4, l.thread}, {0x2bc, l.frame}, {0x2be, l.number}, {0x2e0, l.pcrBytes}, {0x2e2, l.self},
		{0x2e4, l.current}, {0x2e6, l.prcb}, {0x2f2, l.special}, {0x338, l.context}} {
		b.u16(f.off, uint16(f.v))
	}
	for i, v := range []uint16{0x10, 0x18, 0, 0x33, 0x2b, 0x50, 0, 0x40, 0x20, 0x50} {
		b.u16(0x2f4+2*i, v)
	}
	b.u16(0x33a, 8)
	b.u64(0x360, 0xffff800000000000|uint64(selfIndex)<<39)
	return b[:size]
}

// Encode encodes a debugger block as Windows does: at is the address of
// KdpDataBlockEncoded.
func Encode(plain []byte, never, always, at uint64) []byte {
	out := make(image, len(plain))
	for i := 0; i+8 <= len(plain); i += 8 {
		w := bits.ReverseBytes64(le.Uint64(plain[i:])^always) ^ at
		out.u64(i, bits.RotateLeft64(w, -int(never&63))^never)
	}
	return out
}

// debuggerBlock writes KDBG, the list it is in, and the version block.
func (g *Editor) debuggerBlock() {
	t := g.Truth
	head := g.Sym("KdpDebuggerDataListHead")
	t.KDBG = g.Sym("KdDebuggerDataBlock")
	if g.opts.SecondBlock {
		second := kernelBase + uint64(g.lay.second)
		b := make(image, 0x40)
		b.u64(0, head)
		b.u64(8, t.KDBG)
		b.text(0x10, "USBH")
		b.u32(0x14, 0x40)
		g.Write(second, b)
		g.Write64(head, t.KDBG)
		g.Write64(head+8, second)
	} else {
		g.Write64(head, t.KDBG)
		g.Write64(head+8, t.KDBG)
	}

	t.WaitNever = g.noise.next()&^63 | uint64(g.opts.Rotation&63)
	t.WaitAlways = g.noise.next()
	g.Write64(g.Sym("KiWaitNever"), t.WaitNever)
	g.Write64(g.Sym("KiWaitAlways"), t.WaitAlways)
	t.KDBGPlain = g.plainBlock()
	t.KDBGRaw = t.KDBGPlain
	if g.opts.Encoded {
		t.KDBGRaw = Encode(t.KDBGPlain, t.WaitNever, t.WaitAlways, g.Sym("KdpDataBlockEncoded"))
		g.Write(g.Sym("KdpDataBlockEncoded"), []byte{1})
	}
	g.Write(t.KDBG, t.KDBGRaw)

	v := make(image, 0x28)
	v.u16(0, 0xf)
	v.u16(2, uint16(t.Build))
	v[4], v[5] = 6, 2
	v.u16(6, 0x47)
	v.u16(8, 0x8664)
	v[0xa], v[0xb], v[0xc] = 0x0c, 3, 0x31
	v.u64(0x10, kernelBase)
	v.u64(0x18, t.ModuleList)
	v.u64(0x20, head)
	if g.opts.NoVersion {
		clear(v)
	}
	t.Version = v
	g.Write(g.Sym("KdVersionBlock"), v)
}
