package find

import (
	"coredrop/core/cpu"
	"coredrop/core/windows"
)

// Where an x86 CPU stands after reset and INIT. Source: Intel SDM volume 3,
// section "Processor state after reset".
const (
	resetIP     = 0xfff0
	resetCSBase = 0xffff0000
	realLimit   = 0xffff // of a segment in real mode; SMM enters with 4 GiB
	cr0Protect  = 1 << 0
	ringMask    = 3
)

// unpagedMode tells what a CPU without paging does.
func unpagedMode(x *cpu.State) windows.Mode {
	switch {
	case x.PC() == resetIP && x.Get(cpu.CSBase) == resetCSBase:
		return windows.ModeReset
	case x.Get(cpu.CR0)&cr0Protect == 0 && x.Segment(cpu.CS).Limit > realLimit:
		return windows.ModeSMM
	}
	return windows.ModeFirmware
}
