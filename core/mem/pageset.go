package mem

import (
	"math/bits"
	"sort"
)

// chunkPages is how many page frames of a PageSet share one piece of memory.
const chunkPages = 1 << 15

// PageSet is a set of the page frames of some runs. It costs memory by the runs,
// one bit a frame at most.
type PageSet struct {
	runs   []Run // sorted and disjoint
	chunks map[uint64]*[chunkPages / 64]uint64
}

// NewPageSet gives an empty set of page frames of runs (sorted, disjoint).
func NewPageSet(runs []Run) *PageSet {
	return &PageSet{runs: runs, chunks: map[uint64]*[chunkPages / 64]uint64{}}
}

// Add puts the page frames of a range into the set that are of its runs.
func (s *PageSet) Add(pa PA, bytes uint64) {
	end := pa + PA(bytes)
	if bytes == 0 || end < pa {
		return
	}
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].End() > pa })
	for ; i < len(s.runs) && s.runs[i].Start < end; i++ {
		lo, hi := max(s.runs[i].Start, pa.Page()), min(s.runs[i].End(), (end-1).Page()+PageSize)
		for n := uint64(lo) / PageSize; n < uint64(hi)/PageSize; n++ {
			c := s.chunks[n/chunkPages]
			if c == nil {
				c = new([chunkPages / 64]uint64)
				s.chunks[n/chunkPages] = c
			}
			c[n%chunkPages/64] |= 1 << (n % 64)
		}
	}
}

// Has reports whether the page frame of pa is in the set.
func (s *PageSet) Has(pa PA) bool {
	n := uint64(pa) / PageSize
	c := s.chunks[n/chunkPages]
	return c != nil && c[n%chunkPages/64]>>(n%64)&1 == 1
}

// Runs lists the set as sorted, merged, disjoint runs.
func (s *PageSet) Runs() []Run {
	numbers := make([]uint64, 0, len(s.chunks))
	for n := range s.chunks {
		numbers = append(numbers, n)
	}
	sort.Slice(numbers, func(i, j int) bool { return numbers[i] < numbers[j] })
	var list []Run
	for _, number := range numbers {
		for i, w := range s.chunks[number] {
			for w != 0 {
				skip := bits.TrailingZeros64(w)
				n := bits.TrailingZeros64(^(w >> skip))
				start := PA(number*chunkPages+uint64(64*i+skip)) * PageSize
				if last := len(list) - 1; last >= 0 && list[last].End() == start {
					list[last].Pages += uint64(n)
				} else {
					list = append(list, Run{Start: start, Pages: uint64(n)})
				}
				if skip+n >= 64 {
					break
				}
				w &^= 1<<(skip+n) - 1
			}
		}
	}
	return list
}
