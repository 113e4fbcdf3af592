package synth

import (
	"coredrop/core/cpu"
	"coredrop/core/machine"
)

// states makes the CPUs' registers.
func (g *Editor) states() {
	for i, mode := range g.opts.CPUs {
		c := machine.CPU{Index: i, PID: uint32(i + 1), State: blank()}
		switch {
		case mode == Reset || mode == Parked:
			resetState(c.State)
		case mode > Reset:
			g.strangerState(c.State, mode, g.processor(i))
		default:
			g.runningState(c.State, mode, g.processor(i))
		}
		g.cpus = append(g.cpus, c)
	}
	g.crash()
	for i := range g.cpus {
		g.cpus[i].State.Set(cpu.OrigAX, g.cpus[i].State.Get(cpu.RAX))
	}
}

// blank is a state of zeros, in which all that a QEMU note holds is known.
func blank() *cpu.State {
	s := cpu.Of(cpu.X64, cpu.Values{cpu.RIP: 0, cpu.RFLAGS: 0, cpu.CR0: 0, cpu.CR2: 0, cpu.CR3: 0, cpu.CR4: 0, cpu.KernelGSBase: 0})
	for _, r := range cpu.General {
		s.Set(r, 0)
	}
	for _, r := range segments {
		s.SetSegment(r, cpu.Segment{})
	}
	return s
}

// resetState is a CPU before its first instruction.
func resetState(s *cpu.State) {
	s.SetAll(cpu.Values{cpu.RIP: 0xfff0, cpu.RFLAGS: 2, cpu.RDX: 0x663, cpu.CR0: 0x60000010})
	s.SetSegment(cpu.CS, cpu.Segment{Selector: 0xf000, Limit: 0xffff, Flags: 0x9b00, Base: 0xffff0000})
	for _, r := range []cpu.Reg{cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS} {
		s.SetSegment(r, cpu.Segment{Limit: 0xffff, Flags: 0x9300})
	}
	s.SetSegment(cpu.LDT, cpu.Segment{Limit: 0xffff, Flags: 0x8200})
	s.SetSegment(cpu.TR, cpu.Segment{Limit: 0xffff, Flags: 0x8b00})
	s.SetSegment(cpu.GDT, cpu.Segment{Limit: 0xffff})
	s.SetSegment(cpu.IDT, cpu.Segment{Limit: 0xffff})
}

// The flat segments of 64-bit mode.
var (
	codeSegment  = cpu.Segment{Selector: 0x10, Flags: 0x209b00}
	stackSegment = cpu.Segment{Selector: 0x18, Limit: 0xffffffff, Flags: 0xcf9300}
	flatSegment  = cpu.Segment{Selector: 0x2b, Limit: 0xffffffff, Flags: 0xcff300}
)

// general gives a CPU registers that mean nothing.
func (g *Editor) general(s *cpu.State) {
	for _, r := range []cpu.Reg{cpu.RAX, cpu.RBX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.RBP,
		cpu.R8, cpu.R9, cpu.R10, cpu.R11, cpu.R12, cpu.R13, cpu.R14, cpu.R15} {
		s.Set(r, g.noise.next())
	}
	for _, r := range []cpu.Reg{cpu.DS, cpu.ES, cpu.GS} {
		s.SetSegment(r, flatSegment)
	}
	s.SetSegment(cpu.CS, codeSegment)
	s.SetSegment(cpu.SS, stackSegment)
	s.SetSegment(cpu.FS, cpu.Segment{Selector: 0x53, Limit: 0x3c00, Flags: 0x40f300})
	s.SetSegment(cpu.LDT, cpu.Segment{Flags: 0x8200})
	s.SetAll(cpu.Values{cpu.CR0: 0x80050033, cpu.CR4: 0x6f8, cpu.RFLAGS: 0x246})
	if g.opts.FiveLevel {
		s.Set(cpu.CR4, s.Get(cpu.CR4)|(1<<12))
	}
}

func (g *Editor) runningState(s *cpu.State, mode Mode, p int) {
	kpcr := g.Truth.KPCR[p]
	g.general(s)
	s.SetSegment(cpu.TR, cpu.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: kpcr + gdtOffset + 0x100})
	s.SetSegment(cpu.GDT, cpu.Segment{Limit: 0x57, Base: kpcr + gdtOffset})
	s.SetSegment(cpu.IDT, cpu.Segment{Limit: 0xfff, Base: kpcr + idtOffset})
	s.SetAll(cpu.Values{cpu.RSP: g.Stack(p) + frameAt + 0x408, cpu.RIP: g.Sym("PoIdle") + 1, cpu.GSBase: kpcr, cpu.CR3: uint64(g.Truth.SystemDTB)})
	switch mode {
	case Process:
		s.Set(cpu.CR3, uint64(g.Truth.ProcessDTB)|2) // with a PCID
		s.SetAll(cpu.Values{cpu.RIP: g.Sym("KiSwapContext") + 1, cpu.KernelGSBase: userTEB})
	case User:
		s.Set(cpu.CR3, uint64(g.Truth.UserDTB)|1)
		s.SetSegment(cpu.CS, cpu.Segment{Selector: 0x33, Flags: 0x20fb00})
		s.SetSegment(cpu.SS, flatSegment)
		s.SetAll(cpu.Values{cpu.RIP: userCode + 0x123, cpu.RSP: userStack + 0xf00, cpu.GSBase: userTEB, cpu.KernelGSBase: kpcr})
	}
}
