package stacks

import (
	"coredrop/core/machine"
	"coredrop/core/windows/unwind"
)

func liveRegisters(x *machine.X64State) unwind.Registers {
	return unwind.Full(x.RIP, [16]uint64{x.RAX, x.RCX, x.RDX, x.RBX, x.RSP, x.RBP, x.RSI, x.RDI,
		x.R8, x.R9, x.R10, x.R11, x.R12, x.R13, x.R14, x.R15})
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
