package windows

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// Bounds of what a pass over all of memory may collect.
const (
	maxSelfMaps = 1 << 14
	maxBlind    = 256
)

// selfMapRoots reads all of memory for roots that map themselves: pages with
// exactly one entry in the kernel half that leads to the page itself, present,
// writable and not for user mode. The entry for the shared page is looked at
// first: one word a page rejects nearly everything.
func selfMapRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		var out []root
		modes := f.modes()
		f.logf("no CPU's registers lead to the kernel: reading all of memory for page-table roots")
		err := mem.ScanPages(f.ctx, f.m.Mem, func(pa mem.PA, p []byte, done, total int64) error {
			f.o.Report("page tables", done, total)
			for ; len(p) > 0; p, pa = p[mem.PageSize:], pa+mem.PageSize {
				for _, mode := range modes {
					if len(out) < maxSelfMaps && f.mapsItself(p[:mem.PageSize], pa, mode) {
						out = append(out, root{uint64(pa), mode, "self-map scan", false})
					}
				}
			}
			return nil
		})
		if err != nil {
			f.scanFailed(err)
			return
		}
		f.logf("%d pages map themselves", len(out))
		likeliestFirst(out, modes)
		for _, r := range out {
			if !yield(r) {
				return
			}
		}
	}
}

// scanFailed keeps the reason why a pass over memory ended: a cancelled search
// fails, an unreadable stretch only ends the strategy.
func (f *finder) scanFailed(err error) {
	if ctx := f.ctx.Err(); ctx != nil {
		f.failure = ctx
		return
	}
	f.refuse("reading all of memory: %v", err)
}

// The bits of a self reference that count: the address, present, writable, and
// not for user mode. Windows sets accessed and dirty as well (0x63); a root that
// leads to the kernel need not prove that. Source: MemProcFS,
// volatility3.
const (
	selfMask = 0x000ffffffffff000 | 0x07
	selfBits = 0x03
)

// mapsItself reports whether a page is a root with one self reference that
// maps the shared page.
func (f *finder) mapsItself(p []byte, pa mem.PA, mode *paging.Mode) bool {
	top := mode.Levels[0]
	index := int(uint64(sharedData) >> top.Shift & (1<<top.Bits - 1))
	if e := u64(p, 8*index); e&1 == 0 || !f.leads(e, mode) {
		return false
	}
	count := 0
	for i := 256; i < 512; i++ {
		if u64(p, 8*i)&selfMask == uint64(pa)|selfBits {
			count++
		}
	}
	return count == 1
}

// blind is a debugger block found without knowing the kernel's base.
type blind struct {
	pa   mem.PA
	base mem.VA
}

var errEnough = errors.New("enough")

// kdbgRoots is the last resort where no root maps itself: debugger blocks in
// all of memory, plain or encoded with equal links, say where the kernel image
// begins; then pages are roots that map an image there.
func kdbgRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		f.logf("no root maps itself: reading all of memory for the debugger block")
		var blocks []blind
		err := mem.ScanPages(f.ctx, f.m.Mem, func(pa mem.PA, p []byte, done, total int64) error {
			f.o.Report("debugger block", done, total)
			for ; len(p) > 0; p, pa = p[mem.PageSize:], pa+mem.PageSize {
				if blocks = scanBlind((*[mem.PageSize]byte)(p), pa, blocks); len(blocks) >= maxBlind {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && err != errEnough {
			f.scanFailed(err)
			return
		}
		bases := map[mem.VA]bool{}
		for _, b := range blocks {
			f.logf("debugger block at %#x (physical) names a kernel at %v", uint64(b.pa), b.base)
			if !bases[b.base] && len(f.hints) < maxStarts {
				f.hints = append(f.hints, b.base)
			}
			bases[b.base] = true
		}
		if len(bases) == 0 {
			return
		}
		var out []root
		modes := f.modes()
		err = mem.ScanPages(f.ctx, f.m.Mem, func(pa mem.PA, p []byte, done, total int64) error {
			f.o.Report("page tables", done, total)
			for ; len(p) > 0; p, pa = p[mem.PageSize:], pa+mem.PageSize {
				for _, mode := range modes {
					if len(out) < maxSelfMaps && f.mapsOne(p[:mem.PageSize], pa, mode, bases) {
						out = append(out, root{uint64(pa), mode, "kdbg scan", false})
					}
				}
			}
			return nil
		})
		if err != nil {
			f.scanFailed(err)
			return
		}
		likeliestFirst(out, modes)
		for _, r := range out {
			if !yield(r) {
				return
			}
		}
	}
}

// likeliestFirst orders roots by their mode's place among modes; roots of one
// mode stay in order of address.
func likeliestFirst(roots []root, modes []*paging.Mode) {
	slices.SortStableFunc(roots, func(a, b root) int {
		return slices.Index(modes, a.mode) - slices.Index(modes, b.mode)
	})
}

// mapsOne reports whether a page is a root through which one of the bases is
// the beginning of an image.
func (f *finder) mapsOne(p []byte, pa mem.PA, mode *paging.Mode, bases map[mem.VA]bool) bool {
	top := mode.Levels[0]
	for base := range bases {
		index := int(uint64(base) >> top.Shift & (1<<top.Bits - 1))
		if f.leads(u64(p, 8*index), mode) && startsImage(paging.New(f.m.Mem, uint64(pa), mode), base) {
			return true
		}
	}
	return false
}

// scanBlind appends the debugger blocks that a page may hold, found by their
// first four words alone: the rest may lie in a page elsewhere. One look at each
// word finds the tag of a block in clear and the equal links of an encoded one,
// so that a pass costs little more than reading.
func scanBlind(p *[mem.PageSize]byte, pa mem.PA, out []blind) []blind {
	var before uint64
	for at := 0; at < mem.PageSize; at += 8 {
		w := binary.LittleEndian.Uint64(p[at : at+8])
		if w == before && w != 0 {
			out = scanEqual(p[:], at-8, pa, out)
		} else if uint32(w) == kdTagValue && sane(uint32(w>>32)) && at >= kdTag && at+16 <= mem.PageSize {
			if base := u64(p[:], at+8); base&0xfff == 0 && base>>40 == 0xfffff8 {
				out = append(out, blind{pa + mem.PA(at-kdTag), mem.VA(base)})
			}
		}
		before = w
	}
	return out
}

// scanEqual appends the encoded blocks that two equal words at off may begin.
func scanEqual(p []byte, off int, pa mem.PA, out []blind) []blind {
	if off+0x20 > len(p) {
		return out
	}
	link, e2, e3 := u64(p, off), u64(p, off+kdTag), u64(p, off+kdKernBase)
	if e2 == e3 || e2 == link {
		return out
	}
	for _, g := range keysBlind(e2, e3) {
		// The list entry is a kernel address as well.
		if g.word(link)>>47 == 1<<17-1 {
			out = append(out, blind{pa + mem.PA(off), mem.VA(g.base)})
		}
	}
	return out
}
