package dmptest

import "encoding/binary"

var le = binary.LittleEndian

// Processors is how many the header says there are.
func (d *Dump) Processors() uint32 { return d.U32(0x34) }

// Root is the header's page-table base.
func (d *Dump) Root() uint64 { return d.U64(0x10) }

// BugCheck is the header's code and its parameters.
func (d *Dump) BugCheck() (code uint32, parameters [4]uint64) {
	for i := range parameters {
		parameters[i] = d.U64(0x40 + 8*i)
	}
	return d.U32(0x38), parameters
}

// Exception is the header's exception record, as far as it is set.
func (d *Dump) Exception() (code, flags uint32, address uint64) {
	return d.U32(0xf00), d.U32(0xf04), d.U64(0xf10)
}

// Opens is the context record in the header, and what lies behind it up to the
// exception record.
func (d *Dump) Opens() (record, rest []byte) { return d.Header[0x348:0x818], d.Header[0x818:0xf00] }

// Bitmap is the signature of a bitmap dump's bitmap.
func (d *Dump) Bitmap() string { return string(d.At(0x2000, 8)) }

// Special reads the control registers that are saved beside a processor's record:
// CR0, CR2, CR3 and CR4.
func (d *Dump) Special(processor int) (r [4]uint64) {
	p := d.Bytes(d.Prcb(processor)+uint64(le.Uint16(d.KDBG()[0x2f2:])), 0x20)
	for i := 0; p != nil && i < len(r); i++ {
		r[i] = le.Uint64(p[8*i:])
	}
	return r
}

// Place is where a processor stands.
type Place struct {
	Flags    uint32
	RIP, RSP uint64
}

// PlaceOf is the place that a context record says.
func PlaceOf(record []byte) Place {
	return Place{le.Uint32(record[0x30:]), le.Uint64(record[0xf8:]), le.Uint64(record[0x98:])}
}

// Arguments are the registers of a context record that hold a function's first
// parameters: RCX, RDX, R8, R9.
func Arguments(record []byte) [4]uint64 {
	return [4]uint64{le.Uint64(record[0x80:]), le.Uint64(record[0x88:]), le.Uint64(record[0xb8:]), le.Uint64(record[0xc0:])}
}
