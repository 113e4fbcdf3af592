package linuxtest

import "encoding/binary"

// Record is a record of a log to be built. Lost makes its text block one that
// was overwritten.
type Record struct {
	Seq, Time uint64
	Level     uint8
	Caller    uint32
	Text      string // "" for a record without a text block
	Lost      bool
}

// The layout of printk's ring buffer, kernel/printk/printk_ringbuffer.h.
const (
	RingBytes = 88
	descBytes = 24
	infoBytes = 88
	// InfoBytesContext is the size of a printk_info with PRINTK_EXECUTION_CTX.
	InfoBytesContext = 112
)

// Ring lays a printk ring buffer out at address at: the structure first, then
// descriptors, infos and text. firstID is the id of the first record, firstPos
// the logical position of the first text block.
func Ring(at uint64, descBits, textBits uint, firstID, firstPos uint64, records []Record) []byte {
	return RingSized(infoBytes, at, descBits, textBits, firstID, firstPos, records)
}

// RingSized is Ring with a struct printk_info of so many bytes.
func RingSized(infoBytes int, at uint64, descBits, textBits uint, firstID, firstPos uint64, records []Record) []byte {
	const idMask = 1<<62 - 1
	count, size := 1<<descBits, 1<<textBits
	descs := RingBytes
	infos := descs + count*descBytes
	data := infos + count*infoBytes
	out := make([]byte, data+size)
	le := binary.LittleEndian
	le.PutUint32(out[0:], uint32(descBits))
	le.PutUint64(out[8:], at+uint64(descs))
	le.PutUint64(out[16:], at+uint64(infos))
	last := (firstID + uint64(len(records)) - 1) & idMask
	le.PutUint64(out[24:], last)
	le.PutUint64(out[32:], firstID&idMask)
	le.PutUint32(out[48:], uint32(textBits))
	le.PutUint64(out[56:], at+uint64(data))
	pos := firstPos
	for i, r := range records {
		id := (firstID + uint64(i)) & idMask
		slot := int(id % uint64(count))
		d, f := out[descs+slot*descBytes:], out[infos+slot*infoBytes:]
		le.PutUint64(d, id|2<<62) // finalized
		begin, next := uint64(3), uint64(3)
		if r.Text != "" {
			need := uint64(8+len(r.Text)+7) &^ 7
			begin = pos
			off := pos & uint64(size-1)
			if off+need > uint64(size) { // wraps: the data begins at 0
				pos += uint64(size) - off
				off = 0
			}
			pos += need
			next = pos
			owner := id
			if r.Lost {
				owner ^= 1
			}
			le.PutUint64(out[data+int(off):], owner)
			copy(out[data+int(off)+8:], r.Text)
		}
		le.PutUint64(d[8:], begin)
		le.PutUint64(d[16:], next)
		le.PutUint64(f, r.Seq)
		le.PutUint64(f[8:], r.Time)
		le.PutUint16(f[16:], uint16(len(r.Text)))
		f[19] = r.Level << 5
		le.PutUint32(f[20:], r.Caller)
	}
	return out
}
