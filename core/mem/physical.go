package mem

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"coredrop/core/source"
)

// Physical is guest physical memory as a core holds it. Several goroutines may
// read it at once.
type Physical interface {
	// ReadAt fills p from pa on, or fails: errors.Is(err, ErrHole) when the
	// core does not hold all of it.
	ReadAt(p []byte, pa PA) error
	// Extents lists what the core holds, sorted and disjoint.
	Extents() []Extent
	// Scan hands over the memory of e, which lies inside one of the extents, in
	// ascending order past any cache, in parts of at most len(buf) bytes that
	// are valid only during the call. An error of visit, or of the context,
	// ends it and is returned.
	Scan(ctx context.Context, e Extent, buf []byte, visit func(pa PA, p []byte) error) error
	// Prefetch gives the way to name what will be read soon; nil: nothing would be
	// gained.
	Prefetch() *Fetch
}

// BlockSize is how much of the file one cache miss reads, where the source does
// not know better.
const BlockSize = source.DefaultBlock

// DefaultCache is the cache's budget in bytes where none is given.
const DefaultCache = 8 << 20

// The same of a source that prefetches. It keeps its large blocks itself: of more
// places there is room here for what was wanted of them, and what is not here any
// more costs a journey.
const (
	pieceSize  = 32 << 10
	pieceCache = 16 << 20
)

// File is Physical over a source that holds guest memory verbatim, but for ranges
// of zeros.
type File struct {
	source  source.Source
	extents []Extent
	block   int64 // bytes of one read
	budget  int64

	mu     sync.Mutex              // of the cache
	blocks map[int64]*list.Element // by number of the block in the file
	recent *list.List              // of *block, the latest first
	held   int64
}

type block struct {
	number int64
	data   []byte
}

// NewFile reads extents (in any order, overlapping or not: Normalize is applied)
// from a source. Every verbatim extent must lie inside the source. The cache holds at
// most budget bytes; 0 or less: as many as suit the source.
func NewFile(s source.Source, extents []Extent, budget int64) (*File, error) {
	for _, e := range extents {
		if e.Origin == Zero {
			continue
		}
		if e.Origin != Verbatim || e.File != 0 {
			return nil, fmt.Errorf("extent %v+%#x is not in the file as it is", e.Start, e.Bytes)
		}
		if e.Offset < 0 || e.Offset > s.Size || e.Bytes > uint64(s.Size-e.Offset) {
			return nil, fmt.Errorf("extent %v+%#x at file offset %#x reaches beyond the file's %#x bytes", e.Start, e.Bytes, e.Offset, s.Size)
		}
	}
	far := s.Prefetch != nil
	switch {
	case budget <= 0 && far:
		budget = pieceCache
	case budget <= 0:
		budget = DefaultCache
	}
	f := &File{source: s, extents: Normalize(extents), budget: budget, block: BlockSize,
		blocks: map[int64]*list.Element{}, recent: list.New()}
	switch {
	case far:
		f.block = pieceSize
	case s.Block > 0:
		f.block = int64(s.Block)
	}
	return f, nil
}

// Extents lists what the file holds, sorted and disjoint.
func (f *File) Extents() []Extent { return f.extents }

// ReadAt fills p from guest physical address pa on.
func (f *File) ReadAt(p []byte, pa PA) error {
	for len(p) > 0 {
		i, ok := Find(f.extents, pa)
		if !ok {
			return &HoleError{pa}
		}
		e := f.extents[i]
		n := uint64(len(p))
		if left := uint64(e.End() - pa); n > left {
			n = left
		}
		if e.Origin == Zero {
			clear(p[:n])
		} else if err := f.readFile(p[:n], e.Offset+int64(pa-e.Start)); err != nil {
			return err
		}
		p, pa = p[n:], pa+PA(n)
	}
	return nil
}

// Scan reads the file in order, by the source's stream where it has one.
func (f *File) Scan(ctx context.Context, e Extent, buf []byte, visit func(pa PA, p []byte) error) error {
	i, ok := Find(f.extents, e.Start)
	if !ok || e.Bytes > uint64(f.extents[i].End()-e.Start) {
		return &HoleError{e.Start}
	}
	if f.extents[i].Origin == Zero {
		return ScanByReads(ctx, f, e, buf, visit)
	}
	off, pa := f.extents[i].Offset+int64(e.Start-f.extents[i].Start), e.Start
	return f.source.Scan(off, int64(e.Bytes), buf, func(p []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := pa
		pa += PA(len(p))
		return visit(at, p)
	})
}

// readFile fills p from the file through the cache.
func (f *File) readFile(p []byte, off int64) error {
	for len(p) > 0 {
		data, err := f.cached(off / f.block)
		if err != nil {
			return err
		}
		n := copy(p, data[off%f.block:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// cached gives one block of the file, which is shorter only at the file's end.
// What it gives is never changed. The lock is held over the read: two readers
// that miss the same block must not both read it.
func (f *File) cached(number int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if el, ok := f.blocks[number]; ok {
		f.recent.MoveToFront(el)
		return el.Value.(*block).data, nil
	}
	start := number * f.block
	data := make([]byte, min(f.block, f.source.Size-start))
	if err := f.source.Full(data, start); err != nil {
		return nil, err
	}
	f.blocks[number] = f.recent.PushFront(&block{number, data})
	f.held += int64(len(data))
	for f.held > f.budget && f.recent.Len() > 1 {
		oldest := f.recent.Remove(f.recent.Back()).(*block)
		delete(f.blocks, oldest.number)
		f.held -= int64(len(oldest.data))
	}
	return data, nil
}

// ReadPage gives the page frame that holds pa; bytes that the memory does not
// hold are zero. whole says whether all of it was there; ErrHole when none was.
func ReadPage(m Physical, pa PA) (page []byte, whole bool, err error) {
	page = make([]byte, PageSize)
	pa = pa.Page()
	if err = m.ReadAt(page, pa); err == nil {
		return page, true, nil
	}
	if !errors.Is(err, ErrHole) {
		return nil, false, err
	}
	clear(page)
	extents := m.Extents()
	found := false
	i, _ := Find(extents, pa)
	for ; i < len(extents) && extents[i].Start < pa+PageSize; i++ {
		lo, hi := max(extents[i].Start, pa), min(extents[i].End(), pa+PageSize)
		if err := m.ReadAt(page[lo-pa:hi-pa], lo); err != nil {
			return nil, false, err
		}
		found = true
	}
	if !found {
		return nil, false, &HoleError{pa}
	}
	return page, false, nil
}
