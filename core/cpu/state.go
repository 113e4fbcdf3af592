package cpu

// State is what is known of a CPU's registers at one moment. It is a value: a copy
// is a state of its own, and two can be compared.
type State struct {
	Arch *Arch

	value [maxRegisters]uint64
	known [(maxRegisters + 63) / 64]uint64
}

// New makes a state of which nothing is known.
func New(a *Arch) *State { return &State{Arch: a} }

// Values are registers with their contents.
type Values map[Reg]uint64

// Of makes a state in which some registers are known.
func Of(a *Arch, values Values) *State {
	s := New(a)
	s.SetAll(values)
	return s
}

// Known reports whether a register's value is known. Those of another
// architecture are not.
func (s *State) Known(r Reg) bool {
	return s.Arch.Has(r) && s.known[r.index()/64]>>(r.index()%64)&1 != 0
}

// Get gives a register's value; 0 where it is not known.
func (s *State) Get(r Reg) uint64 {
	if !s.Known(r) {
		return 0
	}
	return s.value[r.index()]
}

// Set makes a register known. One of another architecture stays unknown.
func (s *State) Set(r Reg, v uint64) {
	if s.Arch.Has(r) {
		s.value[r.index()] = v
		s.known[r.index()/64] |= 1 << (r.index() % 64)
	}
}

// SetAll makes registers known.
func (s *State) SetAll(values Values) {
	for r, v := range values {
		s.Set(r, v)
	}
}

// Forget makes registers unknown.
func (s *State) Forget(list ...Reg) {
	for _, r := range list {
		if s.Arch.Has(r) {
			s.value[r.index()] = 0
			s.known[r.index()/64] &^= 1 << (r.index() % 64)
		}
	}
}

// Holds reports whether a condition holds of what is known; of an unknown register
// it is asked as if that were zero.
func (s *State) Holds(b Bits) bool { return s.Get(b.Reg)&b.Mask == b.Value }

// PC is the address of the next instruction.
func (s *State) PC() uint64 { return s.Get(s.Arch.PC) }

// SP is the stack pointer.
func (s *State) SP() uint64 { return s.Get(s.Arch.SP) }

// Root is the register that selects the page tables, with its flags.
func (s *State) Root() uint64 { return s.Get(s.Arch.Root) }

// Vectors is the address of what handles interrupts.
func (s *State) Vectors() uint64 { return s.Get(s.Arch.Vectors) }

// System reports whether the control registers are known, and not the general
// ones only.
func (s *State) System() bool { return s.Known(s.Arch.Root) }

// Paging reports whether the CPU translates addresses.
func (s *State) Paging() bool { return s.Holds(s.Arch.Paging) }

// Kernel reports whether the CPU runs in the kernel's mode: ring 0, EL1.
func (s *State) Kernel() bool { return s.Holds(s.Arch.Kernel) }
