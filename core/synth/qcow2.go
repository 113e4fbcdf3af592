package synth

// QCOW2 is a disk image of version 3 with snapshots. Its disk is empty.
type QCOW2 struct {
	ClusterBits uint // 0: 16
	Disk        uint64
	Snapshots   []QCOW2Snapshot
}

// QCOW2Snapshot is a snapshot; State is its saved state, nil: it has no memory.
type QCOW2Snapshot struct {
	ID, Name string
	Seconds  uint32
	State    []byte
}

// Bytes gives the file. Source of the layout: QEMU docs/interop/qcow2.txt.
func (q QCOW2) Bytes() []byte {
	bits := or(q.ClusterBits, 16)
	cluster := uint64(1) << bits
	covers := cluster / 8 * cluster
	out := make([]byte, cluster)
	// add puts data into the next clusters.
	add := func(data []byte) (at uint64) {
		at = uint64(len(out))
		out = append(out, data...)
		out = append(out, make([]byte, -uint64(len(out))%cluster)...)
		return at
	}
	var table []byte
	for _, s := range q.Snapshots {
		size := uint64(len(s.State))
		first := (q.Disk + covers - 1) / covers
		l1 := make([]byte, 8*(first+(size+covers-1)/covers))
		for i := uint64(0); i*covers < size; i++ {
			part := s.State[i*covers : min((i+1)*covers, size)]
			l2 := make([]byte, cluster)
			for j := uint64(0); j*cluster < uint64(len(part)); j++ {
				at := add(part[j*cluster : min((j+1)*cluster, uint64(len(part)))])
				be.PutUint64(l2[8*j:], at|1<<63)
			}
			be.PutUint64(l1[8*(first+i):], add(l2)|1<<63)
		}
		at := add(l1)
		table = be.AppendUint64(table, at)
		table = be.AppendUint32(table, uint32(len(l1)/8))
		table = be.AppendUint16(table, uint16(len(s.ID)))
		table = be.AppendUint16(table, uint16(len(s.Name)))
		table = be.AppendUint32(table, s.Seconds)
		table = be.AppendUint32(table, 0) // nanoseconds
		table = be.AppendUint64(table, 0) // the guest's clock
		table = be.AppendUint32(table, uint32(size))
		table = be.AppendUint32(table, 16)
		table = be.AppendUint64(table, size)
		table = be.AppendUint64(table, q.Disk)
		table = append(append(table, s.ID...), s.Name...)
		table = append(table, make([]byte, -len(table)&7)...)
	}
	at := add(table)
	copy(out, "QFI\xfb")
	be.PutUint32(out[4:], 3)
	be.PutUint32(out[20:], uint32(bits))
	be.PutUint64(out[24:], q.Disk)
	be.PutUint32(out[60:], uint32(len(q.Snapshots)))
	be.PutUint64(out[64:], at)
	be.PutUint32(out[100:], 104)
	return out
}
