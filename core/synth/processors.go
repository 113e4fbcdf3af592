package synth

import (
	"slices"

	"coredrop/core/machine"
	"coredrop/core/mem"
)

// A processor's pages, from its KPCR on.
const (
	pcrBytes    = 0xb080
	prcbOffset  = 0x180
	gdtOffset   = 0xc000
	idtOffset   = 0xd000
	stackOffset = 0x10000
	stackBytes  = 0x2000

	prcbNumber  = 0x24
	prcbSpecial = 0x100  // ProcessorState.SpecialRegisters
	prcbFrame   = 0x1f0  // ProcessorState.ContextFrame
	prcbContext = 0x85c0 // pointer to the context record (19041)
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

// processors lays out KPCR, KPRCB, descriptor tables, stack and context area of
// each CPU that was started.
func (g *Editor) processors() {
	t, n := g.Truth, len(g.opts.CPUs)
	t.KPCR, t.PRCB, t.Context, t.CPUOf = make([]uint64, n), make([]uint64, n), make([]uint64, n), make([]int, n)
	for i, mode := range g.opts.CPUs {
		p := g.processor(i)
		t.CPUOf[p] = i
		if mode == Reset {
			continue
		}
		kpcr := processorAt + uint64(p)*processorGo
		t.KPCR[p], t.PRCB[p] = kpcr, kpcr+prcbOffset
		g.Write(kpcr, make([]byte, pcrBytes))
		g.Write64(kpcr+0x00, kpcr+gdtOffset)
		g.Write64(kpcr+0x08, kpcr+gdtOffset+0x100)
		g.Write64(kpcr+0x18, kpcr)
		g.Write64(kpcr+0x20, kpcr+prcbOffset)
		g.Write64(kpcr+0x38, kpcr+idtOffset)
		if p == 0 && g.opts.PCRVersion {
			g.Write64(kpcr+0x108, g.Sym("KdVersionBlock"))
		}
		prcb := kpcr + prcbOffset
		g.Write32(prcb, 0x1f80)
		g.Write32(prcb+prcbNumber, uint32(p))
		if g.opts.KVAShadow != 0 {
			g.Write64(kpcr+uint64(g.opts.KVAShadow), uint64(g.system.root))
		}
		for v := range 32 {
			g.gate(kpcr+idtOffset, v, t.Handler+uint64(0x40*v))
		}
		g.Write(kpcr+gdtOffset, make([]byte, 0x58))
		g.Write(kpcr+stackOffset, make([]byte, stackBytes))
		g.contextArea(p)
		g.Write64(g.Sym("KiProcessorBlock")+uint64(8*p), prcb)
	}
	g.Write32(g.Sym("KeNumberProcessors"), uint32(n))
}

// contextArea places the context record of processor p: a separate allocation
// since Windows 7, which crosses a page for every second processor.
func (g *Editor) contextArea(p int) {
	t := g.Truth
	if g.kdbgSize() < 0x340 {
		t.Context[p] = t.PRCB[p] + prcbFrame
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
	g.Write64(t.PRCB[p]+prcbContext, at)
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
			see(kpcr, pcrBytes)
			see(kpcr+gdtOffset, 0x1000)
			see(kpcr+idtOffset, 0x1000)
		}
	}
	see(kernelBase+rvaShadow, 0x1000)
	see(t.Handler, 1)
	t.UserDTB = g.shadow.root
}

// states makes the CPUs' registers.
func (g *Editor) states() {
	for i, mode := range g.opts.CPUs {
		c := machine.CPU{Index: i, PID: uint32(i + 1), X64: &machine.X64State{System: true, HasKernelGSBase: true}}
		if mode == Reset {
			resetState(c.X64)
		} else {
			g.runningState(c.X64, mode, g.Truth.KPCR[g.processor(i)])
		}
		if b := g.opts.BugCheck; b != nil && i == g.opts.BugCheckCPU {
			g.bugCheckState(c.X64, *b, g.Truth.KPCR[g.processor(i)])
		}
		c.OrigRAX = c.X64.RAX
		g.cpus = append(g.cpus, c)
	}
}

// resetState is a CPU before its first instruction.
func resetState(s *machine.X64State) {
	s.RIP, s.RFLAGS, s.RDX, s.CR0 = 0xfff0, 2, 0x663, 0x60000010
	s.CS = machine.Segment{Selector: 0xf000, Limit: 0xffff, Flags: 0x9b00, Base: 0xffff0000}
	for _, g := range []*machine.Segment{&s.DS, &s.ES, &s.FS, &s.GS, &s.SS} {
		*g = machine.Segment{Limit: 0xffff, Flags: 0x9300}
	}
	s.LDT, s.TR = machine.Segment{Limit: 0xffff, Flags: 0x8200}, machine.Segment{Limit: 0xffff, Flags: 0x8b00}
	s.GDT, s.IDT = machine.Segment{Limit: 0xffff}, machine.Segment{Limit: 0xffff}
}

func (g *Editor) runningState(s *machine.X64State, mode Mode, kpcr uint64) {
	for _, r := range []*uint64{&s.RAX, &s.RBX, &s.RCX, &s.RDX, &s.RSI, &s.RDI, &s.RBP,
		&s.R8, &s.R9, &s.R10, &s.R11, &s.R12, &s.R13, &s.R14, &s.R15} {
		*r = g.noise.next()
	}
	flat := machine.Segment{Selector: 0x2b, Limit: 0xffffffff, Flags: 0xcff300}
	s.DS, s.ES, s.GS = flat, flat, flat
	s.FS = machine.Segment{Selector: 0x53, Limit: 0x3c00, Flags: 0x40f300}
	s.LDT = machine.Segment{Flags: 0x8200}
	s.TR = machine.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: kpcr + gdtOffset + 0x100}
	s.GDT = machine.Segment{Limit: 0x57, Base: kpcr + gdtOffset}
	s.IDT = machine.Segment{Limit: 0xfff, Base: kpcr + idtOffset}
	s.CR0, s.CR4, s.RFLAGS = 0x80050033, 0x6f8, 0x246
	if g.opts.FiveLevel {
		s.CR4 |= 1 << 12
	}
	s.CS = machine.Segment{Selector: 0x10, Flags: 0x209b00}
	s.SS = machine.Segment{Selector: 0x18, Limit: 0xffffffff, Flags: 0xcf9300}
	s.RSP, s.RIP = kpcr+stackOffset+0x1c08, g.Sym("PoIdle")+1
	s.GS.Base, s.CR3 = kpcr, uint64(g.Truth.SystemDTB)
	switch mode {
	case Process:
		s.CR3 = uint64(g.Truth.ProcessDTB) | 2 // with a PCID
		s.RIP, s.KernelGSBase = g.Sym("KiSwapContext")+1, userTEB
	case User:
		s.CR3 = uint64(g.Truth.UserDTB) | 1
		s.CS = machine.Segment{Selector: 0x33, Flags: 0x20fb00}
		s.SS = flat
		s.RIP, s.RSP = userCode+0x123, userStack+0xf00
		s.GS.Base, s.KernelGSBase = userTEB, kpcr
	}
}

// bugCheckState is a CPU inside KeBugCheckEx: interrupts off, the arguments on
// its stack above the return address.
func (g *Editor) bugCheckState(s *machine.X64State, b BugCheck, kpcr uint64) {
	s.CS = machine.Segment{Selector: 0x10, Flags: 0x209b00}
	s.SS = machine.Segment{Selector: 0x18, Limit: 0xffffffff, Flags: 0xcf9300}
	s.GS.Base, s.KernelGSBase = kpcr, 0
	s.CR3, s.RFLAGS = uint64(g.Truth.SystemDTB), 0x46
	s.RIP, s.RSP = g.Sym("KeBugCheckEx")+0x20, kpcr+stackOffset+0x1b00
	s.RCX, s.RDX, s.R8, s.R9 = b.Code, b.Parameters[0], b.Parameters[1], b.Parameters[2]
	g.Write64(s.RSP+0x38, g.Sym("KiDivideErrorFault")+0x10) // return address
	for i, v := range []uint64{b.Code, b.Parameters[0], b.Parameters[1], b.Parameters[2], b.Parameters[3]} {
		g.Write64(s.RSP+0x40+uint64(8*i), v)
	}
}
