package paging

import (
	"sync"

	"coredrop/core/mem"
)

// maxPages bounds what is remembered to count a page once.
const maxPages = 1 << 16

// pages is a set of pages, counted up to maxPages. It may be used by several at
// once.
type pages struct {
	lock sync.Mutex
	set  map[mem.PA]struct{}
}

func (p *pages) add(pa mem.PA) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.set == nil {
		p.set = map[mem.PA]struct{}{}
	}
	if len(p.set) < maxPages {
		p.set[pa.Page()] = struct{}{}
	}
}

func (p *pages) count() int {
	p.lock.Lock()
	defer p.lock.Unlock()
	return len(p.set)
}
