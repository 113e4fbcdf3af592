package stacks

import (
	"coredrop/core/cpu"
	"coredrop/core/windows/unwind"
)

func liveRegisters(x *cpu.State) unwind.Registers {
	var regs [16]uint64
	for i, r := range cpu.General {
		regs[i] = x.Get(r)
	}
	return unwind.Full(x.PC(), regs)
}

// fromContext takes the registers of a CONTEXT.
func fromContext(p []byte) (unwind.From, bool) {
	const whole = contextAMD64 | contextControl | contextInteger
	if len(p) < contextBytes || u32(p, contextFlags)&whole != whole {
		return unwind.From{}, false
	}
	var regs [16]uint64
	for i := range regs {
		regs[i] = u64(p, contextRax+8*i)
	}
	rip := u64(p, contextRip)
	if rip == 0 || regs[unwind.RSP] == 0 {
		return unwind.From{}, false
	}
	return unwind.From{Registers: unwind.Full(rip, regs), User: rip>>63 == 0}, true
}
