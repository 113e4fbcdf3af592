//go:build !lean

package dmp

import (
	"slices"
	"sort"

	"coredrop/core/mem"
)

// span is a stretch of virtual memory that does not reach the end of the space.
type span struct{ lo, hi mem.VA }

// spans are sorted and disjoint, with something between each two.
type spans []span

// meet gives the spans [i, j) that touch or overlap x.
func (s spans) meet(x span) (i, j int) {
	i = sort.Search(len(s), func(i int) bool { return s[i].hi >= x.lo })
	for j = i; j < len(s) && s[j].lo <= x.hi; j++ {
	}
	return i, j
}

// cost is how many bytes and how many spans more there are with x.
func (s spans) cost(x span) (bytes int64, more int) {
	i, j := s.meet(x)
	bytes = int64(x.hi - x.lo)
	for _, old := range s[i:j] {
		bytes -= int64(min(old.hi, x.hi) - max(old.lo, x.lo))
	}
	return bytes, 1 - (j - i)
}

// with gives the spans with x.
func (s spans) with(x span) spans {
	i, j := s.meet(x)
	if i < j {
		x.lo, x.hi = min(x.lo, s[i].lo), max(x.hi, s[j-1].hi)
	}
	return slices.Replace(s, i, j, x)
}
