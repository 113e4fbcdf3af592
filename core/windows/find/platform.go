package find

import (
	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// starts is a source of addresses in the kernel, below which its image begins.
type starts func(f *finder, s *paging.Space) []mem.VA

// platform is what differs between processor architectures in the search. It is
// chosen once, by the machine's.
type platform struct {
	arch  *cpu.Arch
	roots []strategy
	// handler is the likeliest pointer into the kernel that a CPU has; starts are
	// others, which are tried only while no kernel has been seen.
	handler func(f *finder, s *paging.Space, cpu int) (mem.VA, bool)
	starts  []starts
	modeOf  func(x *cpu.State) *paging.Mode // of a CPU
	region  func(x *cpu.State) mem.VA       // a CPU's control region by its registers; 0: they do not say
	modes   func(f *finder) []*paging.Mode  // where no CPU belongs to a root, the likeliest first
	// self is what the entry by which a root maps itself has besides the address.
	// inRoot holds for an entry, present, that a root can have.
	self   paging.Rule
	inRoot func(m *paging.Mode, entry uint64) bool
}

// platforms are those that are known. A machine of any other architecture, or of
// which it is not known, is searched as x86-64.
var platforms = []*platform{x64}

func platformOf(m *machine.Machine) *platform {
	for _, p := range platforms {
		if p.arch == m.Arch {
			return p
		}
	}
	return x64
}

func (f *finder) modeOf(x *cpu.State) *paging.Mode { return f.p.modeOf(x) }

func (f *finder) modes() []*paging.Mode { return f.p.modes(f) }
