package paging

import "coredrop/core/mem"

// Ahead is for a loop that reads something of the space for each of n items. As in
// mem.NewAhead, try does the same reads dry, where the tables and the pages that
// the loop will read can be fetched together.
func (s *Space) Ahead(n int, try func(s *Space, i int)) *mem.Ahead {
	return mem.NewAhead(s.Phys, n, func(m mem.Physical, i int) { try(New(m, uint64(s.Root), s.Mode), i) })
}

// pages is Ahead for a loop over the pages of n bytes at va.
func (s *Space) pages(va mem.VA, n int) *mem.Ahead {
	va, n = va.Page(), int(va%mem.PageSize)+n
	return s.Ahead((n+mem.PageSize-1)/mem.PageSize, func(s *Space, i int) { s.Resolves(va + mem.VA(i*mem.PageSize)) })
}

// failed is the error of a read of p at va. A dry run goes on behind the page, so
// that all of the read is fetched at once.
func (s *Space) failed(err error, p []byte, va mem.VA) error {
	if n := int(mem.PageSize - va%mem.PageSize); mem.NotYet(err) && n < len(p) {
		_ = s.ReadAt(p[n:], va+mem.VA(n))
	}
	return err
}
