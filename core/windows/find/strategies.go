package find

import (
	"iter"

	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// states gives the CPUs whose control registers are known, by index.
func (f *finder) states() iter.Seq2[int, *cpu.State] {
	return func(yield func(int, *cpu.State) bool) {
		for i, c := range f.m.CPUs {
			if c.State != nil && c.State.System() && !yield(i, c.State) {
				return
			}
		}
	}
}

// one makes a sequence of one root.
func one(r root, ok bool) iter.Seq[root] {
	return func(yield func(root) bool) {
		if ok {
			yield(r)
		}
	}
}

func (f *finder) cpu(i int) *cpu.State {
	if i < len(f.m.CPUs) && f.m.CPUs[i].State != nil && f.m.CPUs[i].State.System() {
		return f.m.CPUs[i].State
	}
	return nil
}

// plausible reports cheaply whether a page can be a root: its entry for the
// shared page is present and leads to memory that the core holds.
func (f *finder) plausible(pa mem.PA, mode *paging.Mode) bool {
	var e [8]byte
	index := mode.Levels[0].Index(windows.SharedVA)
	return f.m.Mem.ReadAt(e[:mode.Entry], pa+mem.PA(mode.Entry*index)) == nil && f.leads(mode.EntryAt(e[:], 0), mode)
}

// leads reports whether a table entry is present and leads to a page that the
// core holds.
func (f *finder) leads(entry uint64, mode *paging.Mode) bool {
	kind, to := mode.Step(0, entry)
	if kind != paging.Table {
		return false
	}
	_, ok := mem.Find(f.m.Mem.Extents(), to)
	return ok
}
