package synth

import "coredrop/core/machine"

// states makes the CPUs' registers.
func (g *Editor) states() {
	for i, mode := range g.opts.CPUs {
		c := machine.CPU{Index: i, PID: uint32(i + 1), X64: &machine.X64State{System: true, HasKernelGSBase: true}}
		switch {
		case mode == Reset || mode == Parked:
			resetState(c.X64)
		case mode > Reset:
			g.strangerState(c.X64, mode, g.processor(i))
		default:
			g.runningState(c.X64, mode, g.processor(i))
		}
		g.cpus = append(g.cpus, c)
	}
	g.crash()
	for i := range g.cpus {
		g.cpus[i].OrigRAX = g.cpus[i].X64.RAX
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

// The flat segments of 64-bit mode.
var (
	codeSegment  = machine.Segment{Selector: 0x10, Flags: 0x209b00}
	stackSegment = machine.Segment{Selector: 0x18, Limit: 0xffffffff, Flags: 0xcf9300}
	flatSegment  = machine.Segment{Selector: 0x2b, Limit: 0xffffffff, Flags: 0xcff300}
)

// general gives a CPU registers that mean nothing.
func (g *Editor) general(s *machine.X64State) {
	for _, r := range []*uint64{&s.RAX, &s.RBX, &s.RCX, &s.RDX, &s.RSI, &s.RDI, &s.RBP,
		&s.R8, &s.R9, &s.R10, &s.R11, &s.R12, &s.R13, &s.R14, &s.R15} {
		*r = g.noise.next()
	}
	s.DS, s.ES, s.GS, s.CS, s.SS = flatSegment, flatSegment, flatSegment, codeSegment, stackSegment
	s.FS = machine.Segment{Selector: 0x53, Limit: 0x3c00, Flags: 0x40f300}
	s.LDT = machine.Segment{Flags: 0x8200}
	s.CR0, s.CR4, s.RFLAGS = 0x80050033, 0x6f8, 0x246
	if g.opts.FiveLevel {
		s.CR4 |= 1 << 12
	}
}

func (g *Editor) runningState(s *machine.X64State, mode Mode, p int) {
	kpcr := g.Truth.KPCR[p]
	g.general(s)
	s.TR = machine.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: kpcr + gdtOffset + 0x100}
	s.GDT = machine.Segment{Limit: 0x57, Base: kpcr + gdtOffset}
	s.IDT = machine.Segment{Limit: 0xfff, Base: kpcr + idtOffset}
	s.RSP, s.RIP = g.Stack(p)+frameAt+0x408, g.Sym("PoIdle")+1
	s.GS.Base, s.CR3 = kpcr, uint64(g.Truth.SystemDTB)
	switch mode {
	case Process:
		s.CR3 = uint64(g.Truth.ProcessDTB) | 2 // with a PCID
		s.RIP, s.KernelGSBase = g.Sym("KiSwapContext")+1, userTEB
	case User:
		s.CR3 = uint64(g.Truth.UserDTB) | 1
		s.CS = machine.Segment{Selector: 0x33, Flags: 0x20fb00}
		s.SS = flatSegment
		s.RIP, s.RSP = userCode+0x123, userStack+0xf00
		s.GS.Base, s.KernelGSBase = userTEB, kpcr
	}
}
