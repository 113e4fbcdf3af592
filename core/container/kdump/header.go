// Package kdump reads kdump-compressed cores ("KDUMP   "), plain and flattened,
// as makedumpfile and QEMU (dump-guest-memory -z, -l, -s) write them. It knows
// nothing of the guest inside.
package kdump

import (
	"bytes"
	"encoding/binary"

	"coredrop/core/source"
)

// Format is Machine.Format of what this package opens.
const Format = "kdump"

// The headers. Source: makedumpfile 1.7 diskdump_mod.h (struct disk_dump_header,
// struct kdump_sub_header), QEMU 10.2 dump.h; measured on files of both.
const (
	signature     = "KDUMP   "
	flatSignature = "makedumpfile\x00\x00\x00\x00"
	flatHeader    = 4096 // in front of the first record
	flatRecord    = 16   // offset and size, big endian

	machineAt = 0x110 // utsname.machine, 65 bytes
	nameBytes = 65

	maxBlock  = 1 << 20
	minHeader = 0x1d0 // up to nr_cpus of the 64-bit form
	maxCPUs   = 1 << 16
)

// layout is where a form of the main header has its fields: it is the C
// structure as the writer's compiler laid it out.
type layout struct {
	status, blockSize, subBlocks, bitmapBlocks, maxPFN, cpus int
	sub64PFN                                                 int // max_mapnr_64 in the sub header
	wide                                                     bool
}

var layouts = []layout{
	{status: 0x1a8, blockSize: 0x1ac, subBlocks: 0x1b0, bitmapBlocks: 0x1b4, maxPFN: 0x1b8, cpus: 0x1cc, sub64PFN: 0x60, wide: true},
	{status: 0x19c, blockSize: 0x1a0, subBlocks: 0x1a4, bitmapBlocks: 0x1a8, maxPFN: 0x1ac, cpus: 0x1c0, sub64PFN: 0x48},
}

var le, be = binary.LittleEndian, binary.BigEndian

// header is what the main header says.
type header struct {
	flat         bool // flattened: a stream of records, not a file of blocks
	machine      string
	status       uint32
	block        int64 // bytes
	subBlocks    int64
	bitmapBlocks int64 // of both bitmaps
	cpus         int
}

// readHeader reads the main header as far as it makes sense; ok is false where
// the file is none.
func readHeader(s source.Source) (h header, ok bool, err error) {
	head := make([]byte, min(s.Size, flatHeader+flatRecord+minHeader))
	if err := s.Full(head, 0); err != nil {
		return h, false, err
	}
	if bytes.HasPrefix(head, []byte(flatSignature)) {
		h.flat = true
		// Every writer's first record is the main header.
		if len(head) < flatHeader+flatRecord || be.Uint64(head[flatHeader:]) != 0 {
			return h, true, nil
		}
		head = head[flatHeader+flatRecord:]
	}
	if !bytes.HasPrefix(head, []byte(signature)) {
		return h, h.flat, nil
	}
	if len(head) < minHeader {
		return h, true, nil
	}
	name, _, _ := bytes.Cut(head[machineAt:][:nameBytes], []byte{0})
	h.machine = string(name)
	for _, l := range layouts {
		// By a sane block size, never by the machine's name: QEMU writes the
		// 64-bit form for i386 too.
		n := le.Uint32(head[l.blockSize:])
		if n < 4096 || n > maxBlock || n&(n-1) != 0 {
			continue
		}
		h.block, h.status = int64(n), le.Uint32(head[l.status:])
		h.subBlocks, h.bitmapBlocks = int64(le.Uint32(head[l.subBlocks:])), int64(le.Uint32(head[l.bitmapBlocks:]))
		h.cpus = int(min(le.Uint32(head[l.cpus:]), maxCPUs))
		return h, true, nil
	}
	return h, true, nil
}
