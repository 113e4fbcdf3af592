package stacks

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// registersOf gives the registers of a state, of which all general ones are known.
func registersOf(x *cpu.State) unwind.Registers {
	var regs [16]uint64
	for i, r := range cpu.General {
		regs[i] = x.Get(r)
	}
	return unwind.Full(x.PC(), regs)
}

// fromRecord takes the registers of a CONTEXT.
func fromRecord(r *windows.Record) (unwind.From, bool) {
	if !r.Whole() {
		return unwind.From{}, false
	}
	return unwind.From{Registers: registersOf(r.State), User: r.PC>>63 == 0}, true
}

// trapFrame reads a KTRAP_FRAME.
func (r *Reader) trapFrame(at mem.VA) (unwind.From, bool) {
	p, s := make([]byte, trapFrame.Bytes), cpu.New(cpu.X64)
	if r.k.Space.ReadAt(p, at) != nil {
		return unwind.From{}, false
	}
	trapFrame.Load(s, p)
	user := s.Get(cpu.CS)&3 == 3
	if s.PC() == 0 || s.SP() == 0 || user == (s.PC()>>63 == 1) {
		return unwind.From{}, false
	}
	return unwind.From{Registers: unwind.Partial(s.PC(), s.SP(), s.Get(cpu.RBP)), User: user}, true
}
