package summary

import (
	"coredrop/core/cpu"
	"coredrop/core/windows"
)

// registers fills in what is known of a CPU's registers.
func (c *CPU) registers(x *cpu.State) {
	if !x.Known(x.Arch.PC) {
		return
	}
	c.Mode, c.RegistersFrom = "user", "live"
	if x.Kernel() {
		c.Mode = "kernel"
	}
	c.PC, c.SP, c.KPCR = hex64(x.PC()), hex64(x.SP()), hex64(uint64(windows.KPCR(x)))
	if x.System() {
		c.Root = hex64(x.Root())
	}
	for _, r := range x.Arch.Listed {
		if x.Known(r) {
			c.Registers = append(c.Registers, Register{x.Arch.RegName(r), hex64(x.Get(r))})
		}
	}
}
