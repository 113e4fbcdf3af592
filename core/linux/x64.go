package linux

import "coredrop/core/cpu"

// ptRegs is struct pt_regs, arch/x86/include/asm/ptrace.h.
var ptRegs = cpu.Layout{Bytes: RegsBytes, Fields: cpu.At(0, 8,
	cpu.R15, cpu.R14, cpu.R13, cpu.R12, cpu.RBP, cpu.RBX, cpu.R11, cpu.R10, cpu.R9, cpu.R8,
	cpu.RAX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.OrigAX, cpu.RIP, cpu.CS, cpu.RFLAGS, cpu.RSP, cpu.SS)}

const (
	RegsBytes = 168 // sizeof(struct pt_regs)
	pushedAt  = 128 // of it what the CPU itself pushes on an interrupt: from RIP on
)

// saved reads a register of the struct pt_regs at an address.
func (v view) saved(regs uint64, r cpu.Reg) (uint64, bool) {
	f, ok := ptRegs.Place(r)
	if !ok {
		return 0, false
	}
	return v.u64(regs + uint64(f.Off))
}

// savedState takes a whole struct pt_regs apart.
func savedState(p []byte) *cpu.State {
	s := cpu.New(cpu.X64)
	ptRegs.Load(s, p)
	return s
}
