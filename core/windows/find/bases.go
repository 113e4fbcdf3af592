package find

import (
	"iter"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// Bounds of the walks, in mapped pages: an image is at most some 30 MiB large.
const (
	shortWalk   = 16 << 10 // 64 MiB
	maxStarts   = 64
	stackBytes  = 16 << 10
	tableProbes = 256 << 10 // 1 GiB of mapped pages
	gateBytes   = 16
	maxGates    = 256

	maxImagePage = 4 << 20 // larger pages map physical memory, not images
)

// claim is an address at which the kernel image may begin, and what says so: the
// page itself, which begins like an image (nil), or what was found of the kernel
// elsewhere, so that its header need not be there.
type claim struct {
	base mem.VA
	mark *windows.ImageMark
}

// bases gives addresses at which an image begins, the likeliest first. Short
// walks below whatever points into the kernel come first, the interrupt handlers
// before the rest; then what the kernel's data say of it around those pointers;
// at last the walks that may be long, and (deep) a look everywhere in the kernel
// half of the tables. A later source is tried only while the kernel was not
// found.
func (f *finder) bases(s *paging.Space, deep bool) iter.Seq[claim] {
	return func(yield func(claim) bool) {
		b := baser{f: f, s: s, walked: map[mem.VA]bool{}, yield: func(base mem.VA) bool { return yield(claim{base: base}) }}
		for i := range f.m.CPUs {
			if start, ok := f.p.handler(f, s, i); ok && !b.near(start) {
				return
			}
		}
		for _, sources := range f.p.starts {
			if f.best() != nil {
				return
			}
			for _, start := range sources(f, s) {
				if !b.near(start) {
					return
				}
			}
		}
		a := surveyor{f: f, s: s, yield: yield}
		if f.best() != nil || !a.survey(b.starts) || f.best() != nil || !b.far() {
			return
		}
		if deep && len(f.kernels) == 0 {
			f.logf("no pointer leads to the kernel: looking through the kernel half of the tables")
			f.sweep(s, b.yield)
		}
		if f.best() == nil { // around images that look like it
			a.survey(f.imagesThrough(s))
		}
	}
}

// imagesThrough lists where images that look like the kernel begin in a space.
func (f *finder) imagesThrough(s *paging.Space) (out []mem.VA) {
	for _, c := range f.kernels {
		if c.space.Root == s.Root {
			out = append(out, c.image.Base)
		}
	}
	return out
}

// baser walks down from one start after the other in one space.
type baser struct {
	f      *finder
	s      *paging.Space
	walked map[mem.VA]bool // where walks began
	starts []mem.VA        // all that were given, in order
	ended  []mem.VA        // where short walks came to their limit
	yield  func(mem.VA) bool
}

// floor is how far down a walk from a start goes.
func floor(start mem.VA) mem.VA {
	if start < windows.ImageFloor {
		return 0
	}
	return windows.ImageFloor
}

// near walks a short way down from a start; false: the caller wants no more.
func (b *baser) near(start mem.VA) bool {
	b.starts = append(b.starts, start)
	b.f.pointers++
	w := b.f.near.walk(shortWalk)
	more := b.f.walkDown(b.s, start, floor(start), &w, b.walked, b.yield)
	if w.ended != 0 && start >= windows.ImageFloor {
		b.ended = append(b.ended, w.ended)
	}
	return more
}

// far goes on where the short walks ended. Each gets its part of what the others
// leave.
func (b *baser) far() bool {
	left, walked := b.f.far.half(), map[mem.VA]bool{}
	for i, start := range b.ended {
		w := b.f.far.walk(left / (len(b.ended) - i))
		more := b.f.walkDown(b.s, start, windows.ImageFloor, &w, walked, b.yield)
		if left -= w.pages; !more {
			return false
		}
	}
	return true
}

// walkDown steps down from start, a page at a time, over what is mapped, and
// yields pages that begin like an image. What is not mapped is skipped by the
// level at which the walk ends. It stops at floor, at the walk's limit, or where
// an earlier walk of the same space began; false: the caller wants no more.
func (f *finder) walkDown(s *paging.Space, start, floor mem.VA, w *walk, walked map[mem.VA]bool, yield func(mem.VA) bool) bool {
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
		if steps > maxSteps {
			return true
		}
		if va != first && walked[va] {
			return true
		}
		pa, _, err := s.Translate(va)
		if err != nil {
			below := va &^ (mem.VA(paging.Span(err)) - 1)
			if below == 0 {
				return true
			}
			va = below - mem.PageSize
			continue
		}
		if !w.step() {
			w.ended = va
			return true
		}
		if beginsImage(s.Phys, pa) && !yield(va) {
			return false
		}
		va -= mem.PageSize
	}
	return true
}

// beginsImage reports whether a page of physical memory begins with the DOS
// signature.
func beginsImage(m mem.Physical, pa mem.PA) bool {
	var b [2]byte
	return m.ReadAt(b[:], pa) == nil && b == [2]byte{'M', 'Z'}
}

// startsImage reports whether a page begins with the DOS signature.
func startsImage(s *paging.Space, va mem.VA) bool {
	pa, _, err := s.Translate(va)
	return err == nil && beginsImage(s.Phys, pa)
}
