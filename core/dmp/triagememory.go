//go:build !lean

package dmp

import (
	"context"

	"coredrop/core/dump"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// How much a triage dump holds.
const (
	// triageUsual is up to where pieces are added that only might be of use.
	triageUsual = 1 << 20
	// granule is what pieces are widened to: a list of many small ones costs more.
	granule = 64
)

// gathering is kernel memory that is being gathered for a triage dump.
type gathering struct {
	spaces  []*paging.Space // in which memory is looked for; patched
	held    spans
	bytes   int64 // of the file so far
	refused int64 // bytes that did not fit
}

// gather begins with nothing. The crasher's address space comes first, because
// what sessions have at one address differs; then that of every CPU, as long as
// it leads to this kernel.
func gather(k *windows.Kernel, patched *paging.Space) *gathering {
	g := &gathering{}
	home, _, err := patched.Translate(k.KDBG.VA)
	if err != nil {
		return g
	}
	add := func(root uint64) {
		s := patched.At(root)
		for _, old := range g.spaces {
			if old.Root == s.Root {
				return
			}
		}
		if pa, _, err := s.Translate(k.KDBG.VA); err == nil && pa == home {
			g.spaces = append(g.spaces, s)
		}
	}
	add(uint64(k.HeaderDTB))
	add(uint64(k.DTB))
	for _, root := range cpuRoots(k.Machine) {
		add(root)
	}
	return g
}

// over gives a gathering that reads the same spaces in another memory, and holds
// nothing.
func (g *gathering) over(m mem.Physical) *gathering {
	out := &gathering{bytes: g.bytes}
	for _, s := range g.spaces {
		out.spaces = append(out.spaces, paging.New(m, uint64(s.Root), s.Mode))
	}
	return out
}

// ReadAt reads kernel memory as the dump will hold it. User memory, and what is
// seen through the page tables' own addresses, is not for a triage dump.
func (g *gathering) ReadAt(p []byte, va mem.VA) error {
	first := error(&mem.HoleError{PA: mem.PA(va)})
	for i, s := range g.spaces {
		if last := va + mem.VA(max(len(p), 1)-1); !s.Mode.Kernel(va) || last < va {
			break
		}
		if s.OwnTables(va) {
			continue
		}
		err := s.ReadAt(p, va)
		if err == nil {
			return nil
		}
		if i == 0 {
			first = err
		}
	}
	return first
}

// word reads a pointer; 0 where it cannot be read.
func (g *gathering) word(va mem.VA) mem.VA {
	var p [8]byte
	if g.ReadAt(p[:], va) != nil {
		return 0
	}
	return mem.VA(le.Uint64(p[:]))
}

// want adds memory to the dump, page by page where it can be read, as long as the
// file does not become larger than most.
func (g *gathering) want(va mem.VA, n uint64, most int64) {
	var page [mem.PageSize]byte
	for n > 0 {
		step := min(n, mem.PageSize-uint64(va%mem.PageSize))
		wide := span{va &^ (granule - 1), (va + mem.VA(step) + granule - 1) &^ (granule - 1)}
		exact := span{va, va + mem.VA(step)}
		for _, x := range []span{wide, exact} {
			if x.hi > x.lo && g.ReadAt(page[:x.hi-x.lo], x.lo) == nil {
				g.hold(x, most)
				break
			}
		}
		if va += mem.VA(step); va == 0 {
			return
		}
		n -= step
	}
}

func (g *gathering) hold(x span, most int64) {
	bytes, more := g.held.cost(x)
	if bytes == 0 {
		return
	}
	cost := bytes + int64(more*dump.Triage64.BlockBytes)
	if g.bytes+cost > most {
		if most == triageMost {
			g.refused += bytes
		}
		return
	}
	g.held = g.held.with(x)
	g.bytes += cost
}

// around adds a piece of memory around a pointer that a register or a stack has:
// some bytes before it and some behind.
func (g *gathering) around(va mem.VA, before, behind uint64) {
	if va > mem.VA(before) {
		g.want(va-mem.VA(before), before+behind, triageUsual)
	}
}

// kept is memory by virtual address that remembers in the gathering what was read
// of it: whoever reads through it finds the same in the dump.
type kept struct{ *gathering }

func (m kept) ReadAt(p []byte, pa mem.PA) error {
	va := mem.VA(pa)
	if err := m.gathering.ReadAt(p, va); err != nil {
		return err
	}
	m.want(va, uint64(len(p)), triageMost)
	return nil
}

func (m kept) Extents() []mem.Extent { return nil }

// Prefetch is nil: there are no page frames, and what lies below is asked for them.
func (m kept) Prefetch() *mem.Fetch { return nil }

func (m kept) Scan(ctx context.Context, e mem.Extent, buf []byte, visit func(mem.PA, []byte) error) error {
	return mem.ScanByReads(ctx, m, e, buf, visit)
}
