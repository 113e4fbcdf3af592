package synth

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"coredrop/core/cpu"
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

// SavedCPU is the section of an x86 processor, of qemu-system-x86_64 (word 8) or
// qemu-system-i386 (4). What the state does not know is zero, or what a processor
// has after a reset.
func SavedCPU(i int, x *cpu.State, word int) SavedDevice {
	w := func(list ...uint64) (p []byte) {
		for _, v := range list {
			if word == 4 {
				p = be.AppendUint32(p, uint32(v))
			} else {
				p = be.AppendUint64(p, v)
			}
		}
		return p
	}
	half := func(list ...uint32) (p []byte) {
		for _, v := range list {
			p = be.AppendUint32(p, v)
		}
		return p
	}
	segment := func(r cpu.Reg) []byte {
		g := x.Segment(r)
		return append(append(half(g.Selector), w(g.Base)...), half(g.Limit, g.Flags)...)
	}
	vectors := 8
	if word == 8 {
		vectors = 16
	}
	var regs []uint64
	for _, r := range []cpu.Reg{cpu.RAX, cpu.RCX, cpu.RDX, cpu.RBX, cpu.RSP, cpu.RBP, cpu.RSI, cpu.RDI, cpu.R8, cpu.R9, cpu.R10, cpu.R11, cpu.R12, cpu.R13, cpu.R14, cpu.R15}[:vectors] {
		regs = append(regs, x.Get(r))
	}
	var segments, x87 []byte
	for _, g := range []cpu.Reg{cpu.ES, cpu.CS, cpu.SS, cpu.DS, cpu.FS, cpu.GS} {
		segments = append(segments, segment(g)...)
	}
	for k := range 8 { // of the file's registers, not of the stack's
		x87 = be.AppendUint16(be.AppendUint64(x87, 1<<63|uint64(k)), 0x3fff)
	}
	var xmm []byte
	for k := range vectors {
		xmm = be.AppendUint64(be.AppendUint64(xmm, uint64(0x1000+k)), uint64(0x2000+k))
	}
	one := func(name string, p []byte) SavedField { return SavedField{Name: name, Data: p} }
	d := SavedDevice{Name: "cpu", Instance: uint32(i), Version: 12, Fields: []SavedField{
		{"env.regs", len(regs), w(regs...)}, one("env.eip", w(x.Get(cpu.RIP))), one("env.eflags", w(x.Get(cpu.RFLAGS))), one("env.hflags", half(uint32(x.Get(cpu.CS))&3)),
		one("env.fpuc", []byte{0x03, 0x7f}), one("env.fpus_vmstate", []byte{3 << 3, 0}), one("env.fptag_vmstate", []byte{0, 0x18}), one("env.fpregs_format_vmstate", []byte{0, 0}),
		{"env.fpregs", 8, x87}, {"env.segs", 6, segments},
		one("env.ldt", segment(cpu.LDT)), one("env.tr", segment(cpu.TR)), one("env.gdt", segment(cpu.GDT)), one("env.idt", segment(cpu.IDT)),
		one("env.sysenter_cs", half(0x10)), one("env.sysenter_esp", w(0x11)), one("env.sysenter_eip", w(0x12)),
		one("env.cr[0]", w(x.Get(cpu.CR0))), one("env.cr[2]", w(x.Get(cpu.CR2))), one("env.cr[3]", w(x.Get(cpu.CR3))), one("env.cr[4]", w(x.Get(cpu.CR4))),
		{"env.dr", 8, w(0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xffff0ff0, 0x400)},
		one("env.a20_mask", half(0xffffffff)), one("env.mxcsr", half(0x1f80)), {"env.xmm_regs[0]", vectors, xmm},
	}, Sub: []SavedSub{{"cpu/poll_control_msr", []SavedField{one("env.poll_control_msr", make([]byte, 8))}}}}
	if word == 8 {
		efer := uint64(0xd01)
		if x.Segment(cpu.CS).Flags&(1<<21) == 0 && x.Get(cpu.CR4)&(1<<5) == 0 {
			efer = 0
		}
		for _, f := range []struct {
			name string
			v    uint64
		}{{"efer", efer}, {"star", 1}, {"lstar", 2}, {"cstar", 3}, {"fmask", 4}, {"kernelgsbase", x.Get(cpu.KernelGSBase)}} {
			d.Fields = append(d.Fields, one("env."+f.name, be.AppendUint64(nil, f.v)))
		}
	}
	d.Fields = append(d.Fields, one("env.smbase", half(0x30000)), one("env.pat", make([]byte, 8)))
	return d
}

// SavedClock is the section of the clock, whose memory has where RAM lies.
func SavedClock(below, above uint64) SavedDevice {
	cmos := make(image, 128)
	kib := uint64(0xffff)
	if below < 64<<20 {
		kib = below>>10 - 1024
	}
	cmos.u16(0x30, uint16(min(kib, 0xffff)))
	if below > 16<<20 {
		cmos.u16(0x34, uint16((below-16<<20)>>16))
	}
	cmos.u16(0x5b, uint16(above>>16))
	cmos[0x5d] = byte(above >> 32)
	return SavedDevice{Name: "mc146818rtc", Version: 3, Fields: []SavedField{{Name: "cmos_data", Data: cmos}, {Name: "cmos_index", Data: []byte{0}}, {Name: "offset", Data: make([]byte, 8)}}}
}

// SavedBridge is the section of q35's host bridge, with its registers of what is
// read below 1 MiB.
func SavedBridge(pam [7]byte) SavedDevice {
	config := make([]byte, 4+256+16)
	copy(config[4+0x90:], pam[:])
	return SavedDevice{Name: "0000:00:00.0/mch", Version: 1, Fields: []SavedField{{Name: "parent_obj", Data: config}, {Name: "unused", Data: []byte{0}}}}
}

// AllRAM are the bridge's registers of a machine that runs an operating system.
var AllRAM = [7]byte{0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}

// SavedHead is libvirt's header with XML, the byte order's choice being the
// caller's, padded to a length.
func SavedHead(magic string, order binary.ByteOrder, version, format uint32, xml string, data int) []byte {
	p := make([]byte, 92+data)
	copy(p, magic)
	for i, v := range []uint32{version, uint32(data), 1, format, 0} {
		order.PutUint32(p[16+4*i:], v)
	}
	copy(p[92:], xml)
	return p
}

// SavedState is the same machine as a saved state: its loads as one block of memory
// from address 0 on, which is below 4 GiB.
func (e ELF) SavedState() SavedState {
	var size uint64
	for _, l := range e.Loads {
		size = max(size, uint64(l.PA)+uint64(len(l.Data)))
	}
	ram := make([]byte, (size+0xffff)&^0xffff)
	for _, l := range e.Loads {
		copy(ram[l.PA:], l.Data)
	}
	s := SavedState{Blocks: []SavedBlock{{"pc.ram", ram}}}
	s.Devices = append(s.Devices, SavedDevice{Name: "timer", Version: 2, Opaque: true, Fields: []SavedField{{Name: "", Data: make([]byte, 24)}}})
	for i, c := range e.CPUs {
		s.Devices = append(s.Devices, SavedDevice{Name: "cpu_common", Instance: uint32(i), Version: 1, Fields: []SavedField{{Name: "halted", Data: make([]byte, 4)}, {Name: "interrupt_request", Data: make([]byte, 4)}}},
			SavedCPU(i, c.State, 8))
	}
	s.Devices = append(s.Devices, SavedBridge(AllRAM), SavedClock(uint64(len(ram)), 0),
		SavedDevice{Name: "globalstate", Version: 1, Fields: []SavedField{{Name: "size", Data: []byte{0, 0, 0, 7}}, {Name: "runstate", Data: make([]byte, 100)}}})
	return s
}
