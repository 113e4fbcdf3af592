package find

import (
	"slices"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// Bounds of what a pass over all of memory may collect.
const (
	maxSelfMaps = 1 << 14
	maxTops     = 1 << 16
	maxBlind    = 1024
	maxHints    = 256
	maxShown    = 4 << 20 // blocks that are looked for, of all roots together
)

// pass is one reading of all memory for a guest whose registers lead nowhere. It
// looks for page-table roots that map themselves, each of which is tried at
// once, and keeps what the last resort needs, so that no second reading is
// necessary: debugger blocks, which say where the kernel image begins, and pages
// that can be a root.
type pass struct {
	f        *finder
	modes    []*paging.Mode
	unlikely []root          // self-mapping roots of the less likely modes
	selfMaps int             // pages that map themselves
	blocks   []windows.Blind // debugger blocks
	tops     []root          // pages that can be a root that maps an image
	shown    int             // blocks that were looked for
}

func newPass(f *finder) *pass {
	f.tried = append(f.tried, "self-map scan", "kdbg scan")
	f.samples = newSampler(f.m.Mem)
	return &pass{f: f, modes: f.modes()}
}

// visit takes whole page frames; it gives a kernel that nothing contradicts.
func (w *pass) visit(pa mem.PA, p []byte) (*found, error) {
	for ; len(p) > 0; p, pa = p[mem.PageSize:], pa+mem.PageSize {
		page := (*[mem.PageSize]byte)(p)
		w.f.samples.add(page)
		if len(w.blocks) < maxBlind {
			w.blocks = windows.Blinds(w.blocks, page, pa)
		}
		for i, mode := range w.modes {
			if len(w.tops) < maxTops && w.f.mapsImages(page, mode) {
				w.tops = append(w.tops, root{uint64(pa), mode, windows.Root{Way: windows.WayKDBG, CPU: -1}})
			}
			if w.selfMaps >= maxSelfMaps || !w.f.mapsItself(page[:], pa, mode) {
				continue
			}
			w.selfMaps++
			r := root{uint64(pa), mode, windows.Root{Way: windows.WaySelfMap, CPU: -1}}
			if i > 0 {
				w.unlikely = append(w.unlikely, r)
				continue
			}
			if c, err := w.f.try(r, false); c != nil || err != nil {
				return c, err
			}
		}
	}
	return nil, nil
}

// finish tries what the pass kept for the end: roots of the less likely modes,
// then the kernels that the debugger blocks name, through every root that is
// known or that can be one and shows what the block says.
func (w *pass) finish() (*found, error) {
	f := w.f
	f.logf("%d pages map themselves", w.selfMaps)
	for _, r := range w.unlikely {
		if c, err := f.try(r, false); c != nil || err != nil {
			return c, err
		}
	}
	if c := f.best(); c != nil {
		return c, nil
	}
	bases := map[mem.VA]bool{}
	named := map[mem.PA]int{}
	for _, b := range w.blocks {
		if named[b.PA]++; !bases[b.Base] && len(f.hints) < maxHints {
			f.hints = append(f.hints, b.Base)
		}
		bases[b.Base] = true
	}
	for _, b := range w.blocks {
		if n := named[b.PA]; n > 0 {
			f.logf("debugger block at %#x (physical) names a kernel at %v, or at one of %d places like it", uint64(b.PA), b.Base, n-1)
		}
		delete(named, b.PA)
	}
	roots := slices.Concat(f.roots, f.later)
	for _, mode := range w.modes { // the likeliest first, in order of address
		for _, r := range w.tops {
			if r.mode == mode {
				roots = append(roots, r)
			}
		}
	}
	// Those that do not show the shared page come last: perhaps it is not in the core.
	for _, shared := range []bool{true, false} {
		tried := map[rootKey]bool{}
		for _, r := range roots {
			s := paging.New(f.m.Mem, r.value, r.mode)
			k := rootKey{s.Root, r.mode}
			if tried[k] {
				continue
			}
			tried[k] = true
			list := w.named(s)
			if len(list) == 0 || s.Resolves(windows.SharedVA) != shared {
				continue
			}
			f.noteShared(s)
			for _, at := range list {
				if c := f.judge(s, r, at); c != nil || f.failure != nil {
					return c, f.failure
				}
			}
		}
		if c := f.best(); c != nil || f.ctx.Err() != nil {
			return c, f.ctx.Err()
		}
	}
	return nil, nil
}

// named lists the kernels that the blocks name and a root shows: by the image's
// header, and by the block itself, where the kernel's list leads to it.
func (w *pass) named(s *paging.Space) []claim {
	var headers, blocks []claim
	seen := map[mem.VA]bool{}
	for _, b := range w.blocks {
		if w.shown++; w.shown > maxShown {
			break
		}
		if !seen[b.Base] && startsImage(s, b.Base) {
			headers = append(headers, claim{base: b.Base})
		}
		seen[b.Base] = true
		if va, ok := b.Shown(s); ok {
			blocks = append(blocks, claim{b.Base, &windows.ImageMark{Kind: windows.MarkBlock, VA: va, Base: b.Base}})
		}
	}
	return append(headers, blocks...)
}

// mapsItself reports whether a page is a root with one self reference that
// maps the shared page. Of the reference, its address counts, and that it is
// present, writable, and not for user mode. Windows sets accessed and dirty as
// well (0x63 on x86-64); a root that leads to the kernel need not prove that.
// Source: MemProcFS, volatility3.
func (f *finder) mapsItself(p []byte, pa mem.PA, mode *paging.Mode) bool {
	top := &mode.Levels[0]
	if !f.leads(mode.EntryAt(p, top.Index(windows.SharedVA)), mode) {
		return false
	}
	count, entries := 0, 1<<top.Bits
	for i := entries / 2; i < entries; i++ {
		if e := mode.EntryAt(p, i); e&mode.Address == uint64(pa) && f.p.self.Holds(e) {
			count++
		}
	}
	return count == 1
}

// mapsImages reports whether a page can be a root that maps the region of system
// images: an entry for it leads to a page that the core holds, and no entry that
// is present is one that a root cannot have (a large page, or an address beyond
// any memory). Most pages fail at the first word looked at.
func (f *finder) mapsImages(p *[mem.PageSize]byte, mode *paging.Mode) bool {
	top := &mode.Levels[0]
	maps := false
	for i := top.Index(windows.ImageRegion); i <= top.Index(windows.ImageTop-1); i++ {
		maps = maps || f.leads(mode.EntryAt(p[:], i), mode)
	}
	if !maps {
		return false
	}
	for i := range mem.PageSize / mode.Entry {
		if e := mode.EntryAt(p[:], i); mode.Present.Holds(e) && !f.p.inRoot(mode, e) {
			return false
		}
	}
	return true
}
