package mem

import (
	"container/list"
	"errors"
	"fmt"
	"io"

	"coredrop/core/kcsan/watch"
)

// Physical is guest physical memory as a core holds it.
type Physical interface {
	// ReadAt fills p from pa on, or fails: errors.Is(err, ErrHole) when the
	// core does not hold all of it.
	ReadAt(p []byte, pa PA) error
	// Extents lists what the core holds, sorted and disjoint.
	Extents() []Extent
}

// BlockSize is how much of the file one cache miss reads: in a browser the call
// costs, not the bytes.
const BlockSize = 64 << 10

// DefaultCache is the cache's budget in bytes where none is given.
const DefaultCache = 8 << 20

// File is Physical over a source that holds guest memory verbatim. It is not
// safe for concurrent use.
type File struct {
	source  io.ReaderAt
	size    int64
	extents []Extent
	budget  int64
	blocks  map[int64]*list.Element // by number of the block in the file
	recent  *list.List              // of *block, the latest first
	held    int64
}

type block struct {
	number int64
	data   []byte
}

// NewFile reads extents (in any order, overlapping or not: Normalize is applied)
// from a source of size bytes. Every extent must lie inside the source. The
// cache holds at most budget bytes, DefaultCache when budget is 0 or less.
func NewFile(source io.ReaderAt, size int64, extents []Extent, budget int64) (*File, error) {
	for _, e := range extents {
		if e.Offset < 0 || e.Offset > size || e.Bytes > uint64(size-e.Offset) {
			return nil, fmt.Errorf("extent %v+%#x at file offset %#x reaches beyond the file's %#x bytes", e.Start, e.Bytes, e.Offset, size)
		}
	}
	if budget <= 0 {
		budget = DefaultCache
	}
	return &File{source: source, size: size, extents: Normalize(extents), budget: budget,
		blocks: map[int64]*list.Element{}, recent: list.New()}, nil
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
		if err := f.readFile(p[:n], e.Offset+int64(pa-e.Start)); err != nil {
			return err
		}
		p, pa = p[n:], pa+PA(n)
	}
	return nil
}

// readFile fills p from the file through the cache.
func (f *File) readFile(p []byte, off int64) error {
	for len(p) > 0 {
		data, err := f.block(off / BlockSize)
		if err != nil {
			return err
		}
		n := copy(p, data[off%BlockSize:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// block gives one block of the file, which is shorter only at the file's end.
func (f *File) block(number int64) ([]byte, error) {
	watch.ReadWrite(&f.recent) // a hit changes the order, too
	if el, ok := f.blocks[number]; ok {
		f.recent.MoveToFront(el)
		return el.Value.(*block).data, nil
	}
	start := number * BlockSize
	data := make([]byte, min(BlockSize, f.size-start))
	n, err := f.source.ReadAt(data, start)
	if n < len(data) {
		// A short read is always an error: the file shrank under us.
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading %d bytes at file offset %#x: %w", len(data), start, err)
	}
	watch.ReadWrite(&f.held)
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
