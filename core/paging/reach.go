package paging

import (
	"context"

	"coredrop/core/mem"
)

// Reach finds what the upper halves of address spaces lead to: the pages, and the
// tables on the way. Below the root, tables that spaces share are walked once.
type Reach struct {
	page  func(pa mem.PA, bytes uint64)
	runs  []mem.Run
	seen  map[int]*mem.PageSet // by level: a bit for each page of memory at most
	count int
}

// NewReach tells page of every page, and of every table as a page, that the spaces
// lead to; runs is the memory in which their tables are.
func NewReach(runs []mem.Run, page func(pa mem.PA, bytes uint64)) *Reach {
	return &Reach{page: page, runs: runs, seen: map[int]*mem.PageSet{}}
}

// Upper walks the upper half of a space. An entry of the root that leads to the
// root itself is left out: it shows the tables of the lower half too. Tables that
// the core does not hold lead nowhere.
func (r *Reach) Upper(ctx context.Context, s *Space) error {
	top := &s.Mode.Levels[0]
	return r.table(ctx, s, 0, s.Root, 1<<top.Bits/2)
}

// table walks a table from an entry on.
func (r *Reach) table(ctx context.Context, s *Space, level int, table mem.PA, first int) error {
	if level > 0 {
		seen := r.seen[level]
		if seen == nil {
			seen = mem.NewPageSet(r.runs)
			r.seen[level] = seen
		}
		if seen.Has(table) {
			return nil
		}
		seen.Add(table, 1)
	}
	if r.count++; r.count%64 == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	m := s.Mode
	entries := 1 << m.Levels[level].Bits
	p := make([]byte, entries*m.Entry)
	if err := s.Phys.ReadAt(p, table); err != nil {
		return nil
	}
	r.page(table, uint64(len(p)))
	last := level == len(m.Levels)-1
	for i := first; i < entries; i++ {
		kind, next := m.Step(level, m.EntryAt(p, i))
		switch {
		case kind == Absent || level == 0 && next == s.Root:
		case kind == Page || last:
			r.page(next, m.Levels[level].Span())
		default:
			if err := r.table(ctx, s, level+1, next, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
