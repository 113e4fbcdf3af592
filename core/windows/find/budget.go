package find

import "coredrop/core/mem"

// Bounds of how many mapped pages one search looks at for the start of an image,
// by the kind of walk: hostile tables can map a single page everywhere.
const (
	nearPages  = 4 << 20
	farPages   = 8 << 20
	sweptPages = 4 << 20

	compatPages = 4 << 20 // upstream has no bound
	maxSteps    = 4 << 20 // of one walk, over what is mapped and what is not
)

// budget is what the walks of one kind may still look at, in mapped pages. No
// walk gets all of it, so that none starves another.
type budget int

// half is the most that the walks of one address space get.
func (b *budget) half() int { return int(*b) / 2 }

// walk begins a walk of at most limit pages, and of no more than half of what is
// left.
func (b *budget) walk(limit int) walk { return walk{limit: min(limit, b.half()), from: b} }

// walk counts what one walk looks at.
type walk struct {
	limit, pages int
	from         *budget
	ended        mem.VA // where it came to its limit; 0: it did not
}

// step takes one page; false: the walk is at its limit.
func (w *walk) step() bool {
	if w.pages == w.limit {
		return false
	}
	w.pages++
	*w.from--
	return true
}
