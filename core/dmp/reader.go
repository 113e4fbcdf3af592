package dmp

import (
	"bytes"
	"fmt"
	"io"

	"coredrop/core/dump"
	"coredrop/core/mem"
)

// Where a reader finds what it needs in a 64-bit dump: literal, as kdmp-parser,
// LeechCore and volatility3 have it, and not by the tables that the dump was
// written with. A writer must not mark its own work.
const (
	headerBytes            = 0x2000
	offDirectoryTableBase  = 0x0010
	offPsLoadedModuleList  = 0x0020
	offPsActiveProcessHead = 0x0028
	offMachineImageType    = 0x0030
	offNumberProcessors    = 0x0034
	offKdDebuggerDataBlock = 0x0080
	offNumberOfRuns        = 0x0088
	offNumberOfPages       = 0x0090
	offRuns                = 0x0098 // {BasePage u64, PageCount u64} each
	runBytes               = 16
	offContext             = 0x0348
	offDumpType            = 0x0f98
	offRequiredDumpSpace   = 0x0fa0

	readContextBytes = 0x4d0 // CONTEXT: flags, MxCsr, Rsp, Rip, FltSave.MxCsr
	readContextFlags = 0x30
	readMxCsr        = 0x34
	readRsp          = 0x98
	readRip          = 0xf8
	readFloatMxCsr   = 0x118
	readFlagAMD64    = 0x100000
)

// opened is a crash dump that was opened for reading: its header and where it
// holds which memory.
type opened struct {
	header  [headerBytes]byte
	kind    string
	extents []mem.Extent
	pages   uint64
	ends    int64       // where the last page ends
	part    *triagePart // of a triage dump; its extents are by virtual address
}

func (d *opened) u32(off int) uint32 { return le.Uint32(d.header[off:]) }
func (d *opened) u64(off int) uint64 { return le.Uint64(d.header[off:]) }

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
func open(r io.ReaderAt, size int64) (*opened, error) {
	d := &opened{}
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
	case 1: // full
		d.kind = TypeFull
		return d, d.full(size)
	case 5: // bitmap
		d.kind = TypeBitmap
		return d, d.bitmap(r, size)
	case 4: // triage
		d.kind = TypeTriage
		return d, d.triage(r, size)
	default:
		return nil, fmt.Errorf("the dump type is %d", t)
	}
}

// full reads the run list: sorted and disjoint, as LeechCore insists on, and
// covered by the file to its last byte.
func (d *opened) full(size int64) error {
	n := d.u32(offNumberOfRuns)
	if n == 0 || n > 43 { // elf2dmp's 43rd does no harm
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
	d.ends = off
	return nil
}

// whole checks that the dump ends with its pages, and says so. Windows itself
// writes what its drivers have to say behind them.
func (d *opened) whole(size int64) error {
	if d.ends != size {
		return fmt.Errorf("the pages end at %#x, the dump at %#x", d.ends, size)
	}
	if space := d.u64(offRequiredDumpSpace); space != uint64(size) {
		return fmt.Errorf("the header asks for %#x bytes, the dump has %#x", space, size)
	}
	return nil
}

// bitmap reads the bitmap: what is set becomes extents.
func (d *opened) bitmap(r io.ReaderAt, size int64) error {
	b, list, err := dump.ReadBitmap(r, headerBytes, size)
	if err != nil {
		return err
	}
	if d.extents, d.pages = list, b.Set; b.Kernel {
		d.kind = TypeKernel
	}
	d.ends = b.FirstPage + int64(b.Set)*mem.PageSize
	return nil
}
