package find

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// maxTables is how many tables one look through a region reads: 128 GiB mapped by
// pages of 4 KiB.
const maxTables = 64 << 10

// sweep yields every page of the kernel half that begins like an image, the
// region of system images first. The largest pages map physical memory, not
// images, and the slot by which the root maps itself shows page tables only.
func (f *finder) sweep(s *paging.Space, yield func(mem.VA) bool) {
	for _, region := range [][2]mem.VA{{windows.ImageRegion, windows.ImageTop - 1}, {windows.ImageTop, ^mem.VA(0)}, {s.Mode.Upper(), windows.ImageRegion - 1}} {
		w := sweeper{f: f, s: s, walk: f.swept.walk(tableProbes), yield: yield}
		if w.table(s.Root, 0, 0, region[0], region[1]); w.done {
			return
		}
	}
}

type sweeper struct {
	f      *finder
	s      *paging.Space
	walk   walk
	tables int  // that were read
	done   bool // no more is wanted
	yield  func(mem.VA) bool
}

// table goes through one table whose entries cover the space from base on, as
// far as they meet [lo, hi]; false: no more is wanted or allowed.
func (w *sweeper) table(at mem.PA, level int, base, lo, hi mem.VA) bool {
	mode := w.s.Mode
	l := &mode.Levels[level]
	entries := 1 << l.Bits
	raw := make([]byte, entries*mode.Entry)
	if w.tables++; w.tables > maxTables || w.f.ctx.Err() != nil {
		return false // tables cost as well
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
				if !w.walk.step() {
					return false
				}
				if startsImage(w.s, page) && !w.yield(page) {
					w.done = true
					return false
				}
			}
		case kind == paging.Page || next == w.s.Root:
		case !w.table(next, level+1, va, lo, hi):
			return false
		}
	}
	return true
}
