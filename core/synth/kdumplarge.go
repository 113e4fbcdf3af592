package synth

import (
	"encoding/binary"
	"io"

	"coredrop/core/mem"
)

// Of a large kdump core: where its memory begins that no small guest has, the room
// that each packed block of it has, and how many different ones there are.
const (
	farAt       = 4 << 30
	farSlot     = 4200
	farVariants = 64
)

// LargeKDump is the file of a kdump core with more memory than a test could hold:
// what is read of it is made at that moment. Its blocks far up are one of a few,
// each with its own descriptor and its own place in the file.
type LargeKDump struct {
	small                    image  // the guest's own core
	head                     image  // up to the bitmaps
	guest, blocks, far       uint64 // blocks: of the guest, up to the end of memory, of the far memory
	half                     int64  // bytes of one bitmap
	smallHalf, smallRows     int64
	rows, data               int64 // where the descriptors are, and the packed blocks
	size                     int64
	packed                   [farVariants][]byte
	first                    [farVariants]uint64 // word of each
	codec                    [farVariants]Codec
	smallData, smallDataSize int64
}

// How the rows of a flattened core alternate with its data, as QEMU writes them.
const (
	flatChunk = 16 << 10
	flatTurns = farSlot / 24 // records of data behind one of descriptors
)

// NewLargeKDump gives a machine's core with bytes more of memory, from 4 GiB on.
func NewLargeKDump(e ELF, bytes uint64) *LargeKDump {
	k := e.KDump()
	l := &LargeKDump{small: k.Bytes(), far: bytes / mem.PageSize}
	block := int64(mem.PageSize)
	sub := int64(le.Uint32(l.small[0x1b0:]))
	l.smallHalf = int64(le.Uint32(l.small[0x1b4:])) / 2 * block
	l.smallRows = block*(1+sub) + 2*l.smallHalf
	for _, r := range k.Runs {
		l.guest += r.Pages
	}
	l.smallData = l.smallRows + 24*int64(l.guest)
	l.smallDataSize = int64(len(l.small)) - l.smallData
	l.blocks = farAt/mem.PageSize + l.far
	// Headers, each bitmap, descriptors and data have whole records of a flattened
	// core: what is between them nobody reads.
	l.half = (int64(l.blocks+7)/8 + flatChunk - 1) / flatChunk * flatChunk
	l.head = append(image{}, l.small[:block*(1+sub)]...)
	l.head = append(l.head, make([]byte, (flatChunk-len(l.head)%flatChunk)%flatChunk)...)
	l.head.u32(0x1b0, uint32(int64(len(l.head))/block-1))
	l.head.u32(0x1b4, uint32(2*l.half/block))
	l.head.u32(0x1b8, uint32(l.blocks))
	l.head.u64(int(block)+0x60, l.blocks)
	l.rows = int64(len(l.head)) + 2*l.half
	turns := (24*int64(l.guest+l.far) + flatChunk) / flatChunk
	turns = max(turns, (l.smallDataSize+farSlot*int64(l.far)+flatTurns*flatChunk-1)/(flatTurns*flatChunk))
	l.data = l.rows + turns*flatChunk
	l.size = l.data + turns*flatTurns*flatChunk
	var pack packer
	for v := range l.packed {
		p := Noise(uint64(v)+1, mem.PageSize)
		switch {
		case v%16 == 1:
			l.codec[v] = Zlib
			clear(p[1000:])
		case v%16 == 2:
			l.codec[v] = Zstd
			clear(p[1000:])
		case v%4 == 3:
			l.codec[v] = Snappy
			clear(p[2000:])
		}
		l.first[v] = le.Uint64(p)
		l.packed[v] = append([]byte{}, pack.pack(l.codec[v], p)...)
	}
	return l
}

// Size is the file's length in bytes.
func (l *LargeKDump) Size() int64 { return l.size }

// Far gives the last blocks of memory: how many there are, and the first word of
// each.
func (l *LargeKDump) Far() (blocks uint64, word func(number uint64) uint64) {
	return l.far, func(n uint64) uint64 { return l.first[n%farVariants] }
}

// Memory is how many bytes of memory the core holds.
func (l *LargeKDump) Memory() int64 { return int64(l.guest+l.far) * mem.PageSize }

// ReadAt makes the file's bytes.
func (l *LargeKDump) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off < l.size {
		n := l.some(p[done:min(len(p), done+int(l.size-off))], off)
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// some fills the beginning of p, which it clears before, and gives how much of it.
func (l *LargeKDump) some(p []byte, off int64) int {
	head := int64(len(l.head))
	switch {
	case off < head:
		return copy(p, l.head[off:])
	case off < l.rows:
		at := (off - head) % l.half
		p = p[:min(int64(len(p)), l.half-at)]
		for i := range p {
			p[i] = l.bits(at + int64(i))
		}
		return len(p)
	case off < l.data:
		var d [24]byte
		number := uint64(off-l.rows) / 24
		l.descriptor(d[:], number)
		return copy(p, d[(off-l.rows)%24:])
	case off < l.data+l.smallDataSize:
		return copy(p, l.small[l.smallData+off-l.data:])
	}
	at := off - l.data - l.smallDataSize
	slot, within := at/farSlot, at%farSlot
	p = p[:min(int64(len(p)), farSlot-within)]
	clear(p)
	if packed := l.packed[slot%farVariants]; within < int64(len(packed)) {
		copy(p, packed[within:])
	}
	return len(p)
}

// bits is a byte of either bitmap.
func (l *LargeKDump) bits(at int64) byte {
	const far = farAt / mem.PageSize / 8
	switch {
	case at >= far && uint64(at) < l.blocks/8:
		return 0xff
	case at < l.smallHalf:
		return l.small[l.smallRows-l.smallHalf+at]
	}
	return 0
}

func (l *LargeKDump) descriptor(d image, number uint64) {
	switch {
	case number < l.guest:
		copy(d, l.small[l.smallRows+24*int64(number):][:24])
		d.u64(0, le.Uint64(d)+uint64(l.data-l.smallData))
	case number < l.guest+l.far:
		far := number - l.guest
		d.u64(0, uint64(l.data+l.smallDataSize)+farSlot*far)
		d.u32(8, uint32(len(l.packed[far%farVariants])))
		d.u32(12, uint32(l.codec[far%farVariants]))
	}
}

// Flat is the same core in the flattened form.
func (l *LargeKDump) Flat() *FlatKDump {
	return &FlatKDump{l, 4096 + (l.rows/flatChunk)*(16+flatChunk)}
}

// FlatKDump is a large kdump core in the flattened form: descriptors and data by
// turns.
type FlatKDump struct {
	*LargeKDump
	turns int64 // where they begin
}

// flatTurn is the length of one record of descriptors and its records of data.
const flatTurn = (1 + flatTurns) * (16 + flatChunk)

// Size is the file's length in bytes.
func (f *FlatKDump) Size() int64 {
	return f.turns + (f.data-f.rows)/flatChunk*flatTurn + 16
}

// ReadAt makes the file's bytes.
func (f *FlatKDump) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off < f.Size() {
		n := f.some(p[done:], off)
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

func (f *FlatKDump) some(p []byte, off int64) int {
	switch {
	case off < 4096:
		return copy(p, FlatHeader()[off:])
	case off < f.turns:
		record := (off - 4096) / (16 + flatChunk)
		return f.record(p, record*flatChunk, (off-4096)%(16+flatChunk))
	case off < f.Size()-16:
		turn, within := (off-f.turns)/flatTurn, (off-f.turns)%flatTurn
		record, within := within/(16+flatChunk), within%(16+flatChunk)
		if record == 0 {
			return f.record(p, f.rows+turn*flatChunk, within)
		}
		return f.record(p, f.data+(turn*flatTurns+record-1)*flatChunk, within)
	}
	return copy(p, FlatEnd()[off-f.Size()+16:])
}

// record fills the beginning of p from a place within the record for at.
func (f *FlatKDump) record(p []byte, at, within int64) int {
	if within < 16 {
		var head [16]byte
		binary.BigEndian.PutUint64(head[:], uint64(at))
		binary.BigEndian.PutUint64(head[8:], flatChunk)
		return copy(p, head[within:])
	}
	n, _ := f.LargeKDump.ReadAt(p[:min(int64(len(p)), 16+flatChunk-within)], at+within-16)
	return n
}
