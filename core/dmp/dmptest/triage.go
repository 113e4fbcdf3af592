package dmptest

import "fmt"

// Block is a data block of a triage dump.
type Block struct {
	VA           uint64
	Offset, Size uint32
}

// field reads a 32-bit field of the block behind a triage dump's header.
func (d *Dump) field(off int) int64 { return int64(le.Uint32(d.Triage[off:])) }

// At reads n bytes of the dump at a file offset; nil where it has none.
func (d *Dump) At(off, n int64) []byte {
	if off < 0 || n < 0 || off+n > d.size {
		return nil
	}
	p := make([]byte, n)
	if _, err := d.r.ReadAt(p, off); err != nil {
		return nil
	}
	return p
}

// triage reads TRIAGE_DUMP64 and the list of data blocks, and insists on what does
// not change from one dump to the next.
func (d *Dump) triage() error {
	if d.Triage = d.At(0x2000, 0x80); d.Triage == nil {
		return fmt.Errorf("%d bytes", d.size)
	}
	for off, want := range map[int]int64{
		0x00: 0, 0x04: d.size, 0x08: d.size - 4, 0x0c: 0x348, 0x10: 0xf00, 0x14: 0x2080, 0x18: 0x20d0, 0x40: 0, 0x44: 0xffffffff,
		0x50: 0, 0x54: 0, 0x58: 0, 0x5c: 0, 0x60: 0, 0x64: 0, 0x68: 0, 0x6c: 0,
	} {
		if got := d.field(off); got != want {
			return fmt.Errorf("triage block +%#x: %#x, want %#x", off, got, want)
		}
	}
	if string(d.At(d.size-4, 4)) != "TRGD" || d.U64(0xfa0) != uint64(d.size) || d.U32(0x1038) != 0xcff {
		return fmt.Errorf("ends with %q, size %#x in the header, fields %#x", d.At(d.size-4, 4), d.U64(0xfa0), d.U32(0x1038))
	}
	n := d.field(0x7c)
	list := d.At(d.field(0x78), 16*n)
	if list == nil {
		return fmt.Errorf("%d data blocks at %#x", n, d.field(0x78))
	}
	for ; len(list) > 0; list = list[16:] {
		b := Block{le.Uint64(list), le.Uint32(list[8:]), le.Uint32(list[12:])}
		if b.Size == 0 || d.At(int64(b.Offset), int64(b.Size)) == nil || b.Offset < 0x20d8 {
			return fmt.Errorf("data block %#x: %#x bytes at %#x", b.VA, b.Size, b.Offset)
		}
		d.Blocks = append(d.Blocks, b)
	}
	return nil
}

// fromBlocks fills p with memory at a virtual address.
func (d *Dump) fromBlocks(p []byte, va uint64) error {
next:
	for len(p) > 0 {
		for _, b := range d.Blocks {
			if va >= b.VA && va-b.VA < uint64(b.Size) {
				n := min(uint64(len(p)), uint64(b.Size)-(va-b.VA))
				copy(p[:n], d.At(int64(b.Offset)+int64(va-b.VA), int64(n)))
				p, va = p[n:], va+n
				continue next
			}
		}
		return fmt.Errorf("%#x is in no data block", va)
	}
	return nil
}

// OwnPrcb, OwnProcess and OwnThread are the first n bytes of what the dump has of
// the processor that it opens on in places of their own; OwnKDBG is the debugger
// block.
func (d *Dump) OwnPrcb(n int64) []byte    { return d.At(d.field(0x1c), n) }
func (d *Dump) OwnProcess(n int64) []byte { return d.At(d.field(0x20), n) }
func (d *Dump) OwnThread(n int64) []byte  { return d.At(d.field(0x24), n) }
func (d *Dump) OwnKDBG() []byte           { return d.At(d.field(0x70), d.field(0x74)) }

// CallStack is the stack of that processor, and where its first byte was.
func (d *Dump) CallStack() (top uint64, stack []byte) {
	return le.Uint64(d.Triage[0x48:]), d.At(d.field(0x28), d.field(0x2c))
}

// Driver is an entry of a triage dump's list of modules.
type Driver struct {
	Module
	CheckSum, TimeStamp uint32
	Exceptions          uint64
	ExceptionBytes      uint32
}

// Drivers reads the list of modules with their names.
func (d *Dump) Drivers() (list []Driver, err error) {
	for i := range d.field(0x34) {
		e := d.At(d.field(0x30)+0x90*i, 0x90)
		if e == nil {
			return list, fmt.Errorf("entry %d is not there", i)
		}
		at := int64(le.Uint32(e))
		n := d.At(at, 4)
		if n == nil || at%8 != 0 || at < d.field(0x38) {
			return list, fmt.Errorf("entry %d: its name at %#x", i, at)
		}
		bytes := 2 * int64(le.Uint32(n))
		text := d.At(at+4, bytes+2)
		if text == nil || text[bytes] != 0 || text[bytes+1] != 0 || at+4+bytes+2 > d.field(0x38)+d.field(0x3c) {
			return list, fmt.Errorf("entry %d: its name has %d bytes", i, bytes)
		}
		list = append(list, Driver{Module{ascii(text[:bytes]), le.Uint64(e[0x38:]), le.Uint32(e[0x48:])},
			le.Uint32(e[0x80:]), le.Uint32(e[0x88:]),
			le.Uint64(e[0x18:]), le.Uint32(e[0x20:])})
	}
	return list, nil
}

// Unloaded is an entry of a triage dump's list of unloaded drivers.
type Unloaded struct {
	Name       string // as far as twelve characters
	Start, End uint64
}

// UnloadedDrivers reads that list.
func (d *Dump) UnloadedDrivers() (list []Unloaded) {
	n := d.At(0x20d0, 8)
	for i := range int64(le.Uint64(n)) {
		e := d.At(0x20d8+0x38*i, 0x38)
		length := min(24, le.Uint16(e))
		list = append(list, Unloaded{ascii(e[0x10 : 0x10+length]), le.Uint64(e[0x28:]), le.Uint64(e[0x30:])})
	}
	return list
}

func ascii(p []byte) string {
	var s []byte
	for i := 0; i+1 < len(p); i += 2 {
		s = append(s, p[i])
	}
	return string(s)
}
