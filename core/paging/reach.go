package paging

import (
	"context"
	"sort"

	"coredrop/core/mem"
)

// Reach finds what the upper halves of address spaces lead to: the pages, and the
// tables on the way. Below the root, tables that spaces share are walked once.
type Reach struct {
	page  func(pa mem.PA, bytes uint64)
	runs  []mem.Run
	seen  map[int]*mem.PageSet // by level, the tables it leads to: a bit for each page of memory at most
	count int
}

// NewReach tells page of every page, and of every table as a page, that the spaces
// lead to; runs is the memory in which their tables are.
func NewReach(runs []mem.Run, page func(pa mem.PA, bytes uint64)) *Reach {
	return &Reach{page: page, runs: runs, seen: map[int]*mem.PageSet{}}
}

// Upper walks the upper halves of spaces, which have one memory and one mode, all
// of them level by level: what a level has of tables can be fetched together then.
// An entry of the root that leads to the root itself is left out: it shows the
// tables of the lower half too. Tables that the core does not hold lead nowhere.
func (r *Reach) Upper(ctx context.Context, spaces ...*Space) error {
	if len(spaces) == 0 {
		return nil
	}
	tables := make([]mem.PA, len(spaces))
	for i, s := range spaces {
		tables[i] = s.Root
	}
	var err error
	for level := 0; len(tables) > 0 && err == nil; level++ {
		tables, err = r.level(ctx, spaces[0], level, tables)
	}
	return err
}

// level walks the tables of a level, and gives those of the next one that were not
// walked yet.
func (r *Reach) level(ctx context.Context, s *Space, level int, tables []mem.PA) (next []mem.PA, err error) {
	m := s.Mode
	first, entries := 0, 1<<m.Levels[level].Bits
	if level == 0 {
		first = entries / 2
	}
	seen := r.seen[level]
	if seen == nil {
		seen = mem.NewPageSet(r.runs)
		r.seen[level] = seen
	}
	p, fetch, fetched := make([]byte, entries*m.Entry), s.Phys.Prefetch(), 0
	for n, table := range tables {
		if r.count++; r.count%64 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if fetch != nil && n == fetched {
			fetched += fetch.Frames(tables[n:])
		}
		if s.Phys.ReadAt(p, table) != nil {
			continue
		}
		r.page(table, uint64(len(p)))
		for i := first; i < entries; i++ {
			switch kind, to := m.Step(level, m.EntryAt(p, i)); {
			case kind == Absent || level == 0 && to == table:
			case kind == Page || level == len(m.Levels)-1:
				r.page(to, m.Levels[level].Span())
			case !seen.Has(to):
				if seen.Add(to, 1); seen.Has(to) { // else it is in no memory
					next = append(next, to)
				}
			}
		}
	}
	sort.Slice(next, func(i, k int) bool { return next[i] < next[k] })
	return next, nil
}
