package savevm

import (
	"cmp"
	"container/heap"
	"slices"
	"sort"
)

// The index says where a page's contents are. Pages are numbered through all
// blocks of memory; the last record of a page counts.

// kind is how a run's pages lie in the file.
type kind uint64

// The kinds.
const (
	kindPages  kind = iota // as they are, at equal distances
	kindFill               // filled with one byte
	kindMixed              // up to 32 pages, as they are or zero, their records one behind the other
	kindPacked             // one page, packed by zlib
)

// run is consecutive pages whose records follow one rule. word has the place of
// the first page's contents in the file (48 bits), the kind (2), and by kind: the
// distance between two pages less a page (kindPages, 9 bits), the byte (kindFill,
// 8 bits), the count less one (kindMixed, 5 bits). bits is the count; of mixed
// pages a bit for each that is not zero.
type run struct {
	first uint32
	bits  uint32
	word  uint64
}

const (
	atBits    = 48
	kindShift = atBits
	restShift = kindShift + 2

	mixedPages = 32

	// recordHead is the word in front of a page of the same block as the one before;
	// zeroRecord the length of such a record of a zero page.
	recordHead = 8
	zeroBody   = 1
)

// Bounds of the index: 16 MiB of runs and as much of what belongs to changed
// pages. maxPages is 16 TiB of memory in pages of 4 KiB.
const (
	runBytes   = 16
	maxRuns    = 1 << 20
	freshRuns  = 1 << 16
	deltaBytes = 32
	maxDeltas  = 1 << 19
	maxPages   = 1<<32 - 1
	maxAt      = 1<<atBits - 1
)

func (r run) kind() kind   { return kind(r.word >> kindShift & 3) }
func (r run) at() int64    { return int64(r.word & maxAt) }
func (r run) rest() uint64 { return r.word >> restShift }

func (r run) count() uint32 {
	if r.kind() == kindMixed {
		return uint32(r.rest()) + 1
	}
	return r.bits
}

// end is the first page behind the run.
func (r run) end() uint64 { return uint64(r.first) + uint64(r.count()) }

func makeRun(page uint32, k kind, at int64, rest uint64) run {
	return run{page, 1, uint64(at) | uint64(k)<<kindShift | rest<<restShift}
}

// index collects runs.
type index struct {
	page  int64 // bytes of a page
	done  []run // sorted, disjoint
	fresh []run // in the order of the stream, later than done

	deltas  []uint64          // places of XBZRLE changes (48 bits) and their lengths
	before  []uint32          // the change before, +1; 0: none
	changed map[uint32]uint32 // the last change of a page, +1
	full    bool              // there is no room for more
}

// add notes a page's record: where its contents lie, and for kindFill with which
// byte it is filled. It reports whether there was room.
func (x *index) add(page uint32, k kind, at int64, value byte) bool {
	if len(x.changed) > 0 {
		delete(x.changed, page)
	}
	if n := len(x.fresh); n > 0 && x.takes(&x.fresh[n-1], page, k, at, value) {
		return true
	}
	if len(x.fresh) >= freshRuns {
		x.merge()
		if len(x.done) > maxRuns {
			x.full = true
			return false
		}
	}
	x.fresh = append(x.fresh, makeRun(page, k, at, uint64(value)))
	return true
}

// takes reports whether a page carries a run on, and takes it.
func (x *index) takes(r *run, page uint32, k kind, at int64, value byte) bool {
	if r.end() != uint64(page) || k == kindPacked {
		return false
	}
	n := int64(r.bits)
	switch of := r.kind(); {
	case of == kindMixed:
		return x.mix(r, k, at, value)
	case of == kindPacked || of != k:
		return of != kindPacked && x.mix(r, k, at, value)
	case k == kindFill:
		if uint64(value) != r.rest() || at != r.at()+n*(zeroBody+recordHead) {
			return false
		}
	default:
		between := at - r.at() - x.page
		if n > 1 {
			between = int64(r.rest())
		}
		if between < recordHead || between > 511 || at != r.at()+n*(x.page+between) {
			return false
		}
		r.word = r.word&(1<<restShift-1) | uint64(between)<<restShift
	}
	r.bits++
	return true
}

// mix makes or carries on a run of mixed pages.
func (x *index) mix(r *run, k kind, at int64, value byte) bool {
	count := r.count()
	if count >= mixedPages || k == kindFill && value != 0 {
		return false
	}
	m := *r
	switch r.kind() {
	case kindPages:
		m.bits = 1<<count - 1
	case kindFill:
		if r.rest() != 0 {
			return false
		}
		m.bits = 0
	}
	if at != r.at()+x.mixedOffset(m.bits, count) {
		return false
	}
	if k == kindPages {
		m.bits |= 1 << count
	}
	m.word = uint64(r.at()) | uint64(kindMixed)<<kindShift | uint64(count)<<restShift
	*r = m
	return true
}

// mixedOffset is how far behind the first page's contents those of page n lie.
func (x *index) mixedOffset(bits, n uint32) (off int64) {
	for i := range n {
		if bits>>i&1 == 1 {
			off += x.page + recordHead
		} else {
			off += zeroBody + recordHead
		}
	}
	return off
}

// part is the pages of r from lo to hi, which are some of them.
func (x *index) part(r run, lo, hi uint64) run {
	skip := uint32(lo - uint64(r.first))
	count := uint32(hi - lo)
	r.first = uint32(lo)
	switch r.kind() {
	case kindMixed:
		at := r.at() + x.mixedOffset(r.bits, skip)
		r.bits >>= skip
		r.word = uint64(at) | uint64(kindMixed)<<kindShift | uint64(count-1)<<restShift
	case kindPages:
		r.word += uint64(int64(skip) * (x.page + int64(r.rest())))
		r.bits = count
	case kindFill:
		r.word += uint64(skip) * (zeroBody + recordHead)
		r.bits = count
	}
	return r
}

// latest orders the runs that cover the sweep's position: the last one first.
type latest []int32

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i] > l[j] }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(v any)        { *l = append(*l, v.(int32)) }
func (l *latest) Pop() any {
	last := len(*l) - 1
	v := (*l)[last]
	*l = (*l)[:last]
	return v
}

// merge sorts what came into what is there; where both have a page, the record
// that came last is kept.
func (x *index) merge() {
	all := append(x.done, x.fresh...)
	x.fresh = x.fresh[:0]
	if slices.IsSortedFunc(all, func(a, b run) int { return cmp.Compare(a.first, b.first) }) && disjoint(all) {
		x.done = all
		return
	}
	order := make([]int32, len(all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(all[a].first, all[b].first); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	out := make([]run, 0, len(all))
	var open latest
	at := uint64(0)
	for next := 0; next < len(order) || len(open) > 0; {
		if len(open) == 0 {
			at = uint64(all[order[next]].first)
		}
		for next < len(order) && uint64(all[order[next]].first) <= at {
			heap.Push(&open, order[next])
			next++
		}
		top := all[open[0]]
		if top.end() <= at {
			heap.Pop(&open)
			continue
		}
		end := top.end()
		// A run that begins inside the winner takes over only if it came later; an
		// earlier one is found on the heap when the winner ends.
		for i := next; i < len(order) && uint64(all[order[i]].first) < end; i++ {
			if order[i] > open[0] {
				end = uint64(all[order[i]].first)
				break
			}
			heap.Push(&open, order[i])
			next = i + 1
		}
		out = append(out, x.part(top, at, end))
		at = end
	}
	x.done = out
}

func disjoint(list []run) bool {
	for i := 1; i < len(list); i++ {
		if uint64(list[i].first) < list[i-1].end() {
			return false
		}
	}
	return true
}

// change notes an XBZRLE record: n bytes at a place, against what the page held.
// It reports whether there was room.
func (x *index) change(page uint32, at int64, n uint16) bool {
	if len(x.deltas) >= maxDeltas {
		x.full = true
		return false
	}
	if x.changed == nil {
		x.changed = map[uint32]uint32{}
	}
	x.deltas = append(x.deltas, uint64(at)|uint64(n)<<atBits)
	x.before = append(x.before, x.changed[page])
	x.changed[page] = uint32(len(x.deltas))
	return true
}

// changes lists the places of a page's changes, the oldest first.
func (x *index) changes(page uint32) []uint64 {
	var list []uint64
	for i := x.changed[page]; i > 0; i = x.before[i-1] {
		list = append(list, x.deltas[i-1])
	}
	slices.Reverse(list)
	return list
}

// finish ends the collection; changes of a page that has no content are dropped
// and counted. It reports whether the index is small enough.
func (x *index) finish() (orphans int) {
	x.merge()
	x.full = x.full || len(x.done) > maxRuns
	for page := range x.changed {
		if _, ok := x.find(page); !ok {
			delete(x.changed, page)
			orphans++
		}
	}
	return orphans
}

// find gives the run that has a page; false: the next one behind it.
func (x *index) find(page uint32) (int, bool) {
	i := sort.Search(len(x.done), func(i int) bool { return x.done[i].end() > uint64(page) })
	return i, i < len(x.done) && x.done[i].first <= page
}
