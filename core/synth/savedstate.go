package synth

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"coredrop/core/mem"
)

var be = binary.BigEndian

// SavedBlock is a block of memory of a saved state, of whole pages.
type SavedBlock struct {
	Name string
	Data []byte
}

// SavedAs is how a page is sent.
type SavedAs int

// The ways.
const (
	SavedPlain  SavedAs = iota // as it is, or as a zero page where it is one
	SavedWhole                 // as it is, also a zero page
	SavedPacked                // by zlib
	SavedNot                   // not at all
	SavedFilled                // as a page filled with its first byte
	SavedDelta                 // as changes of what was sent before
)

// SavedPage is a page that is sent at a time of its own.
type SavedPage struct {
	Block, Page int
	As          SavedAs
	Data        []byte // nil: what the block has
}

// SavedDevice is a device of a saved state. Its data are the fields', one after
// another.
type SavedDevice struct {
	Name     string
	Instance uint32
	Version  uint32
	Fields   []SavedField
	Sub      []SavedSub
	Opaque   bool // described by its length alone
}

// SavedField is a field: Count elements (0: one, which is no array) of equal
// length.
type SavedField struct {
	Name  string
	Count int
	Data  []byte
}

// SavedSub is a subsection.
type SavedSub struct {
	Name   string
	Fields []SavedField
}

// SavedState describes a saved state of QEMU's. The zero value of each field is what
// QEMU does.
type SavedState struct {
	Board        string // "": pc-q35-10.0
	Capabilities []string
	PageBits     uint32 // 0: x86, which does not say
	Blocks       []SavedBlock
	As           func(block, page int) SavedAs // of the first pass; nil: SavedPlain
	Again        []SavedPage                   // sent again, one section each
	Devices      []SavedDevice
	Early        []SavedDevice // in front of the memory
	Live         []SavedLive   // live sections beside the memory's
	Commands     []uint16      // at the front; nil: none
	HugePages    uint64        // page size behind each block's length; 0: none
	Trailer      []byte        // behind it all

	NoConfiguration bool
	NoFooters       bool
	NoDescription   bool
	Mapped          bool // pages in place (mapped-ram)
	Start           int  // bytes of the file in front of the stream, for Mapped
	PerPart         int  // pages of one section's part; 0: all
}

// SavedLive is a live section that is not the memory's.
type SavedLive struct {
	Name              string
	Start, Part, Last []byte
}

// saver writes.
type saver struct {
	SavedState
	out    []byte
	marks  []int // where sections begin
	id     uint32
	block  int // of the record before; -1: none
	former map[[2]int][]byte
	pack   packer
}

func (s *saver) u8(v byte)    { s.out = append(s.out, v) }
func (s *saver) u16(v uint16) { s.out = be.AppendUint16(s.out, v) }
func (s *saver) u32(v uint32) { s.out = be.AppendUint32(s.out, v) }
func (s *saver) u64(v uint64) { s.out = be.AppendUint64(s.out, v) }
func (s *saver) str8(v string) {
	s.u8(byte(len(v)))
	s.out = append(s.out, v...)
}

func (s *saver) begin(kind byte) {
	s.marks = append(s.marks, len(s.out))
	s.u8(kind)
}

func (s *saver) footer(id uint32) {
	if !s.NoFooters {
		s.u8(0x7e)
		s.u32(id)
	}
}

// Bytes is the stream; Marks where its sections begin, and where it ends.
func (s SavedState) Bytes() []byte { b, _ := s.write(); return b }

// Marks lists where sections begin, in bytes from the file's beginning, and where
// the file ends.
func (s SavedState) Marks() []int { _, m := s.write(); return m }

func (s SavedState) write() ([]byte, []int) {
	w := &saver{SavedState: s, block: -1, former: map[[2]int][]byte{}, out: make([]byte, s.Start)}
	w.out = append(w.out, "QEVM\x00\x00\x00\x03"...)
	if !s.NoConfiguration {
		w.configuration()
	}
	for _, c := range s.Commands {
		w.begin(8)
		w.u16(c)
		w.u16(4)
		w.u32(0)
	}
	for i := range s.Early {
		w.device(&s.Early[i])
	}
	w.id++
	ram := w.id
	lives := make([]uint32, len(s.Live))
	w.begin(1)
	w.u32(ram)
	w.str8("ram")
	w.u32(0)
	w.u32(4)
	w.list()
	w.u64(0x10)
	w.footer(ram)
	for i, l := range s.Live {
		w.id++
		lives[i] = w.id
		w.begin(1)
		w.u32(w.id)
		w.str8(l.Name)
		w.u32(0)
		w.u32(1)
		w.out = append(w.out, l.Start...)
		w.footer(w.id)
	}
	if !s.Mapped {
		w.pages(ram)
	}
	for i, l := range s.Live {
		w.begin(2)
		w.u32(lives[i])
		w.out = append(w.out, l.Part...)
		w.footer(lives[i])
	}
	for _, p := range s.Again {
		w.begin(2)
		w.u32(ram)
		w.page(p)
		w.u64(0x10)
		w.footer(ram)
	}
	w.begin(3)
	w.u32(ram)
	w.u64(0x10)
	w.footer(ram)
	for i, l := range s.Live {
		w.begin(3)
		w.u32(lives[i])
		w.out = append(w.out, l.Last...)
		w.footer(lives[i])
	}
	w.begin(8)
	w.u16(11)
	w.u16(0)
	for i := range s.Devices {
		w.device(&s.Devices[i])
	}
	w.begin(0)
	if !s.NoDescription {
		w.begin(6)
		text := w.description()
		w.u32(uint32(len(text)))
		w.out = append(w.out, text...)
	}
	w.out = append(w.out, s.Trailer...)
	return w.out, append(w.marks, len(w.out))
}

func (s *saver) configuration() {
	s.begin(7)
	board := or(s.Board, "pc-q35-10.0")
	s.u32(uint32(len(board)))
	s.out = append(s.out, board...)
	if s.PageBits != 0 {
		s.u8(5)
		s.str8("configuration/target-page-bits")
		s.u32(1)
		s.u32(s.PageBits)
	}
	if s.Capabilities != nil {
		s.u8(5)
		s.str8("configuration/capabilities")
		s.u32(1)
		s.u32(uint32(len(s.Capabilities)))
		for _, c := range s.Capabilities {
			s.str8(c)
		}
	}
}

func (s *saver) pageBytes() int {
	if s.PageBits != 0 {
		return 1 << s.PageBits
	}
	return mem.PageSize
}

// list writes the blocks, and mapped pages.
func (s *saver) list() {
	total := 0
	for _, b := range s.Blocks {
		total += len(b.Data)
	}
	s.u64(uint64(total) | 0x04)
	for _, b := range s.Blocks {
		s.str8(b.Name)
		s.u64(uint64(len(b.Data)))
		if s.HugePages != 0 {
			s.u64(s.HugePages)
		}
		if s.Mapped {
			s.mapped(b)
		}
	}
}

// mapped writes a block's pages in place, at the next MiB. What a clear bit is for
// holds old bytes.
func (s *saver) mapped(b SavedBlock) {
	page := s.pageBytes()
	bitmap := make([]byte, (len(b.Data)/page+63)/64*8)
	at := len(s.out) + 28
	pages := (at + len(bitmap) + 1<<20 - 1) &^ (1<<20 - 1)
	s.u32(1)
	s.u64(uint64(page))
	s.u64(uint64(at))
	s.u64(uint64(pages))
	data := bytes.Repeat([]byte{0xee}, len(b.Data))
	for i := 0; i < len(b.Data); i += page {
		if p := b.Data[i:][:page]; len(bytes.TrimLeft(p, "\x00")) > 0 {
			bitmap[i/page/8] |= 1 << (i / page % 8)
			copy(data[i:], p)
		}
	}
	s.out = append(s.out, bitmap...)
	s.out = append(s.out, make([]byte, pages-len(s.out))...)
	s.out = append(s.out, data...)
}

// pages writes the first pass.
func (s *saver) pages(ram uint32) {
	page := s.pageBytes()
	open, n := false, 0
	end := func() {
		s.u64(0x10)
		s.footer(ram)
		open, n = false, 0
	}
	for b, block := range s.Blocks {
		for i := range len(block.Data) / page {
			as := SavedPlain
			if s.As != nil {
				as = s.As(b, i)
			}
			if as == SavedNot {
				continue
			}
			if !open {
				s.begin(2)
				s.u32(ram)
				open = true
			}
			s.page(SavedPage{Block: b, Page: i, As: as})
			if n++; s.PerPart > 0 && n == s.PerPart {
				end()
			}
		}
	}
	if open {
		end()
	}
}

// page writes one record.
func (s *saver) page(p SavedPage) {
	size := s.pageBytes()
	at := p.Page * size
	data := p.Data
	if data == nil {
		data = s.Blocks[p.Block].Data[at:][:size]
	}
	key := [2]int{p.Block, p.Page}
	former := s.former[key]
	s.former[key] = data
	head := func(flag uint64) {
		if s.block == p.Block {
			flag |= 0x20
		}
		s.u64(uint64(at) | flag)
		if s.block != p.Block {
			s.str8(s.Blocks[p.Block].Name)
		}
		s.block = p.Block
	}
	zero := len(bytes.TrimLeft(data, "\x00")) == 0
	switch {
	case p.As == SavedFilled || p.As == SavedPlain && zero:
		head(0x02)
		s.u8(data[0])
	case p.As == SavedPacked:
		head(0x100)
		packed := s.pack.pack(Zlib, data)
		s.u32(uint32(len(packed)))
		s.out = append(s.out, packed...)
	case p.As == SavedDelta:
		head(0x40)
		delta := xbzrle(former, data)
		s.u8(1)
		s.u16(uint16(len(delta)))
		s.out = append(s.out, delta...)
	default:
		head(0x08)
		s.out = append(s.out, data...)
	}
}

// xbzrle writes the bytes that differ.
func xbzrle(old, data []byte) (out []byte) {
	number := func(n int) {
		if n < 0x80 {
			out = append(out, byte(n))
		} else {
			out = append(out, byte(n)|0x80, byte(n>>7))
		}
	}
	for i := 0; i < len(data); {
		same := i
		for same < len(data) && old[same] == data[same] {
			same++
		}
		number(same - i)
		i = same
		for same < len(data) && old[same] != data[same] {
			same++
		}
		if same > i {
			number(same - i)
			out = append(out, data[i:same]...)
		}
		i = same
	}
	return out
}

func (s *saver) device(d *SavedDevice) {
	s.id++
	s.begin(4)
	s.u32(s.id)
	s.str8(d.Name)
	s.u32(d.Instance)
	s.u32(d.Version)
	for _, f := range d.Fields {
		s.out = append(s.out, f.Data...)
	}
	for _, sub := range d.Sub {
		s.u8(5)
		s.str8(sub.Name)
		s.u32(1)
		for _, f := range sub.Fields {
			s.out = append(s.out, f.Data...)
		}
	}
	s.footer(s.id)
}

// description is the JSON that QEMU writes of the devices.
func (s *saver) description() []byte {
	fields := func(list []SavedField) []map[string]any {
		out := []map[string]any{}
		for _, f := range list {
			m := map[string]any{"name": f.Name, "type": "uint64", "size": len(f.Data)}
			if f.Count > 0 {
				m["array_len"], m["size"] = f.Count, len(f.Data)/f.Count
			}
			out = append(out, m)
		}
		return out
	}
	devices := []any{}
	for _, d := range append(append([]SavedDevice{}, s.Early...), s.Devices...) {
		m := map[string]any{"name": d.Name, "instance_id": d.Instance, "version": d.Version, "vmsd_name": d.Name}
		if d.Opaque {
			size := 0
			for _, f := range d.Fields {
				size += len(f.Data)
			}
			m["size"] = size
		} else {
			m["fields"] = fields(d.Fields)
			var subs []any
			for _, sub := range d.Sub {
				subs = append(subs, map[string]any{"vmsd_name": sub.Name, "version": 1, "fields": fields(sub.Fields)})
			}
			if subs != nil {
				m["subsections"] = subs
			}
		}
		devices = append(devices, m)
	}
	text, err := json.Marshal(struct {
		A int   `json:"page_size"`
		B []any `json:"devices"`
	}{s.pageBytes(), devices})
	if err != nil {
		panic(err)
	}
	return text
}
