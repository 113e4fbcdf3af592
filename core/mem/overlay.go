package mem

import (
	"context"
	"sort"
)

// Overlay is physical memory with whole pages replaced: what is written stays
// in memory, the memory below is never changed.
type Overlay struct {
	below Physical
	pages map[PA][]byte
}

// NewOverlay lays an empty overlay over m.
func NewOverlay(m Physical) *Overlay { return &Overlay{below: m, pages: map[PA][]byte{}} }

// Extents lists what the memory below holds.
func (o *Overlay) Extents() []Extent { return o.below.Extents() }

// Prefetch is that of the memory below.
func (o *Overlay) Prefetch() *Fetch { return o.below.Prefetch() }

// Write replaces bytes from pa on. Only memory that the core holds at least in
// part can be written: else ErrHole, and nothing is changed.
func (o *Overlay) Write(pa PA, p []byte) error {
	first, last := pa.Page(), (pa + PA(max(len(p), 1)) - 1).Page()
	for page := first; ; page += PageSize {
		if _, err := o.page(page); err != nil {
			return err
		}
		if page == last {
			break
		}
	}
	for len(p) > 0 {
		page, _ := o.page(pa.Page())
		o.pages[pa.Page()] = page
		n := copy(page[pa-pa.Page():], p)
		p, pa = p[n:], pa+PA(n)
	}
	return nil
}

func (o *Overlay) page(pa PA) ([]byte, error) {
	if page, ok := o.pages[pa]; ok {
		return page, nil
	}
	page, _, err := ReadPage(o.below, pa)
	return page, err
}

// ReadAt fills p from pa on, replaced pages included.
func (o *Overlay) ReadAt(p []byte, pa PA) error {
	for len(p) > 0 {
		within := pa - pa.Page()
		n := min(len(p), int(PageSize-within))
		if page, ok := o.pages[pa.Page()]; ok {
			copy(p[:n], page[within:])
		} else if err := o.below.ReadAt(p[:n], pa); err != nil {
			return err
		}
		p, pa = p[n:], pa+PA(n)
	}
	return nil
}

// Scan hands over the memory below in order, replaced pages included.
func (o *Overlay) Scan(ctx context.Context, e Extent, buf []byte, visit func(pa PA, p []byte) error) error {
	return o.below.Scan(ctx, e, buf, func(pa PA, p []byte) error {
		for page := pa.Page(); page < pa+PA(len(p)); page += PageSize {
			data, ok := o.pages[page]
			switch {
			case !ok:
			case page < pa:
				copy(p, data[pa-page:])
			default:
				copy(p[page-pa:], data)
			}
		}
		return visit(pa, p)
	})
}

// Pages lists the replaced pages in ascending order.
func (o *Overlay) Pages() []PA {
	list := make([]PA, 0, len(o.pages))
	for pa := range o.pages {
		list = append(list, pa)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}
