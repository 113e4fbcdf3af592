package windows

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// An entry whose page Windows has taken from its working set and not yet from
// memory: the processor does not follow it, a debugger does. Source: public
// listings of _MMPTE_TRANSITION (Valid bit 0, Prototype bit 10, Transition bit
// 11, PageFrameNumber from bit 12 on). Since the mitigation of L1TF Windows sets
// a high bit of the frame number besides; as in volatility3, the address is what
// lies below bit 45.
const transitionAddress = 0x00001ffffffff000 // 44:12

var transition = paging.Rule{Mask: 1<<0 | 1<<10 | 1<<11, Value: 1 << 11}

// The paging modes of Windows on x86-64, by the levels of its tables.
var (
	X64   = paging.X64.WithTransition(transition, transitionAddress)
	X64L5 = paging.X64L5.WithTransition(transition, transitionAddress)
)

// Modes are the modes to try where nothing says which it is.
var Modes = []*paging.Mode{X64, X64L5}

// KPCR is the address of a CPU's processor control region: the GS base while the
// CPU runs kernel code, else what SWAPGS will load; 0 when unknown.
func KPCR(x *cpu.State) mem.VA {
	for _, r := range []cpu.Reg{cpu.GSBase, cpu.KernelGSBase} {
		if base := x.Get(r); base>>63 == 1 {
			return mem.VA(base)
		}
	}
	return 0
}

// interruptFlag is IF in RFLAGS.
const interruptFlag = 1 << 9

// Frozen reports whether a CPU stands where a bug check makes the other
// processors wait: in the kernel, interrupts off.
func Frozen(x *cpu.State) bool {
	return x.Kernel() && x.PC()>>63 == 1 && x.Get(cpu.RFLAGS)&interruptFlag == 0
}
