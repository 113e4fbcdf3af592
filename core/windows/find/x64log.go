package find

import "coredrop/core/cpu"

// logRegisters says what the search starts from.
func (f *finder) logRegisters() {
	for i, x := range f.states() {
		mode := "user"
		if x.Kernel() {
			mode = "kernel"
		}
		f.logf("cpu %d: %s mode, rip %#x, cr3 %#x, cr4 %#x, idt %#x, gs %#x", i, mode, x.PC(), x.Root(), x.Get(cpu.CR4), x.Vectors(), x.Get(cpu.GSBase))
	}
}
