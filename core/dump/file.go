package dump

import (
	"fmt"
	"io"

	"coredrop/core/mem"
)

// File is a crash dump that was opened for reading.
type File struct {
	Form    *Form
	Header  []byte
	Type    uint32       // DumpType
	Extents []mem.Extent // where it holds which memory, in the dump's order
	Blocks  []Block      // of a triage dump, which knows virtual addresses only
	Pages   uint64
}

// Open reads the header of a dump of size bytes and its run list, bitmap or data
// blocks. A file that ends early, or is longer than its pages, is an error; the
// text says what is wrong with it. Behind a triage dump's own part others may put
// what they like.
func Open(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, min(size, int64(Form64.Bytes)))
	if err := full(r, head, 0); err != nil {
		return nil, err
	}
	d := &File{Form: FormOf(head)}
	if d.Form == nil {
		return nil, fmt.Errorf("no dump's header in %#x bytes", size)
	}
	d.Header = head[:d.Form.Bytes]
	d.Type = uint32(d.Form.DumpType.Get(d.Header))
	end := int64(d.Form.Bytes)
	switch d.Type {
	case TypeFull:
		runs, err := d.Form.Runs(d.Header)
		if err != nil {
			return nil, err
		}
		for i, r := range runs {
			if r.Pages > uint64(size-end)/mem.PageSize {
				return nil, fmt.Errorf("run %d, %d pages, does not fit the dump's %#x bytes", i, r.Pages, size)
			}
			d.Extents = append(d.Extents, mem.Extent{Start: r.Start, Bytes: r.Pages * mem.PageSize, Offset: end})
			d.Pages += r.Pages
			end += int64(r.Pages * mem.PageSize)
		}
	case TypeBitmap, TypeBitmapKernel:
		b, list, err := ReadBitmap(r, end, size)
		if err != nil {
			return nil, err
		}
		d.Extents, d.Pages = list, b.Set
		end = b.FirstPage + int64(b.Set)*mem.PageSize
	case TypeTriage:
		if d.Form != Form64 {
			return nil, fmt.Errorf("a triage dump with the header %q", d.Form.Signature)
		}
		blocks, err := Triage64.ReadTriage(r, end, size)
		if err != nil {
			return nil, err
		}
		d.Blocks = blocks
		return d, nil
	default:
		return nil, fmt.Errorf("the dump type is %d", d.Type)
	}
	if end != size {
		return nil, fmt.Errorf("the pages end at %#x, the dump at %#x", end, size)
	}
	return d, nil
}

// full fills p; a short read is an error.
func full(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %#x bytes at %#x: %w", len(p), off, err)
	}
	return nil
}
