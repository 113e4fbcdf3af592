package find

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// fetch brings what the CPUs' registers lead to, in each CPU's own address space,
// where memory is read ahead.
func (f *finder) fetch() {
	ahead := mem.NewAhead(f.m.Mem, len(f.m.CPUs), func(m mem.Physical, i int) {
		x := f.cpu(i)
		if x == nil || !x.Paging() {
			return
		}
		s := paging.New(m, x.Root(), f.modeOf(x))
		list := []mem.VA{windows.SharedVA, f.p.region(x), mem.VA(x.PC()), mem.VA(x.SP())}
		if i == 0 {
			list = append(list, mem.VA(x.Vectors())) // one table leads to the kernel
		}
		for _, va := range list {
			if s.Mode.Kernel(va) {
				s.Resolves(va)
			}
		}
	})
	for i := range f.m.CPUs {
		ahead.To(i)
	}
}

// otherGates lists the handlers of the other gates of every CPU, a page once.
func (f *finder) otherGates(s *paging.Space) (out []mem.VA) {
	pages := map[mem.VA]bool{}
	for i := range f.m.CPUs {
		for n := 1; n < maxGates && len(out) < maxStarts; n++ {
			va, ok := f.gate(s, i, n)
			if !ok || pages[va.Page()] {
				continue
			}
			pages[va.Page()] = true
			out = append(out, va)
		}
	}
	return out
}

// hintStarts lists what notes and stubs say of the kernel's place.
func (f *finder) hintStarts(*paging.Space) []mem.VA { return f.hints }

// pcStarts lists where the CPUs in kernel mode stand.
func (f *finder) pcStarts(s *paging.Space) (out []mem.VA) {
	for _, c := range f.m.CPUs {
		if c.State != nil && s.Mode.Kernel(mem.VA(c.State.PC())) && len(out) < maxStarts {
			out = append(out, mem.VA(c.State.PC()))
		}
	}
	return out
}

// regionStarts lists where the CPUs' control regions have the version block.
func (f *finder) regionStarts(s *paging.Space) (out []mem.VA) {
	for _, x := range f.states() {
		if windows.KPCR(x) == 0 || len(out) == maxStarts {
			continue
		}
		if va, err := s.Uint64(windows.KPCR(x) + windows.PcrVersionBlock); err == nil && s.Mode.Kernel(mem.VA(va)) {
			out = append(out, mem.VA(va))
		}
	}
	return out
}

// stackStarts lists what looks like return addresses on the kernel stacks.
func (f *finder) stackStarts(s *paging.Space) (out []mem.VA) {
	pages := map[mem.VA]bool{}
	stack := make([]byte, stackBytes)
	for _, c := range f.m.CPUs {
		if c.State == nil || !s.Mode.Kernel(mem.VA(c.State.SP())) {
			continue
		}
		s.ReadBest(stack, mem.VA(c.State.SP())&^7)
		for i := 0; i < len(stack) && len(out) < maxStarts; i += 8 {
			va := mem.VA(u64(stack, i))
			// Return addresses lie in images, 2 MiB neighbours share one.
			if block := va &^ (1<<21 - 1); va >= windows.ImageRegion && va < windows.ImageTop && !pages[block] {
				pages[block] = true
				out = append(out, va)
			}
		}
	}
	return out
}
