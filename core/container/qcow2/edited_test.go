package qcow2

import (
	"encoding/binary"
	"slices"
)

// edited is a copy of a file with numbers put into it.
type edited []byte

func (e edited) copy() edited           { return slices.Clone(e) }
func (e edited) put8(at int, v byte)    { e[at] = v }
func (e edited) put16(at int, v uint16) { binary.BigEndian.PutUint16(e[at:], v) }
func (e edited) put32(at int, v uint32) { binary.BigEndian.PutUint32(e[at:], v) }
func (e edited) put64(at int, v uint64) { binary.BigEndian.PutUint64(e[at:], v) }
func (e edited) get16(at int) int       { return int(binary.BigEndian.Uint16(e[at:])) }
func (e edited) get32(at int) int       { return int(binary.BigEndian.Uint32(e[at:])) }
func (e edited) get64(at int) int       { return int(binary.BigEndian.Uint64(e[at:])) }
func (e edited) offset(at int) int      { return int(binary.BigEndian.Uint64(e[at:]) & offsetMask) }
func (e edited) entry(n int) (entry int) { // of the snapshot table
	entry = e.get64(snapshotsOffAt)
	for range n {
		entry += (snapHead + e.get32(entry+snapExtraLenAt) + e.get16(entry+snapIDLenAt) + e.get16(entry+snapNameLenAt) + 7) &^ 7
	}
	return entry
}

// l1 gives the place of the L1 entry at which the state of snapshot n begins.
func (e edited) l1(n int) int {
	entry, bits := e.entry(n), e.get32(clusterBitsAt)
	wide := 3
	if e.get32(versionAt) == 3 && e.get64(incompatibleAt)&featureExtendedL2 != 0 {
		wide = 4
	}
	covers := 1 << (2*bits - wide)
	disk := e.get64(entry + snapHead + extraDiskAt)
	return e.get64(entry+snapL1At) + 8*((disk+covers-1)/covers)
}

// l2 gives the place of the first L2 entry of the state.
func (e edited) l2(n int) int { return e.offset(e.l1(n)) }
