package find

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// x64 is the search on x86-64.
var x64 = &platform{
	arch:    cpu.X64,
	roots:   x64Roots,
	handler: func(f *finder, s *paging.Space, cpu int) (mem.VA, bool) { return f.gate(s, cpu, 0) },
	starts:  []starts{(*finder).otherGates, (*finder).hintStarts, (*finder).pcStarts, (*finder).regionStarts, (*finder).stackStarts},
	modeOf:  x64ModeOf,
	region:  windows.KPCR,
	modes:   x64Modes,
	self:    paging.Rule{Mask: 0x07, Value: 0x03},
	inRoot:  x64InRoot,
}

// x64InRoot reports whether an entry that is present can be one of a root: no
// large page, and no address beyond Windows' own bound of physical ones.
func x64InRoot(m *paging.Mode, entry uint64) bool {
	const large, widest = 1 << 7, 1 << 46 // 64 TiB
	return entry&large == 0 && entry&m.Address < widest
}

// x64ModeOf gives the paging mode of a CPU by its control registers.
func x64ModeOf(x *cpu.State) *paging.Mode {
	if x.Get(cpu.CR4)&cpu.CR4LA57 != 0 {
		return windows.X64L5
	}
	return windows.X64
}

// x64Modes lists the paging modes to try where no CPU belongs to a root, the
// likeliest first: those of the CPUs that have paging on, then the others, for
// the notes may be damaged.
func x64Modes(f *finder) []*paging.Mode {
	var four, five bool
	for _, x := range f.states() {
		if x.Paging() {
			five = five || x.Get(cpu.CR4)&cpu.CR4LA57 != 0
			four = four || x.Get(cpu.CR4)&cpu.CR4LA57 == 0
		}
	}
	if five && !four {
		return []*paging.Mode{windows.X64L5, windows.X64}
	}
	return []*paging.Mode{windows.X64, windows.X64L5}
}
