package mem

import (
	"context"
	"errors"

	"coredrop/core/source"
)

// Fetch is what a memory can do where a read costs a journey.
type Fetch struct {
	// Frames names page frames, by any address in them, that will be read next: they
	// come together, at the cost of one journey. It gives how many of them, from the
	// first on, were named to the source: as many as are still there when they are
	// read, at least one. What is at hand, or not in the file, costs nothing.
	Frames func(list []PA) (n int)
	// Room is how many page frames the memory keeps at hand once they were read.
	Room int
}

// errNotYet is a dry read's answer to what was not fetched.
var errNotYet = errors.New("not fetched yet")

// NotYet reports whether an error says no more than that a dry run for Ahead came to
// memory that is fetched for the next one.
func NotYet(err error) bool { return errors.Is(err, errNotYet) }

// Bounds of Ahead: how many items are fetched for at a time, beside what there is
// room for, and how often that is tried.
const (
	maxTogether = 32
	maxTries    = 64
)

// Ahead is for a loop that reads memory for each of some items. Where reads cost a
// journey, what the loop will read for the next items is fetched first, each step
// of all of them together.
type Ahead struct {
	memory  Physical
	fetch   *Fetch // nil: nothing would be gained
	items   int
	fetched int // items that were fetched for
	try     func(m Physical, i int)
}

// NewAhead is for a loop over n items. For an item, by its number, try does what the
// loop will, dry: without a lasting effect, and again and again, in a memory that
// fails where something was not fetched. It is called only where that is of use.
func NewAhead(m Physical, n int, try func(m Physical, i int)) *Ahead {
	return &Ahead{memory: m, fetch: m.Prefetch(), items: n, try: try}
}

// To says that the loop comes to item i; the numbers ascend.
func (a *Ahead) To(i int) {
	if a.fetch != nil && i >= a.fetched {
		a.fetched = a.fetchFor(i, min(i+maxTogether, a.items))
	}
}

// fetchFor fetches what the items from one number to another read, as far as there
// is room for it, and gives the number up to which that is.
func (a *Ahead) fetchFor(from, to int) int {
	d := &dry{below: a.memory, fetched: map[PA]bool{}}
	var items []int
	for i := from; i < to; i++ {
		items = append(items, i)
	}
	for range maxTries {
		d.missed, d.noted = nil, map[PA]bool{}
		left := items[:0]
		for _, i := range items {
			if i > from && len(d.fetched)+len(d.missed) > a.fetch.Room {
				to = i
				break
			}
			d.failed = false
			if a.try(d, i); d.failed {
				left = append(left, i)
			}
		}
		if items = left; len(items) == 0 {
			break
		}
		for _, pa := range d.missed[:a.fetch.Frames(d.missed)] {
			d.fetched[pa] = true
		}
	}
	return to
}

// dry is memory that gives what was fetched, and notes what was not.
type dry struct {
	below          Physical
	fetched, noted map[PA]bool // page frames; noted: those in missed
	missed         []PA
	failed         bool
}

// ReadAt fills p from pa on where all of it was fetched.
func (d *dry) ReadAt(p []byte, pa PA) error {
	missing := false
	for n := 0; n < len(p)+int(pa%PageSize); n += PageSize {
		frame := pa.Page() + PA(n)
		if d.fetched[frame] {
			continue
		}
		missing = true
		if !d.noted[frame] {
			d.noted[frame] = true
			d.missed = append(d.missed, frame)
		}
	}
	if missing {
		d.failed = true
		return errNotYet
	}
	return d.below.ReadAt(p, pa)
}

// Extents lists what the memory holds.
func (d *dry) Extents() []Extent { return d.below.Extents() }

// Prefetch is nil: what is missed is fetched between the runs.
func (d *dry) Prefetch() *Fetch { return nil }

// Scan is no part of a dry run.
func (d *dry) Scan(context.Context, Extent, []byte, func(PA, []byte) error) error { return errNotYet }

// Prefetch names what will be read soon to the source.
func (f *File) Prefetch() *Fetch {
	if f.source.Prefetch == nil {
		return nil
	}
	// Half of the cache, and each frame in a piece of its own: what else is read
	// meanwhile needs some.
	return &Fetch{Frames: f.fetch, Room: int(f.budget / f.block / 2)}
}

// fetch names the ranges of page frames to the source, but for those that the
// cache holds, up to as many of its blocks as it takes at once.
func (f *File) fetch(frames []PA) (n int) {
	batch := f.source.Batch()
	for _, pa := range frames {
		if r, ok := f.frame(pa); ok && !f.holds(r) && !batch.Add(r) {
			break
		}
		n++
	}
	batch.Send()
	return n
}

// frame is where the file has the page frame of an address, as far as the
// address's extent holds it; false: not in the file as it is.
func (f *File) frame(pa PA) (source.Range, bool) {
	i, ok := Find(f.extents, pa)
	if !ok || f.extents[i].Origin != Verbatim {
		return source.Range{}, false
	}
	e := f.extents[i]
	lo, hi := max(pa.Page(), e.Start), min(pa.Page()+PageSize, e.End())
	return source.Range{Off: e.Offset + int64(lo-e.Start), Bytes: int64(hi - lo)}, true
}

// holds reports whether the cache has all of a range, and keeps it longer then.
func (f *File) holds(r source.Range) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number := r.Off / f.block; number*f.block < r.End(); number++ {
		el, ok := f.blocks[number]
		if !ok {
			return false
		}
		f.recent.MoveToFront(el)
	}
	return true
}
