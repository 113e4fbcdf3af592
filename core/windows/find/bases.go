package find

import (
	"iter"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// Bounds of the walks that start elsewhere than at a kernel's gate, in mapped
// pages: an image is at most some 20 MiB large.
const (
	shortWalk   = 16 << 10 // 64 MiB
	maxStarts   = 64
	stackBytes  = 16 << 10
	tableProbes = 256 << 10 // 1 GiB of mapped pages
	gateBytes   = 16
	maxGates    = 256

	maxImagePage = 4 << 20 // larger pages map physical memory, not images
)

// bases gives addresses at which an image begins, the likeliest first: below
// the interrupt handlers, then below whatever else points into the kernel, and
// at last (deep) everywhere in the kernel half of the tables. The later sources
// are tried only while no kernel has been seen at all.
func (f *finder) bases(s *paging.Space, deep bool) iter.Seq[mem.VA] {
	return func(yield func(mem.VA) bool) {
		walked := map[mem.VA]bool{}
		from := func(start mem.VA, limit int) bool {
			floor := windows.ImageFloor
			if start < floor {
				floor, limit = 0, min(limit, shortWalk)
			}
			return f.walkDown(s, start, floor, limit, walked, yield)
		}
		for i := range f.m.CPUs {
			if start, ok := f.p.handler(f, s, i); ok && !from(start, probeBudget) {
				return
			}
		}
		for _, sources := range f.p.starts {
			if len(f.kernels) > 0 {
				return
			}
			for _, start := range sources(f, s) {
				if !from(start, shortWalk) {
					return
				}
			}
		}
		if deep && len(f.kernels) == 0 {
			f.logf("no pointer leads to the kernel: looking through the kernel half of the tables")
			f.sweep(s, yield)
		}
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

// walkDown steps down from start, a page at a time, over what is mapped, and
// yields pages that begin like an image. What is not mapped is skipped by the
// level at which the walk ends. It stops at floor, after limit mapped pages, or
// where an earlier walk of the same space began; false: the caller wants no
// more.
func (f *finder) walkDown(s *paging.Space, start, floor mem.VA, limit int, walked map[mem.VA]bool, yield func(mem.VA) bool) bool {
	va := start.Page()
	if walked[va] {
		return true
	}
	first := va
	defer func() { walked[first] = true }()
	for steps := 0; va >= floor && s.Mode.Kernel(va); steps++ {
		if steps%1024 == 0 && f.ctx.Err() != nil {
			return false
		}
		if steps > probeBudget {
			return true
		}
		if va != first && walked[va] {
			return true
		}
		if _, _, err := s.Translate(va); err != nil {
			below := va &^ (mem.VA(paging.Span(err)) - 1)
			if below == 0 {
				return true
			}
			va = below - mem.PageSize
			continue
		}
		if limit--; limit < 0 || f.budget <= 0 {
			return true
		}
		f.budget--
		if startsImage(s, va) && !yield(va) {
			return false
		}
		va -= mem.PageSize
	}
	return true
}

// startsImage reports whether a page begins with the DOS signature.
func startsImage(s *paging.Space, va mem.VA) bool {
	var b [2]byte
	return s.ReadAt(b[:], va) == nil && b == [2]byte{'M', 'Z'}
}

// sweep yields every page of the kernel half that begins like an image, the
// region of system images first. The largest pages map physical memory, not
// images, and the slot by which the root maps itself shows page tables only.
func (f *finder) sweep(s *paging.Space, yield func(mem.VA) bool) {
	bottom := s.Mode.Upper()
	w := sweeper{f: f, s: s, left: tableProbes, yield: yield}
	if w.table(s.Root, 0, 0, windows.ImageRegion, windows.ImageTop-1) && w.table(s.Root, 0, 0, windows.ImageTop, ^mem.VA(0)) {
		w.table(s.Root, 0, 0, bottom, windows.ImageRegion-1)
	}
}

type sweeper struct {
	f     *finder
	s     *paging.Space
	left  int
	yield func(mem.VA) bool
}

// table goes through one table whose entries cover the space from base on, as
// far as they meet [lo, hi]; false: no more is wanted or allowed.
func (w *sweeper) table(at mem.PA, level int, base, lo, hi mem.VA) bool {
	mode := w.s.Mode
	l := &mode.Levels[level]
	entries := 1 << l.Bits
	raw := make([]byte, entries*mode.Entry)
	if w.f.ctx.Err() != nil {
		return false
	}
	if w.s.Phys.ReadAt(raw, at) != nil {
		return true
	}
	for i := range entries {
		va := base | mem.VA(i)<<l.Shift
		if level == 0 && mode.Signed && i >= entries/2 {
			va |= mode.Upper() // sign extension
		}
		last := va + mem.VA(l.Span()-1)
		kind, next := mode.Step(level, mode.EntryAt(raw, i))
		if last < lo || va > hi || kind == paging.Absent {
			continue
		}
		switch {
		case level == len(mode.Levels)-1 || kind == paging.Page && l.Span() <= maxImagePage:
			for page := max(va, lo.Page()); page >= va && page <= min(last, hi); page += mem.PageSize {
				if w.left--; w.left < 0 || w.f.budget <= 0 {
					return false
				}
				w.f.budget--
				if startsImage(w.s, page) && !w.yield(page) {
					return false
				}
			}
		case kind == paging.Page || next == w.s.Root:
		case !w.table(next, level+1, va, lo, hi):
			return false
		}
		if w.f.budget--; w.f.budget <= 0 {
			return false // tables cost as well
		}
	}
	return true
}
