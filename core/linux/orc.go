package linux

import "sort"

// struct orc_entry, arch/x86/include/asm/orc_types.h: two signed offsets and a
// half-word of fields: sp_reg:4 bp_reg:4 type:2 end:1 up to 6.3, type:3 signal:1
// from 6.4 on.
const (
	orcEntrySize = 6
	orcIPSize    = 4 // an entry of the address table, relative to itself

	maxOrc = 16 << 20
)

// orcReg is a register that an entry may name (ORC_REG_…), in one numbering for
// all releases.
type orcReg uint8

const (
	orcUndefined orcReg = iota
	orcAX
	orcDX
	orcDI
	orcSP
	orcBP
	orcR10
	orcR13
	orcPrevSP
	orcSPIndirect
	orcBPIndirect
)

// orcNumbers are the releases' own numberings: up to 7.1, and from 7.2 on.
var orcNumbers = [][16]orcReg{
	{orcUndefined, orcPrevSP, orcDX, orcDI, orcBP, orcSP, orcR10, orcR13, orcBPIndirect, orcSPIndirect},
	{orcUndefined, orcAX, orcDX, orcSP, orcBP, orcDI, orcR10, orcR13, orcPrevSP, orcSPIndirect, orcBPIndirect},
}

// orcKind is what lies on the stack, in one numbering for both formats.
type orcKind uint8

const (
	orcEnd         orcKind = iota // nothing more
	orcCall                       // a return address
	orcRegs                       // struct pt_regs
	orcRegsPartial                // the part of it that the CPU pushed
)

// orcEntry is an entry, decoded.
type orcEntry struct {
	spOffset, bpOffset int16
	spReg, bpReg       orcReg
	kind               orcKind
	signal             bool // the address that it leads to is not behind a call
}

// orcFormat is how the entries of a kernel are to be read.
type orcFormat struct {
	types3  bool // the types of 6.4 and later
	numbers *[16]orcReg
}

// orcTable is one pair of arrays: the kernel's or a module's.
type orcTable struct {
	v       view
	ip, orc uint64
	count   uint32
	orcFormat
}

// orcSamples is how many entries are looked at before a table is believed.
const orcSamples = 256

// openOrc checks a pair of arrays: the addresses must ascend, as far as samples
// tell. format is nil for the kernel's own table, which tells it, see tell.
func openOrc(v view, ip, orc uint64, count uint64, format *orcFormat) (*orcTable, bool) {
	if count == 0 || count > maxOrc {
		return nil, false
	}
	t := &orcTable{v: v, ip: ip, orc: orc, count: uint32(count)}
	n := min(orcSamples, count)
	var last uint64
	entries := make([][]byte, n)
	for i := range n {
		at := uint32(i * (count - 1) / max(n-1, 1))
		a, ok := t.addr(at)
		e, ok2 := v.bytes(orc+uint64(at)*orcEntrySize, orcEntrySize)
		if !ok || !ok2 || a < last || a < kernelMap {
			return nil, false
		}
		last, entries[i] = a, e
	}
	if format != nil {
		t.orcFormat = *format
	} else {
		t.tell(entries)
	}
	return t, true
}

// tell finds the format of entries: nearly all of them are of type call, which is
// 0 in the older and 2 in the newer numbering, and nearly all find the frame by
// the stack pointer.
func (t *orcTable) tell(entries [][]byte) {
	var types [8]int
	var regs [16]int
	for _, e := range entries {
		types[e[5]&7]++
		regs[e[4]&15]++
	}
	t.types3 = types[2] > types[0]
	best := -1
	for i := range orcNumbers {
		for n, r := range orcNumbers[i] {
			if r == orcSP && regs[n] > best {
				t.numbers, best = &orcNumbers[i], regs[n]
			}
		}
	}
}

// addr is the code address that entry i begins to apply to.
func (t *orcTable) addr(i uint32) (uint64, bool) {
	at := t.ip + uint64(i)*orcIPSize
	x, ok := t.v.u32(at)
	return at + uint64(int64(int32(x))), ok
}

// find gives the entry that applies to a code address.
func (t *orcTable) find(pc uint64) (orcEntry, bool) {
	n := sort.Search(int(t.count), func(i int) bool {
		a, ok := t.addr(uint32(i))
		return !ok || a > pc
	})
	if n == 0 {
		return orcEntry{}, false
	}
	p, ok := t.v.bytes(t.orc+uint64(n-1)*orcEntrySize, orcEntrySize)
	if !ok {
		return orcEntry{}, false
	}
	return decodeOrc(p, t.orcFormat)
}

// decodeOrc reads the six bytes of an entry; false for what has no meaning.
func decodeOrc(p []byte, f orcFormat) (orcEntry, bool) {
	if len(p) < orcEntrySize || f.numbers == nil {
		return orcEntry{}, false
	}
	e := orcEntry{
		spOffset: int16(uint16(p[0]) | uint16(p[1])<<8),
		bpOffset: int16(uint16(p[2]) | uint16(p[3])<<8),
		spReg:    f.numbers[p[4]&15], bpReg: f.numbers[p[4]>>4],
	}
	if f.types3 {
		switch p[5] & 7 {
		case 0:
			return e, false // UNDEFINED
		case 1:
			e.kind = orcEnd
		case 2:
			e.kind = orcCall
		case 3:
			e.kind = orcRegs
		case 4:
			e.kind = orcRegsPartial
		default:
			return e, false
		}
		e.signal = p[5]&8 != 0
		return e, true
	}
	switch p[5] & 3 {
	case 0, 3: // CALL; FUNC is only used while building
		e.kind = orcCall
	case 1:
		e.kind, e.signal = orcRegs, true
	case 2:
		e.kind, e.signal = orcRegsPartial, true
	}
	if p[5]&4 != 0 || e.spReg == orcUndefined {
		e.kind = orcEnd
	}
	return e, true
}

// orcTables are all tables of a kernel; nil tables where there are none.
type orcTables struct {
	kernel  *orcTable
	modules map[uint64]*orcTable // by address of struct module
}

// orcFor finds the table for a code address.
func (k *Kernel) orcFor(pc uint64) *orcTable {
	kernel := k.kernelOrc()
	m := k.moduleAt(pc)
	if m == nil {
		return kernel
	}
	t, ok := k.orc.modules[m.Addr]
	if !ok {
		t, _ = openOrc(k.view, m.orcIP, m.orc, uint64(m.orcCount), k.orcFormat())
		k.orc.modules[m.Addr] = t
	}
	return t
}

// kernelOrc opens the kernel's own table once; nil where there is none.
func (k *Kernel) kernelOrc() *orcTable {
	if k.orc != nil {
		return k.orc.kernel
	}
	k.orc = &orcTables{modules: map[uint64]*orcTable{}}
	ip, ok1 := k.Symbols.Lookup("__start_orc_unwind_ip")
	orc, ok2 := k.Symbols.Lookup("__start_orc_unwind")
	if !ok1 || !ok2 {
		return nil
	}
	end, ok := k.Symbols.Lookup("__stop_orc_unwind_ip")
	if !ok || end <= ip {
		end = orc // the arrays are neighbours
	}
	if end > ip {
		k.orc.kernel, _ = openOrc(k.view, ip, orc, (end-ip)/orcIPSize, nil)
	}
	return k.orc.kernel
}

// orcFormat is the kernel's, which its modules share: a module's table is too
// small to tell.
func (k *Kernel) orcFormat() *orcFormat {
	if t := k.kernelOrc(); t != nil {
		return &t.orcFormat
	}
	return nil
}
