package paging

import (
	"context"

	"coredrop/core/mem"
)

// Reach finds what the upper halves of address spaces lead to: the pages, and the
// tables on the way. Tables that spaces share are walked once.
type Reach struct {
	Page  func(pa mem.PA, bytes uint64) // a page, or a table of a page's size
	Lost  int                           // tables that the core does not hold
	seen  map[step]bool
	count int
}

type step struct {
	level int
	table mem.PA
}

// Upper walks the upper half of a space. An entry of the root that leads to the
// root itself is left out: it shows the tables of the lower half too.
func (r *Reach) Upper(ctx context.Context, s *Space) error {
	if r.seen == nil {
		r.seen = map[step]bool{}
	}
	top := &s.Mode.Levels[0]
	return r.table(ctx, s, 0, s.Root, 1<<top.Bits/2)
}

// table walks a table from an entry on.
func (r *Reach) table(ctx context.Context, s *Space, level int, table mem.PA, first int) error {
	at := step{level, table}
	if r.seen[at] {
		return nil
	}
	r.seen[at] = true
	if r.count++; r.count%64 == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	m := s.Mode
	entries := 1 << m.Levels[level].Bits
	p := make([]byte, entries*m.Entry)
	if err := s.Phys.ReadAt(p, table); err != nil {
		r.Lost++
		return nil
	}
	r.Page(table.Page(), mem.PageSize)
	last := level == len(m.Levels)-1
	for i := first; i < entries; i++ {
		kind, next := m.Step(level, m.EntryAt(p, i))
		switch {
		case kind == Absent || level == 0 && next == s.Root:
		case kind == Page || last:
			r.Page(next, m.Levels[level].Span())
		default:
			if err := r.table(ctx, s, level+1, next, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
