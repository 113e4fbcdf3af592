package mem

import (
	"container/heap"
	"math"
	"sort"
)

// Origin says how a container holds a range of memory.
type Origin uint8

// The origins.
const (
	Verbatim Origin = iota // as it is, at Offset of a file
	Zero                   // not at all: the container says, or means, that it is zero
	Decoded                // packed: only reading it makes its bytes
)

// Extent is a range of guest physical memory and where the container holds it.
type Extent struct {
	Start  PA
	Bytes  uint64
	File   int   // Verbatim: which of the container's files; 0 is the one opened
	Offset int64 // Verbatim: in that file
	Origin Origin
}

// End is the first address behind the extent.
func (e Extent) End() PA { return e.Start + PA(e.Bytes) }

// continues reports whether b carries on where a ends, in memory and in file.
func (e Extent) continues(b Extent) bool {
	if e.End() != b.Start || e.Origin != b.Origin {
		return false
	}
	return e.Origin != Verbatim || e.File == b.File && e.Offset+int64(e.Bytes) == b.Offset
}

// part is the piece of e from lo to hi.
func (e Extent) part(lo, hi PA) Extent {
	if e.Origin == Verbatim {
		e.Offset += int64(lo - e.Start)
	}
	e.Start, e.Bytes = lo, uint64(hi-lo)
	return e
}

// active orders the extents that cover the sweep's position by their place in
// the input: the first one listed wins, as in upstream elf2dmp's block search.
type active struct {
	list  []Extent
	index []int
}

func (a *active) Len() int           { return len(a.index) }
func (a *active) Less(i, j int) bool { return a.index[i] < a.index[j] }
func (a *active) Swap(i, j int)      { a.index[i], a.index[j] = a.index[j], a.index[i] }
func (a *active) Push(x any)         { a.index = append(a.index, x.(int)) }
func (a *active) Pop() any {
	last := len(a.index) - 1
	x := a.index[last]
	a.index = a.index[:last]
	return x
}

// Normalize sorts extents, cuts overlaps (the one listed first wins) and joins
// neighbours that continue one another in memory and in the file. Extents that
// are empty or reach beyond the address space are dropped. It costs
// n log n: a paging=true core lists the same page many times.
func Normalize(in []Extent) []Extent {
	list := make([]Extent, 0, len(in))
	for _, e := range in {
		if e.Bytes > 0 && uint64(e.Start) <= math.MaxUint64-e.Bytes {
			list = append(list, e)
		}
	}
	order := make([]int, len(list)) // by start; list keeps the input's order
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return list[order[i]].Start < list[order[j]].Start })

	var out []Extent
	emit := func(e Extent) {
		if n := len(out); n > 0 && out[n-1].continues(e) {
			out[n-1].Bytes += e.Bytes
			return
		}
		out = append(out, e)
	}
	open := &active{list: list}
	var at PA
	for next := 0; next < len(order) || open.Len() > 0; {
		if open.Len() == 0 {
			at = list[order[next]].Start
		}
		for next < len(order) && list[order[next]].Start <= at {
			heap.Push(open, order[next])
			next++
		}
		top := list[open.index[0]]
		if top.End() <= at {
			heap.Pop(open)
			continue
		}
		// The winner holds until it ends or another extent begins; one listed
		// later cannot take over, but is then found on the heap.
		end := top.End()
		if next < len(order) && list[order[next]].Start < end {
			end = list[order[next]].Start
		}
		emit(top.part(at, end))
		at = end
	}
	return out
}

// Run is a range of whole page frames.
type Run struct {
	Start PA     // page aligned
	Pages uint64 // never 0
}

// End is the first address behind the run.
func (r Run) End() PA { return r.Start + PA(r.Pages*PageSize) }

// Runs gives the page frames of which extents (sorted and disjoint) hold at
// least one byte, as sorted, merged, disjoint runs, and the frames that are
// there only in part.
func Runs(extents []Extent) (runs []Run, partial []PA) {
	var covered PA // how far memory is held without a gap
	note := func(p PA) {
		if n := len(partial); n == 0 || partial[n-1] != p {
			partial = append(partial, p)
		}
	}
	for i, e := range extents {
		if i == 0 || e.Start != covered {
			if i > 0 && covered != covered.Page() {
				note(covered.Page())
			}
			if e.Start != e.Start.Page() {
				note(e.Start.Page())
			}
		}
		covered = e.End()
		lo, hi := e.Start.Page(), (e.End() - 1).Page()
		if n := len(runs); n > 0 && lo <= runs[n-1].End() {
			if last := runs[n-1].End(); hi >= last {
				runs[n-1].Pages += uint64(hi-last)/PageSize + 1
			}
			continue
		}
		runs = append(runs, Run{Start: lo, Pages: uint64(hi-lo)/PageSize + 1})
	}
	if len(extents) > 0 && covered != covered.Page() {
		note(covered.Page())
	}
	return runs, partial
}

// Find gives the index of the extent (of a sorted, disjoint list) that holds
// pa, or of the first one behind it, with false.
func Find(extents []Extent, pa PA) (int, bool) {
	i := sort.Search(len(extents), func(i int) bool { return extents[i].End() > pa })
	return i, i < len(extents) && extents[i].Start <= pa
}
