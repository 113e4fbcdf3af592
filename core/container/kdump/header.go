// Package kdump reads kdump-compressed cores ("KDUMP   "), plain and flattened,
// as makedumpfile and QEMU (dump-guest-memory -z, -l, -s) write them. It knows
// nothing of the guest inside.
package kdump

import (
	"bytes"
	"encoding/binary"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// Format is Machine.Format of what this package opens.
const Format = "kdump"

// The headers. Source: makedumpfile 1.7 diskdump_mod.h (struct disk_dump_header,
// struct kdump_sub_header), QEMU 10.2 dump.h; measured on files of both.
const (
	signature = "KDUMP   "
	versionAt = 0x008
	machineAt = 0x110 // utsname.machine, 65 bytes
	nameBytes = 65
	headBytes = 0x1d0 // up to nr_cpus of the 64-bit form
	subBytes  = 0x68  // of the sub header, in block 1

	minBlock = 4096
	maxBlock = 1 << 20
	maxCPUs  = 1 << 16

	// maxPFN bounds the memory that a header may announce: 2^34 blocks are 64 TiB
	// of pages, and two bitmaps of 2 GiB.
	maxPFN = 1 << 34
)

// Bits of the status word; those of the codecs are also a page's flags.
const (
	statusIncomplete = 8
)

// layout is where a form of the headers has its fields: it is the C structure as
// the writer's compiler laid it out.
type layout struct {
	status, blockSize, subBlocks, bitmapBlocks, maxPFN, cpus int // main header
	dumpLevel, infoAt, infoBytes, noteAt, noteBytes, max64   int // sub header
	word                                                     int // bytes of the sizes in it
}

var layouts = []layout{
	{status: 0x1a8, blockSize: 0x1ac, subBlocks: 0x1b0, bitmapBlocks: 0x1b4, maxPFN: 0x1b8, cpus: 0x1cc,
		dumpLevel: 0x08, infoAt: 0x20, infoBytes: 0x28, noteAt: 0x30, noteBytes: 0x38, max64: 0x60, word: 8},
	{status: 0x19c, blockSize: 0x1a0, subBlocks: 0x1a4, bitmapBlocks: 0x1a8, maxPFN: 0x1ac, cpus: 0x1c0,
		dumpLevel: 0x04, infoAt: 0x14, infoBytes: 0x1c, noteAt: 0x20, noteBytes: 0x28, max64: 0x48, word: 4},
}

// The header versions from which on the sub header has a field.
const (
	versionInfo  = 3 // offset_vmcoreinfo
	versionNotes = 4 // offset_note
	versionWide  = 6 // max_mapnr_64
)

var le, be = binary.LittleEndian, binary.BigEndian

// header is what both headers say.
type header struct {
	machine      string // utsname.machine, "" where the writer did not know
	version      uint32
	status       uint32
	block        int64 // bytes
	subBlocks    int64
	bitmapBlocks int64  // of both bitmaps
	blocks       uint64 // of memory: the first number that the bitmaps do not cover
	cpus         int
	dumpLevel    uint32
	notes, info  source.Range // the notes, and the guest's vmcoreinfo text
}

// parseHeader reads the main header and the sub header, from one file or a
// flattened one's. What is known of a damaged one is given beside the error.
func parseHeader(s source.Source) (h header, err error) {
	head := make([]byte, headBytes)
	if s.Size < int64(len(head)) {
		return h, fault.New(fault.Truncated, "the file ends inside the kdump header, after %d bytes", s.Size)
	}
	if err := s.Full(head, 0); err != nil {
		return h, err
	}
	if !bytes.HasPrefix(head, []byte(signature)) {
		return h, fault.New(fault.DamagedHeader, "the flattened file does not hold a kdump core: its first bytes are %q", head[:8])
	}
	name, _, _ := bytes.Cut(head[machineAt:][:nameBytes], []byte{0})
	h.machine, h.version = string(name), le.Uint32(head[versionAt:])
	l := chooseLayout(head)
	if l == nil {
		return h, fault.New(fault.DamagedHeader, "the kdump header is damaged: it names no block size that a kdump core can have")
	}
	u32 := func(off int) int64 { return int64(le.Uint32(head[off:])) }
	h.block, h.status = u32(l.blockSize), uint32(u32(l.status))
	h.subBlocks, h.bitmapBlocks, h.blocks = u32(l.subBlocks), u32(l.bitmapBlocks), uint64(u32(l.maxPFN))
	h.cpus = int(min(u32(l.cpus), maxCPUs))
	sub := make([]byte, subBytes)
	if h.subBlocks > 0 {
		if s.Size < h.block+int64(len(sub)) {
			return h, fault.New(fault.Truncated, "the file ends inside the kdump headers, after %d bytes", s.Size)
		}
		if err := s.Full(sub, h.block); err != nil {
			return h, err
		}
	}
	h.dumpLevel = le.Uint32(sub[l.dumpLevel:])
	size := func(off int) int64 {
		if l.word == 4 {
			return int64(le.Uint32(sub[off:]))
		}
		return int64(min(le.Uint64(sub[off:]), 1<<62))
	}
	at := func(off int) int64 { return int64(min(le.Uint64(sub[off:]), 1<<62)) }
	if h.version >= versionInfo {
		h.info = source.Range{Off: at(l.infoAt), Bytes: size(l.infoBytes)}
	}
	if h.version >= versionNotes {
		h.notes = source.Range{Off: at(l.noteAt), Bytes: size(l.noteBytes)}
	}
	if wide := le.Uint64(sub[l.max64:]); h.version >= versionWide && wide != 0 {
		h.blocks = wide
	}
	return h, h.check()
}

// chooseLayout tells the forms apart by a sane block size, never by the machine's
// name: QEMU writes the 64-bit form for i386 too.
func chooseLayout(head []byte) *layout {
	for i := range layouts {
		if n := le.Uint32(head[layouts[i].blockSize:]); n >= minBlock && n <= maxBlock && n&(n-1) == 0 {
			return &layouts[i]
		}
	}
	return nil
}

// check refuses numbers that cannot be.
func (h *header) check() error {
	bits := uint64(h.bitmapBlocks/2*h.block) * 8
	switch {
	case h.bitmapBlocks < 2:
		return fault.New(fault.DamagedHeader, "the kdump header is damaged: it has no bitmaps")
	case min(h.blocks, bits) > maxPFN:
		return fault.New(fault.DamagedHeader, "the kdump header is damaged: it announces memory up to block %#x, which no machine has", min(h.blocks, bits))
	}
	// What the bitmap has no bit for is not in the file; bits beyond the end of
	// memory mean nothing.
	h.blocks = min(h.blocks, bits)
	return nil
}

// bitmap is where the second bitmap starts, the one of pages in the file.
func (h *header) bitmap() int64 { return h.firstBitmap() + h.bitmapBlocks/2*h.block }

// firstBitmap is where the bitmap of all memory starts.
func (h *header) firstBitmap() int64 { return (1 + h.subBlocks) * h.block }

// descriptors is where the page descriptors start.
func (h *header) descriptors() int64 { return h.firstBitmap() + h.bitmapBlocks*h.block }
