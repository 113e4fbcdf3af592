package savevm

import (
	"coredrop/core/cpu"
	"coredrop/core/machine"
)

// asCPU gives a CPU of its registers; nil: they are not known.
func asCPU(i int, s *cpu.State) machine.CPU {
	c := machine.CPU{Index: i}
	if s == nil || s.Arch == cpu.ARM64 {
		return c
	}
	segment := func(r cpu.Reg) machine.Segment {
		g := s.Segment(r)
		return machine.Segment{Selector: g.Selector, Limit: g.Limit, Flags: g.Flags, Base: g.Base}
	}
	c.X64 = &machine.X64State{
		System: true,
		RAX:    s.Get(cpu.RAX), RBX: s.Get(cpu.RBX), RCX: s.Get(cpu.RCX), RDX: s.Get(cpu.RDX),
		RSI: s.Get(cpu.RSI), RDI: s.Get(cpu.RDI), RSP: s.Get(cpu.RSP), RBP: s.Get(cpu.RBP),
		R8: s.Get(cpu.R8), R9: s.Get(cpu.R9), R10: s.Get(cpu.R10), R11: s.Get(cpu.R11),
		R12: s.Get(cpu.R12), R13: s.Get(cpu.R13), R14: s.Get(cpu.R14), R15: s.Get(cpu.R15),
		RIP: s.Get(cpu.RIP), RFLAGS: s.Get(cpu.RFLAGS),
		CS: segment(cpu.CS), DS: segment(cpu.DS), ES: segment(cpu.ES), FS: segment(cpu.FS), GS: segment(cpu.GS),
		SS: segment(cpu.SS), LDT: segment(cpu.LDT), TR: segment(cpu.TR), GDT: segment(cpu.GDT), IDT: segment(cpu.IDT),
		CR0: s.Get(cpu.CR0), CR2: s.Get(cpu.CR2), CR3: s.Get(cpu.CR3), CR4: s.Get(cpu.CR4),
		KernelGSBase: s.Get(cpu.KernelGSBase), HasKernelGSBase: s.Known(cpu.KernelGSBase),
	}
	return c
}
