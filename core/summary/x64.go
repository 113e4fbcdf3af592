package summary

import "coredrop/core/machine"

// x64 fills in the registers of an x86-64 CPU.
func (c *CPU) x64(x *machine.X64State) {
	c.Mode, c.RegistersFrom = "user", "live"
	if x.Kernel() {
		c.Mode = "kernel"
	}
	c.PC, c.SP, c.KPCR = hex64(x.RIP), hex64(x.RSP), hex64(uint64(x.KPCR()))
	list := []struct {
		name  string
		value uint64
	}{
		{"rax", x.RAX}, {"rbx", x.RBX}, {"rcx", x.RCX}, {"rdx", x.RDX}, {"rsi", x.RSI}, {"rdi", x.RDI}, {"rsp", x.RSP}, {"rbp", x.RBP},
		{"r8", x.R8}, {"r9", x.R9}, {"r10", x.R10}, {"r11", x.R11}, {"r12", x.R12}, {"r13", x.R13}, {"r14", x.R14}, {"r15", x.R15},
		{"rip", x.RIP}, {"rflags", x.RFLAGS},
		{"cs", uint64(x.CS.Selector)}, {"ss", uint64(x.SS.Selector)}, {"ds", uint64(x.DS.Selector)},
		{"es", uint64(x.ES.Selector)}, {"fs", uint64(x.FS.Selector)}, {"gs", uint64(x.GS.Selector)},
		{"cr0", x.CR0}, {"cr2", x.CR2}, {"cr3", x.CR3}, {"cr4", x.CR4},
		{"gdtr", x.GDT.Base}, {"idtr", x.IDT.Base}, {"fs_base", x.FS.Base}, {"gs_base", x.GS.Base}, {"kernel_gs_base", x.KernelGSBase},
	}
	if x.System {
		c.Root = hex64(x.CR3)
	} else {
		list = list[:24] // the general ones and the selectors are all there is
	}
	if x.System && !x.HasKernelGSBase {
		list = list[:len(list)-1]
	}
	for _, r := range list {
		c.Registers = append(c.Registers, Register{r.name, hex64(r.value)})
	}
}
