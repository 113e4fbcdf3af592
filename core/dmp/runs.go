package dmp

import (
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
)

// maxNamed bounds how many warnings name a page each; the next one counts the
// rest.
const maxNamed = 8

// partialWarnings names the pages that the core holds only in part.
func partialWarnings(partial []mem.PA, fate string) []fault.Warning {
	var list []fault.Warning
	for i, pa := range partial {
		if i == maxNamed {
			list = append(list, fault.Warn(fault.PartialPage, "%d more pages are in the core only in part; %s", len(partial)-i, fate))
			break
		}
		list = append(list, fault.Warn(fault.PartialPage, "page %#x is in the core only in part; %s", uint64(pa)/mem.PageSize, fate))
	}
	return list
}

func countPages(runs []mem.Run) (n uint64) {
	for _, r := range runs {
		n += r.Pages
	}
	return n
}

// compatLayout is how upstream elf2dmp 10.2.2 sees a core's memory.
type compatLayout struct {
	blocks  []mem.Run    // in file order, as their data is written
	runs    []mem.Run    // as the header lists them
	extents []mem.Extent // the blocks' memory, sorted
}

// trim cuts the loads to whole pages as upstream does: the start rounded up, the
// end down, what is left empty dropped.
func trim(blocks []mem.Extent) []mem.Extent {
	var list []mem.Extent
	for _, e := range blocks {
		skip := uint64(-e.Start) % mem.PageSize
		if e.Bytes < skip+mem.PageSize {
			continue
		}
		e.Start += mem.PA(skip)
		e.Bytes = (e.Bytes - skip) &^ (mem.PageSize - 1)
		if e.Origin == mem.Verbatim {
			e.Offset += int64(skip)
		}
		list = append(list, e)
	}
	return list
}

// upstreamLayout gives upstream's blocks and runs, or refuses where upstream
// would lose or corrupt data.
func upstreamLayout(m *machine.Machine) (*compatLayout, error) {
	if m.Format != "elf" {
		return nil, fault.New(fault.CompatLossy, "elf2dmp reads ELF cores only, this one is %s", m.Format)
	}
	trimmed := trim(m.Blocks)
	if m.Headers > 0xffff {
		// One of the headers that upstream sees is the notes'.
		lost := uint64(0)
		for _, e := range trimmed[min(len(trimmed), 0xffff-1):] {
			lost += e.Bytes / mem.PageSize
		}
		return nil, fault.New(fault.CompatLossy, "elf2dmp reads 65,535 of this core's %d program headers and would drop %d pages", m.Headers, lost)
	}
	l := &compatLayout{extents: mem.Normalize(trimmed)}
	var listed, held uint64
	for _, e := range trimmed {
		listed += e.Bytes
		l.blocks = append(l.blocks, mem.Run{Start: e.Start, Pages: e.Bytes / mem.PageSize})
	}
	for _, e := range l.extents {
		held += e.Bytes
	}
	if listed != held {
		return nil, fault.New(fault.CompatLossy, "this core lists memory more than once; elf2dmp would write %d pages twice or more", (listed-held)/mem.PageSize)
	}
	l.runs = l.blocks
	if len(l.blocks) > form.MaxRuns {
		l.runs = mergeInOrder(l.blocks)
	}
	if len(l.runs) > maxCompatRuns {
		return nil, fault.New(fault.CompatLossy, "elf2dmp would write %d runs into a header that holds %d and damage it", len(l.runs), form.MaxRuns)
	}
	return l, nil
}

// mergeInOrder joins blocks that follow one another in the list and in memory,
// without sorting.
func mergeInOrder(blocks []mem.Run) []mem.Run {
	var runs []mem.Run
	for _, b := range blocks {
		if n := len(runs) - 1; n >= 0 && runs[n].End() == b.Start {
			runs[n].Pages += b.Pages
			continue
		}
		runs = append(runs, b)
	}
	return runs
}

// held is physical memory restricted to what upstream keeps of it.
type held struct {
	mem.Physical
	extents []mem.Extent
}

// Extents lists what upstream keeps.
func (h *held) Extents() []mem.Extent { return h.extents }

// ReadAt fills p from pa on; ErrHole where upstream drops the memory.
func (h *held) ReadAt(p []byte, pa mem.PA) error {
	end := pa + mem.PA(len(p))
	for at := pa; at < end; {
		i, ok := mem.Find(h.extents, at)
		if !ok {
			return &mem.HoleError{PA: at}
		}
		at = h.extents[i].End()
	}
	return h.Physical.ReadAt(p, pa)
}
