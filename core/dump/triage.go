package dump

import (
	"fmt"
	"io"

	"coredrop/core/mem"
)

// TriageForm is the layout of what lies behind the header of a triage dump: one
// block that says where everything else is. Offsets in it are file offsets.
type TriageForm struct {
	Bytes int

	SizeOfDump, ValidOffset            Field // the end; where Valid stands, just before it
	ContextOffset, ExceptionOffset     Field // in the header
	MmOffset, UnloadedDriversOffset    Field
	PrcbOffset, ProcessOffset          Field
	ThreadOffset                       Field
	CallStackOffset, SizeOfCallStack   Field
	DriverListOffset, DriverCount      Field
	StringPoolOffset, StringPoolSize   Field
	TriageOptions, TopOfStack          Field // TopOfStack: where the call stack's first byte was
	DebuggerDataOffset, DebuggerSize   Field
	DataBlocksOffset, DataBlocksCount  Field
	BlockAddress, BlockOffset, BlockOf Field // of one data block; BlockOf: its bytes
	BlockBytes                         int
}

// Triage64 is TRIAGE_DUMP64 (x64, ARM64). Source: rizin's and Ghidra's readers,
// and two dumps of Windows 10 and 11 that were read field by field.
var Triage64 = &TriageForm{
	Bytes: 0x80, BlockBytes: 16,
	SizeOfDump: Field{0x04, 4}, ValidOffset: Field{0x08, 4},
	ContextOffset: Field{0x0c, 4}, ExceptionOffset: Field{0x10, 4},
	MmOffset: Field{0x14, 4}, UnloadedDriversOffset: Field{0x18, 4},
	PrcbOffset: Field{0x1c, 4}, ProcessOffset: Field{0x20, 4}, ThreadOffset: Field{0x24, 4},
	CallStackOffset: Field{0x28, 4}, SizeOfCallStack: Field{0x2c, 4},
	DriverListOffset: Field{0x30, 4}, DriverCount: Field{0x34, 4},
	StringPoolOffset: Field{0x38, 4}, StringPoolSize: Field{0x3c, 4},
	TriageOptions: Field{0x44, 4}, TopOfStack: Field{0x48, 8},
	DebuggerDataOffset: Field{0x70, 4}, DebuggerSize: Field{0x74, 4},
	DataBlocksOffset: Field{0x78, 4}, DataBlocksCount: Field{0x7c, 4},
	BlockAddress: Field{0x0, 8}, BlockOffset: Field{0x8, 4}, BlockOf: Field{0xc, 4},
}

// TriageValid are the last bytes of a triage dump's own part.
const TriageValid = "TRGD"

// Block is a stretch of virtual memory that a triage dump holds.
type Block struct {
	VA     mem.VA
	Offset int64 // in the file
	Bytes  uint32
}

// maxBlocks bounds what a triage dump may make us allocate; Windows writes a few
// thousand.
const maxBlocks = 1 << 20

// ReadTriage reads the list of data blocks of a triage dump of size bytes whose
// TRIAGE_DUMP64 is at an offset. Blocks may overlap, and are in no order.
func (f *TriageForm) ReadTriage(r io.ReaderAt, at, size int64) ([]Block, error) {
	h := make([]byte, f.Bytes)
	if size < at+int64(f.Bytes) {
		return nil, fmt.Errorf("the triage block is cut off")
	}
	if err := full(r, h, at); err != nil {
		return nil, err
	}
	end, valid := int64(f.SizeOfDump.Get(h)), int64(f.ValidOffset.Get(h))
	if end > size || valid > end-int64(len(TriageValid)) || valid < at {
		return nil, fmt.Errorf("the triage part is said to end at %#x, the dump at %#x", end, size)
	}
	var mark [len(TriageValid)]byte
	if err := full(r, mark[:], valid); err != nil {
		return nil, err
	}
	if string(mark[:]) != TriageValid {
		return nil, fmt.Errorf("the triage part does not end as it should, at %#x: %q", valid, mark[:])
	}
	first, count := int64(f.DataBlocksOffset.Get(h)), int64(f.DataBlocksCount.Get(h))
	if count > maxBlocks || first > end || count*int64(f.BlockBytes) > end-first {
		return nil, fmt.Errorf("%d data blocks at %#x do not fit the dump's %#x bytes", count, first, end)
	}
	raw := make([]byte, count*int64(f.BlockBytes))
	if err := full(r, raw, first); err != nil {
		return nil, err
	}
	list := make([]Block, 0, count)
	for ; len(raw) > 0; raw = raw[f.BlockBytes:] {
		b := Block{mem.VA(f.BlockAddress.Get(raw)), int64(f.BlockOffset.Get(raw)), uint32(f.BlockOf.Get(raw))}
		if b.Offset > end || int64(b.Bytes) > end-b.Offset {
			return nil, fmt.Errorf("data block %d, %#x bytes at %#x, lies outside the dump's %#x bytes", len(list), b.Bytes, b.Offset, end)
		}
		list = append(list, b)
	}
	return list, nil
}

// Flat gives the blocks as the extents of flat memory, in which an address is a
// virtual one.
func Flat(blocks []Block) []mem.Extent {
	list := make([]mem.Extent, 0, len(blocks))
	for _, b := range blocks {
		list = append(list, mem.Extent{Start: mem.PA(b.VA), Bytes: uint64(b.Bytes), Offset: b.Offset})
	}
	return list
}
