package dmp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"coredrop/core/mem"
)

// maxReadRuns bounds what a bitmap may make us allocate (96 MiB of extents).
const maxReadRuns = 4 << 20

// dump is a crash dump that was opened for reading: its header and where it
// holds which memory.
type dump struct {
	header  [headerBytes]byte
	kind    string
	extents []mem.Extent
	pages   uint64
}

func (d *dump) u32(off int) uint32 { return le.Uint32(d.header[off:]) }
func (d *dump) u64(off int) uint64 { return le.Uint64(d.header[off:]) }

// readExact fills p; a short read is an error.
func readExact(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %#x bytes at %#x: %w", len(p), off, err)
	}
	return nil
}

// open reads the header and the run list or bitmap.
func open(r io.ReaderAt, size int64) (*dump, error) {
	d := &dump{}
	if size < headerBytes {
		return nil, fmt.Errorf("%d bytes are less than a header", size)
	}
	if err := readExact(r, d.header[:], 0); err != nil {
		return nil, err
	}
	if !bytes.Equal(d.header[:8], []byte("PAGEDU64")) {
		return nil, fmt.Errorf("the signature is %q", d.header[:8])
	}
	if m := d.u32(offMachineImageType); m != machineAMD64 {
		return nil, fmt.Errorf("the machine type is %#x", m)
	}
	switch t := d.u32(offDumpType); t {
	case dumpTypeFull:
		d.kind = TypeFull
		return d, d.full(size)
	case dumpTypeBitmap:
		d.kind = TypeBitmap
		return d, d.bitmap(r, size)
	default:
		return nil, fmt.Errorf("the dump type is %d", t)
	}
}

// full reads the run list: sorted and disjoint, as LeechCore insists on, and
// covered by the file to its last byte.
func (d *dump) full(size int64) error {
	n := d.u32(offNumberOfRuns)
	if n == 0 || n > maxCompatRuns {
		return fmt.Errorf("the header lists %d runs", n)
	}
	off := int64(headerBytes)
	for i := 0; i < int(n); i++ {
		first, count := d.u64(offRuns+i*runBytes), d.u64(offRuns+i*runBytes+8)
		if count == 0 || count > uint64(size-off)/mem.PageSize || first > 1<<52-count {
			return fmt.Errorf("run %d, page %#x and %#x more, does not fit the dump's %#x bytes", i, first, count, size)
		}
		e := mem.Extent{Start: mem.PA(first * mem.PageSize), Bytes: count * mem.PageSize, Offset: off}
		d.extents = append(d.extents, e)
		d.pages += count
		off += int64(e.Bytes)
	}
	if d.pages != d.u64(offNumberOfPages) {
		return fmt.Errorf("the runs hold %d pages, the header says %d", d.pages, d.u64(offNumberOfPages))
	}
	return d.end(off, size)
}

func (d *dump) end(off, size int64) error {
	if off != size {
		return fmt.Errorf("the pages end at %#x, the dump at %#x", off, size)
	}
	if space := d.u64(offRequiredDumpSpace); space != uint64(size) {
		return fmt.Errorf("the header asks for %#x bytes, the dump has %#x", space, size)
	}
	return nil
}

// bitmap reads the bitmap: what is set becomes extents.
func (d *dump) bitmap(r io.ReaderAt, size int64) error {
	var head [offBMPBitmap]byte
	if size < headerBytes+int64(len(head)) {
		return fmt.Errorf("the bitmap header is cut off")
	}
	if err := readExact(r, head[:], headerBytes); err != nil {
		return err
	}
	if kind := string(head[:8]); kind != "SDMPDUMP" && kind != "FDMPDUMP" {
		return fmt.Errorf("the bitmap's signature is %q", kind)
	}
	first, set, count := le.Uint64(head[offBMPFirstPage:]), le.Uint64(head[offBMPSet:]), le.Uint64(head[offBMPBits:])
	if count%64 != 0 || count > maxBits || set > count {
		return fmt.Errorf("the bitmap has %d bits, %d of them set", count, set)
	}
	end := uint64(headerBytes + offBMPBitmap + count/8)
	if first%mem.PageSize != 0 || first < end || first > uint64(size) || set > (uint64(size)-first)/mem.PageSize {
		return fmt.Errorf("%d pages from %#x on do not fit the dump's %#x bytes", set, first, size)
	}
	off := int64(first)
	buf := make([]byte, 64<<10)
	for at := uint64(0); at < count/8; at += uint64(len(buf)) {
		p := buf[:min(uint64(len(buf)), count/8-at)]
		if err := readExact(r, p, headerBytes+offBMPBitmap+int64(at)); err != nil {
			return err
		}
		for i := 0; i < len(p); i += 8 {
			if err := d.word(binary.LittleEndian.Uint64(p[i:]), (at+uint64(i))*8, &off); err != nil {
				return err
			}
		}
	}
	if d.pages != set {
		return fmt.Errorf("%d bits are set, the bitmap's header says %d", d.pages, set)
	}
	return d.end(off, size)
}

// word adds the pages of one 64-bit word of the bitmap, of which bit 0 is page.
func (d *dump) word(w, page uint64, off *int64) error {
	for w != 0 {
		skip := bits.TrailingZeros64(w)
		n := bits.TrailingZeros64(^(w >> skip))
		d.add(mem.PA((page+uint64(skip))*mem.PageSize), uint64(n), off)
		if len(d.extents) > maxReadRuns {
			return fmt.Errorf("the bitmap has more than %d runs", maxReadRuns)
		}
		if skip+n >= 64 {
			break
		}
		w &^= 1<<(skip+n) - 1
	}
	return nil
}

func (d *dump) add(pa mem.PA, pages uint64, off *int64) {
	d.pages += pages
	if n := len(d.extents) - 1; n >= 0 && d.extents[n].End() == pa {
		d.extents[n].Bytes += pages * mem.PageSize
	} else {
		d.extents = append(d.extents, mem.Extent{Start: pa, Bytes: pages * mem.PageSize, Offset: *off})
	}
	*off += int64(pages * mem.PageSize)
}
