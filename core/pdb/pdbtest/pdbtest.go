// Package pdbtest writes small PDB files for tests, field by field from
// literal offsets: it shares no code with the reader it is there to check.
package pdbtest

import (
	"encoding/binary"
)

// Public is one public symbol.
type Public struct {
	Name    string
	Segment uint16
	Offset  uint32
}

// Spec says what a PDB holds. The zero value is a small PDB without symbols.
type Spec struct {
	GUID      [16]byte
	Age       uint32
	InfoAge   uint32 // of the information stream; 0: Age
	Machine   uint16 // 0: x64
	Sections  []uint32
	Original  []uint32    // section addresses before the image was rearranged
	Omap      [][2]uint32 // from, to
	Publics   []Public
	BlockSize int // 0: 4096
	Padding   int // bytes of a stream of no meaning, before the symbols
}

// The numbers of the streams that New writes. AbsentStream has the size
// 0xffffffff, so that a reader that counts blocks for it goes astray.
const (
	InfoStream, DBIStream, AbsentStream, PaddingStream = 1, 3, 4, 5
	SymbolStream, SectionStream                        = 6, 7
	OmapStream, OriginalStream                         = 8, 9
)

// Streams gives the contents of the streams that New writes; nil is absent.
func Streams(s Spec) [][]byte {
	le := binary.LittleEndian
	if s.InfoAge == 0 {
		s.InfoAge = s.Age
	}
	if s.Machine == 0 {
		s.Machine = 0x8664
	}
	info := make([]byte, 0x1c)
	le.PutUint32(info, 20000404)
	le.PutUint32(info[8:], s.InfoAge)
	copy(info[12:], s.GUID[:])

	var symbols []byte
	for _, p := range s.Publics {
		r := make([]byte, (14+len(p.Name)+1+3)&^3)
		le.PutUint16(r, uint16(len(r)-2))
		le.PutUint16(r[2:], 0x110e)
		le.PutUint32(r[8:], p.Offset)
		le.PutUint16(r[12:], p.Segment)
		copy(r[14:], p.Name)
		symbols = append(symbols, r...)
	}
	debug := make([]byte, 22)
	for i := range debug {
		debug[i] = 0xff
	}
	le.PutUint16(debug[10:], SectionStream)
	omap, original := []byte(nil), []byte(nil)
	if s.Omap != nil {
		le.PutUint16(debug[8:], OmapStream)
		omap = []byte{}
		for _, e := range s.Omap {
			omap = le.AppendUint32(le.AppendUint32(omap, e[0]), e[1])
		}
	}
	if s.Original != nil {
		le.PutUint16(debug[20:], OriginalStream)
		original = headers(s.Original)
	}
	// The six substreams have lengths of their own, so that a reader that leaves
	// one out of its sum goes astray.
	lengths := map[int]int{0x18: 8, 0x1c: 12, 0x20: 16, 0x24: 20, 0x28: 24, 0x34: 28}
	dbi := make([]byte, 64)
	le.PutUint32(dbi, 0xffffffff)
	le.PutUint32(dbi[4:], 19990903)
	le.PutUint32(dbi[8:], s.Age)
	le.PutUint16(dbi[0x14:], SymbolStream)
	for at, n := range lengths {
		le.PutUint32(dbi[at:], uint32(n))
		dbi = append(dbi, make([]byte, n)...)
	}
	le.PutUint32(dbi[0x30:], uint32(len(debug)))
	le.PutUint16(dbi[0x3a:], s.Machine)
	dbi = append(dbi, debug...)

	return [][]byte{{}, info, {}, dbi, nil, make([]byte, s.Padding), symbols, headers(s.Sections), omap, original}
}

func headers(addresses []uint32) []byte {
	out := make([]byte, 40*len(addresses))
	for i, a := range addresses {
		binary.LittleEndian.PutUint32(out[40*i+12:], a)
	}
	return out
}

// New writes a PDB.
func New(s Spec) []byte { return Container(s.BlockSize, Streams(s)) }

// Container writes an MSF 7.00 file with these streams. Each stream's blocks
// stand in the file from the last to the first, so that a reader that takes
// them as contiguous goes astray. A block size of 0 is 4096.
func Container(blockSize int, streams [][]byte) []byte {
	if blockSize == 0 {
		blockSize = 4096
	}
	le := binary.LittleEndian
	file := make([]byte, 3*blockSize) // superblock and two free block maps
	put := func(data []byte) []uint32 {
		n := (len(data) + blockSize - 1) / blockSize
		first := len(file) / blockSize
		file = append(file, make([]byte, n*blockSize)...)
		list := make([]uint32, n)
		for i := range list {
			list[i] = uint32(first + n - 1 - i)
			copy(file[int(list[i])*blockSize:][:blockSize], data[i*blockSize:])
		}
		return list
	}
	directory := le.AppendUint32(nil, uint32(len(streams)))
	var lists []byte
	for _, s := range streams {
		if s == nil {
			directory = le.AppendUint32(directory, 0xffffffff)
			continue
		}
		directory = le.AppendUint32(directory, uint32(len(s)))
		for _, b := range put(s) {
			lists = le.AppendUint32(lists, b)
		}
	}
	directory = append(directory, lists...)
	var dirList []byte
	for _, b := range put(directory) {
		dirList = le.AppendUint32(dirList, b)
	}
	maps := put(dirList)
	copy(file, "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00")
	le.PutUint32(file[0x20:], uint32(blockSize))
	le.PutUint32(file[0x24:], 1)
	le.PutUint32(file[0x28:], uint32(len(file)/blockSize))
	le.PutUint32(file[0x2c:], uint32(len(directory)))
	for i, b := range maps {
		le.PutUint32(file[0x34+4*i:], b)
	}
	return file
}
