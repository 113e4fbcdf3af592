package synth

import "slices"

// PDBOptions describes a PDB. Its zero value is a valid PDB without symbols.
type PDBOptions struct {
	GUID    [16]byte
	Age     uint32            // of the DBI stream, which is the one that counts; 0: 1
	InfoAge uint32            // of the info stream; 0: Age
	Symbols map[string]uint32 // RVA by name

	BlockSize int  // 0: 4096
	Filler    int  // public symbols of no interest before the others
	Reverse   bool // the blocks of each stream lie in descending order
	Absent    bool // streams 2 and 4 are absent, with size 0xffffffff
	OMAP      bool // symbols are relative to the sections before reordering

	NoSections bool // no section header stream
	NoPublics  bool // no symbol record stream
	Segment    bool // every symbol's segment is 99
	CutRecord  bool // the last symbol record is longer than its stream

	Edit     func(streams [][]byte) // changes streams, by number
	Truncate int                    // bytes cut off the end

	sections []section // of the image; nil: those of the small kernel
}

// The streams; the numbers behind DBI are free.
const (
	streamInfo     = 1
	streamTypes    = 2
	streamDBI      = 3
	streamIDs      = 4
	streamSections = 5
	streamSymbols  = 6
	streamOMAP     = 7
	streamOriginal = 8
	streamCount    = 9
)

// moved is how far the sections were from their place before reordering.
const moved = 0x100000

// PDB makes a PDB 7.0 file.
func PDB(o PDBOptions) []byte {
	age := or(o.Age, 1)
	if o.sections == nil {
		o.sections = sections
	}
	streams := make([][]byte, streamCount)

	info := le.AppendUint32(nil, 20000404)
	info = le.AppendUint32(info, stamp)
	info = le.AppendUint32(info, or(o.InfoAge, age))
	info = append(info, o.GUID[:]...)
	streams[streamInfo] = append(info, make([]byte, 40)...)
	streams[streamTypes] = make([]byte, 56)
	streams[streamIDs] = make([]byte, 56)

	sectionsAt := func(shift uint32) (raw []byte) {
		for _, s := range o.sections {
			h := make(image, 40)
			h.text(0, s.name)
			h.u32(8, uint32(s.size))
			h.u32(12, uint32(s.rva)+shift)
			h.u32(16, uint32(s.size))
			h.u32(20, uint32(s.rva))
			h.u32(36, s.permissions)
			raw = append(raw, h...)
		}
		return raw
	}
	streams[streamSections] = sectionsAt(0)
	if o.OMAP {
		// Reordered: the sections' distances changed, so one constant is not enough.
		streams[streamOriginal] = sectionsAt(moved)
		for _, s := range o.sections {
			streams[streamOMAP] = le.AppendUint32(streams[streamOMAP], uint32(s.rva)+moved)
			streams[streamOMAP] = le.AppendUint32(streams[streamOMAP], uint32(s.rva))
		}
	}
	streams[streamSymbols] = o.publics()
	streams[streamDBI] = o.dbi(age)
	if o.NoSections {
		streams[streamSections] = nil
	}
	if o.NoPublics {
		streams[streamSymbols] = nil
	}
	if o.Edit != nil {
		o.Edit(streams)
	}
	file := o.container(streams)
	return file[:len(file)-o.Truncate]
}

// publics makes the symbol records: S_PUB32, with other kinds in between.
func (o *PDBOptions) publics() (out []byte) {
	record := func(kind uint16, body []byte) {
		for (len(body)+4)%4 != 0 {
			body = append(body, 0)
		}
		out = le.AppendUint16(out, uint16(len(body)+2))
		out = le.AppendUint16(out, kind)
		out = append(out, body...)
	}
	public := func(name string, flags, offset uint32, segment uint16) {
		body := le.AppendUint32(nil, flags)
		body = le.AppendUint32(body, offset)
		body = le.AppendUint16(body, segment)
		record(0x110e, append(append(body, name...), 0))
	}
	s := noise(3)
	for range o.Filler {
		name := []byte("Filler")
		for range 1 + s.next()%40 {
			name = append(name, 'a'+byte(s.next()%26))
		}
		public(string(name), 2, uint32(s.next()%0x1000), 1)
	}
	names := make([]string, 0, len(o.Symbols))
	for name := range o.Symbols {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if i%5 == 0 { // a reference to a procedure, which holds a name too
			record(0x1125, append(append(make([]byte, 10), name...), 0))
		}
		rva := int(o.Symbols[name])
		segment := 0
		for k, sec := range o.sections {
			if rva >= sec.rva {
				segment = k
			}
		}
		number := uint16(segment + 1)
		if o.Segment {
			number = 99
		}
		public(name, 0, uint32(rva-o.sections[segment].rva), number)
	}
	if o.CutRecord {
		out = append(out, 0x40, 0, 0x0e, 0x11, 0, 0)
	}
	return out
}

// dbi makes the DBI stream: header, six substreams of some length each, debug
// header.
func (o *PDBOptions) dbi(age uint32) []byte {
	const debugEntries = 11
	sub := []struct{ field, bytes int }{{0x18, 64}, {0x1c, 4 + 28}, {0x20, 4}, {0x24, 8}, {0x28, 0}, {0x34, 12}}
	h := make(image, 64)
	h.u32(0x00, 0xffffffff)
	h.u32(0x04, 19990903)
	h.u32(0x08, age)
	h.u16(0x0c, 0xffff)
	h.u16(0x10, 0xffff)
	h.u16(0x14, streamSymbols)
	h.u32(0x30, 2*debugEntries)
	h.u16(0x3a, 0x8664)
	var body []byte
	for _, s := range sub {
		h.u32(s.field, uint32(s.bytes))
		body = append(body, make([]byte, s.bytes)...)
	}
	debug := make(image, 2*debugEntries)
	for i := range debugEntries {
		debug.u16(2*i, 0xffff)
	}
	debug.u16(2*5, streamSections)
	if o.OMAP {
		debug.u16(2*4, streamOMAP)
		debug.u16(2*10, streamOriginal)
	}
	if o.NoSections {
		debug.u16(2*5, 0xffff)
	}
	if o.NoPublics {
		h.u16(0x14, 0xffff)
	}
	return append(append(h, body...), debug...)
}

// container lays streams out in an MSF 7.00 file.
func (o *PDBOptions) container(streams [][]byte) []byte {
	bs := or(o.BlockSize, 4096)
	f := make(image, 3*bs) // superblock and the two free block maps
	store := func(p []byte, reverse bool) (blocks []uint32) {
		n := (len(p) + bs - 1) / bs
		first := len(f) / bs
		f = append(f, make([]byte, n*bs)...)
		for i := range n {
			b := first + i
			if reverse {
				b = first + n - 1 - i
			}
			copy(f[b*bs:(b+1)*bs], p[i*bs:])
			blocks = append(blocks, uint32(b))
		}
		return blocks
	}
	dir := le.AppendUint32(nil, uint32(len(streams)))
	var lists []byte
	for i, s := range streams {
		if o.Absent && (i == streamTypes || i == streamIDs) {
			dir = le.AppendUint32(dir, 0xffffffff)
			continue
		}
		dir = le.AppendUint32(dir, uint32(len(s)))
		for _, b := range store(s, o.Reverse) {
			lists = le.AppendUint32(lists, b)
		}
	}
	dir = append(dir, lists...)
	var blockMap []byte
	for _, b := range store(dir, o.Reverse) {
		blockMap = le.AppendUint32(blockMap, b)
	}
	at := store(blockMap, false)
	f.text(0, "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00")
	f.u32(0x20, uint32(bs))
	f.u32(0x24, 1)
	f.u32(0x28, uint32(len(f)/bs))
	f.u32(0x2c, uint32(len(dir)))
	f.u32(0x34, at[0])
	return f
}
