package synth

import (
	"slices"

	"coredrop/core/mem"
)

// A processor's pages, from its KPCR on, and its stack's.
const (
	gdtOffset  = 0xe000
	idtOffset  = 0xf000
	stackBytes = 0x6000
	frameAt    = 0x4000 // in the stack: what the CPU was doing before it was stopped

	threadKernelStack = 0x58
	threadBytes       = 0x400
)

// processor gives the Windows processor that CPU i is.
func (g *Editor) processor(i int) int {
	if len(g.opts.Order) > 0 {
		return g.opts.Order[i]
	}
	return i
}

// gate writes an interrupt gate.
func (g *Editor) gate(idt uint64, n int, handler uint64) {
	b := make(image, 16)
	b.u16(0, uint16(handler))
	b.u16(2, 0x10)
	b.u16(4, 0x8e00)
	b.u16(6, uint16(handler>>16))
	b.u32(8, uint32(handler>>32))
	g.Write(idt+uint64(16*n), b)
}

// Stack is the lowest address of a processor's kernel stack; the page below is
// not mapped.
func (g *Editor) Stack(processor int) uint64 {
	return stackAt + stackGo*uint64(processor) + mem.PageSize
}

// processors lays out KPCR, KPRCB, descriptor tables, stack and context area of
// each CPU that was started.
func (g *Editor) processors() {
	t, l, n := g.Truth, g.lay, len(g.opts.CPUs)
	t.KPCR, t.PRCB, t.Context, t.CPUOf = make([]uint64, n), make([]uint64, n), make([]uint64, n), make([]int, n)
	t.Records = make([]Saved, n)
	for i, mode := range g.opts.CPUs {
		p := g.processor(i)
		t.CPUOf[p] = i
		if mode == Reset {
			continue
		}
		if mode > Reset {
			t.CPUOf[p] = -1
		}
		kpcr := processorAt + uint64(p)*processorGo
		prcb := kpcr + l.prcb
		t.KPCR[p], t.PRCB[p] = kpcr, prcb
		g.Write(kpcr, make([]byte, l.pcrBytes))
		g.Write64(kpcr+l.gdt, kpcr+gdtOffset)
		g.Write64(kpcr+0x08, kpcr+gdtOffset+0x100)
		g.Write64(kpcr+l.self, kpcr)
		g.Write64(kpcr+l.current, prcb)
		g.Write64(kpcr+l.idt, kpcr+idtOffset)
		if p == 0 && g.opts.PCRVersion {
			g.Write64(kpcr+0x108, g.Sym("KdVersionBlock"))
		}
		g.Write32(prcb, 0x1f80)
		g.Write32(prcb+l.number, uint32(p))
		if g.opts.KVAShadow != 0 {
			g.Write64(kpcr+uint64(g.opts.KVAShadow), uint64(g.system.root))
		}
		for v := range 32 {
			g.gate(kpcr+idtOffset, v, t.Handler+uint64(0x40*v))
		}
		g.Write(kpcr+gdtOffset, make([]byte, 0x58))
		g.Write(g.Stack(p), make([]byte, stackBytes))
		g.thread(p)
		g.contextArea(p)
		g.Write64(g.Sym("KiProcessorBlock")+uint64(8*p), prcb)
	}
	g.Write32(g.Sym("KeNumberProcessors"), uint32(n))
}

// thread gives a processor a current thread, which was switched away from
// earlier.
func (g *Editor) thread(p int) {
	thread, stack := g.Alloc(threadBytes), g.Stack(p)+frameAt+0x800
	g.Write64(g.Truth.PRCB[p]+g.lay.thread, thread)
	g.Write64(thread+threadKernelStack, stack)
	g.Write64(stack+0x38, g.Sym("KiSwapContext")+0x76)
}

// contextArea places the context record of processor p: a separate allocation
// since Windows 7, which crosses a page for every second processor.
func (g *Editor) contextArea(p int) {
	t := g.Truth
	if g.kdbgSize() < 0x340 {
		t.Context[p] = t.PRCB[p] + g.lay.frame
		return
	}
	at := t.Context[0]
	if p == 0 || !g.opts.SameContext || at == 0 {
		if p%2 == 1 {
			at = g.allocCrossing(0x4d0)
		} else {
			at = g.Alloc(0x4d0)
		}
	}
	g.Write(at, make([]byte, 0x4d0))
	t.Context[p] = at
	switch {
	case slices.Contains(g.opts.NoContext, p):
		at, t.Context[p] = 0, 0
	case slices.Contains(g.opts.UnmappedContext, p):
		at, t.Context[p] = 0xffff8d0cdead0000, 0
	}
	g.Write64(t.PRCB[p]+g.lay.context, at)
}

// SaveRecord puts a context record and special registers where Windows keeps
// those of a processor.
func (g *Editor) SaveRecord(p int, s Saved) {
	g.Truth.Records[p] = s
	at := g.Truth.Context[p]
	if at == 0 {
		return
	}
	c := make(image, 0x4d0)
	c.u32(0x30, s.Flags)
	c.u32(0x34, 0x1f80)
	c.u32(0x118, 0x1f80)
	for off, v := range map[int]uint16{0x38: s.CS, 0x3a: 0x2b, 0x3c: 0x2b, 0x3e: 0x53, 0x40: 0x2b, 0x42: 0x18} {
		c.u16(off, v)
	}
	c.u32(0x44, s.EFlags)
	for off, v := range map[int]uint64{0x78: s.RAX, 0x80: s.RCX, 0x88: s.RDX, 0x98: s.RSP, 0xb8: s.R8, 0xc0: s.R9, 0xf8: s.RIP} {
		c.u64(off, v)
	}
	g.Write(at, c)
	special := g.Truth.PRCB[p] + g.lay.special
	g.Write64(special, 0x80050033)
	g.Write64(special+8, s.CR2)
	g.Write64(special+0x10, s.CR3)
	g.Write64(special+0x18, 0x6f8)
}

// userHalf maps what user mode sees, in the process's tables and the shadow.
func (g *Editor) userHalf() {
	t := g.Truth
	code, stack := g.ram.alloc(1, mem.PageSize), g.ram.alloc(1, mem.PageSize)
	user := func(of *tables) {
		of.set(userCode, 1, uint64(code)|userPage)
		of.set(userStack, 1, uint64(stack)|userPage)
		of.set(sharedUser, 1, uint64(g.pages[sharedAt])|ptePresent|pteUser|pteUsed|pteNX)
	}
	user(g.process)
	t.SystemDTB, t.ProcessDTB, t.UserDTB = g.system.root, g.process.root, g.process.root
	if g.opts.KVAShadow == 0 {
		return
	}
	g.shadow = g.newTables()
	user(g.shadow)
	see := func(from uint64, bytes int) {
		for at := from &^ (mem.PageSize - 1); at < from+uint64(bytes); at += mem.PageSize {
			g.shadow.set(at, 1, uint64(g.pages[at])|kernelCode)
		}
	}
	for _, kpcr := range t.KPCR {
		if kpcr != 0 {
			see(kpcr, int(g.lay.pcrBytes))
			see(kpcr+gdtOffset, 0x1000)
			see(kpcr+idtOffset, 0x1000)
		}
	}
	see(g.Sym("KiDivideErrorFaultShadow"), 1)
	see(t.Handler, 1)
	t.UserDTB = g.shadow.root
}
