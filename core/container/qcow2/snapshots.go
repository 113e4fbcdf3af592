package qcow2

import (
	"context"

	"coredrop/core/fault"
)

// The snapshot table: entries that begin at multiples of 8 bytes. Source: QEMU
// docs/interop/qcow2.txt, "Snapshots".
const (
	snapL1At       = 0  // u64, offset of the L1 table
	snapL1LenAt    = 8  // u32, entries of it
	snapIDLenAt    = 12 // u16
	snapNameLenAt  = 14 // u16
	snapSecondsAt  = 16 // u32
	snapStateAt    = 32 // u32, bytes of the saved state
	snapExtraLenAt = 36 // u32
	snapHead       = 40

	extraStateAt = 0 // u64: in place of the 32 bits above
	extraDiskAt  = 8 // u64, bytes of the disk at that time
	extraBytes   = 16
)

// Bounds, those of QEMU (block/qcow2.h) but for the names', which it cuts at 255
// and 127 bytes when it makes them.
const (
	maxSnapshots = 65536
	maxExtra     = 1024
	maxText      = 1024 // bytes of a name, and of an id
	maxL1        = 32 << 20 / 8
	// maxTable bounds what the table's names can take up: QEMU allows four times as
	// much, and real ones have a few kilobytes.
	maxTable = 16 << 20
)

// snapshot is an entry of the table.
type snapshot struct {
	id, name string
	seconds  uint32
	l1       uint64 // offset
	entries  uint32 // of L1
	state    uint64 // bytes of the saved state; 0: it has no memory
	disk     uint64 // bytes
}

// list reads the snapshot table. What was read before an error is given with it.
func (im *image) list(ctx context.Context) ([]snapshot, error) {
	if im.snapshots > maxSnapshots {
		return nil, damaged("%d snapshots; %d can be", im.snapshots, maxSnapshots)
	}
	if im.snapshotsOff%uint64(im.cluster) != 0 {
		return nil, damaged("a snapshot table at %#x", im.snapshotsOff)
	}
	var list []snapshot
	at := im.snapshotsOff
	for i := range im.snapshots {
		if err := ctx.Err(); err != nil {
			return list, fault.Wrap(err, fault.Cancelled, "")
		}
		s, next, err := im.snapshot(at)
		if err != nil {
			return list, err
		}
		if next-im.snapshotsOff > maxTable {
			return list, damaged("the first %d of its snapshots take up %d bytes", i+1, next-im.snapshotsOff)
		}
		list = append(list, s)
		at = next
	}
	return list, nil
}

// snapshot reads the entry at off; next is where another one begins.
func (im *image) snapshot(off uint64) (s snapshot, next uint64, err error) {
	const what = "its table of snapshots"
	var head [snapHead]byte
	if err := im.read(head[:], off, what); err != nil {
		return s, 0, err
	}
	idLen, nameLen := be.Uint16(head[snapIDLenAt:]), be.Uint16(head[snapNameLenAt:])
	extra := be.Uint32(head[snapExtraLenAt:])
	if extra > maxExtra || idLen > maxText || nameLen > maxText {
		return s, 0, damaged("the snapshot at %#x has %d bytes of extra data, an id of %d and a name of %d", off, extra, idLen, nameLen)
	}
	rest := make([]byte, extra+uint32(idLen)+uint32(nameLen))
	if err := im.read(rest, off+snapHead, what); err != nil {
		return s, 0, err
	}
	s = snapshot{seconds: be.Uint32(head[snapSecondsAt:]), l1: be.Uint64(head[snapL1At:]), entries: be.Uint32(head[snapL1LenAt:]),
		state: uint64(be.Uint32(head[snapStateAt:])), disk: im.disk}
	if extra >= extraStateAt+8 {
		s.state = be.Uint64(rest[extraStateAt:])
	}
	if extra >= extraBytes {
		s.disk = be.Uint64(rest[extraDiskAt:])
	}
	text := rest[extra:]
	s.id, s.name = string(text[:idLen]), string(text[idLen:])
	return s, (off + snapHead + uint64(len(rest)) + 7) &^ 7, nil
}
