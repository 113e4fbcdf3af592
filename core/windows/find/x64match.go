package find

import (
	"coredrop/core/cpu"
	"coredrop/core/windows"
)

// descriptors is where a processor's control region has the descriptor tables; zero:
// it cannot be read.
type descriptors struct{ gdt, idt uint64 }

func descriptorsOf(k *windows.Kernel, p *windows.Processor) descriptors {
	if p.KPCR == 0 {
		return descriptors{}
	}
	gdt, err1 := k.Space.Uint64(p.KPCR + pcrGDT)
	idt, err2 := k.Space.Uint64(p.KPCR + pcrIDT)
	if err1 != nil || err2 != nil {
		return descriptors{}
	}
	return descriptors{gdt, idt}
}

// usesTables reports whether a CPU's descriptor tables are those that a
// processor's control region names.
func (m *matcher) usesTables(x *cpu.State, p *windows.Processor) bool {
	t := m.tables[p]
	return x.System() && t.gdt != 0 && t == descriptors{x.Get(cpu.GDTBase), x.Get(cpu.IDTBase)}
}
