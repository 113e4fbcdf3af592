package dmp

import (
	"encoding/binary"

	"coredrop/core/machine"
)

var le = binary.LittleEndian

// contextRecord makes the CONTEXT of a CPU. Both profiles write the same
// record: what a QEMU note does not hold (debug registers, x87, SSE) is zero
// and not claimed by ContextFlags.
func contextRecord(s *machine.X64State) []byte {
	c := make([]byte, contextBytes)
	le.PutUint32(c[offContextFlags:], contextFlags)
	le.PutUint32(c[offMxCsr:], mxcsrDefault)
	le.PutUint32(c[offFltMxCsr:], mxcsrDefault)
	for _, seg := range []struct {
		off int
		s   machine.Segment
	}{{offSegCs, s.CS}, {offSegDs, s.DS}, {offSegEs, s.ES}, {offSegFs, s.FS}, {offSegGs, s.GS}, {offSegSs, s.SS}} {
		le.PutUint16(c[seg.off:], uint16(seg.s.Selector))
	}
	le.PutUint32(c[offEFlags:], uint32(s.RFLAGS))
	// The record's order is the encoding's: ax cx dx bx sp bp si di 8…15, ip.
	for i, v := range []uint64{s.RAX, s.RCX, s.RDX, s.RBX, s.RSP, s.RBP, s.RSI, s.RDI,
		s.R8, s.R9, s.R10, s.R11, s.R12, s.R13, s.R14, s.R15, s.RIP} {
		le.PutUint64(c[offRax+8*i:], v)
	}
	return c
}

// Selectors of a 64-bit Windows kernel. Source: the GDT selectors that the
// debugger block lists.
const (
	selectorCode  = 0x10
	selectorStack = 0x18
	selectorData  = 0x2b
	selectorTEB   = 0x53
)

// minimalRecord makes the CONTEXT of a processor of which only the place is
// known, at which its thread was switched away from last; 0: not even that.
func minimalRecord(rip, rsp uint64) []byte {
	c := make([]byte, contextBytes)
	le.PutUint32(c[offContextFlags:], minimalFlags)
	le.PutUint32(c[offMxCsr:], mxcsrDefault)
	le.PutUint32(c[offFltMxCsr:], mxcsrDefault)
	for off, selector := range map[int]uint16{offSegCs: selectorCode, offSegSs: selectorStack, offSegDs: selectorData,
		offSegEs: selectorData, offSegFs: selectorTEB, offSegGs: selectorData} {
		le.PutUint16(c[off:], selector)
	}
	le.PutUint64(c[offRsp:], rsp)
	le.PutUint64(c[offRip:], rip)
	return c
}

// setSpecial puts what a QEMU note knows into a KSPECIAL_REGISTERS, so that a
// debugger's r cr3, !idt and !pcr tell the truth; the rest (debug registers,
// CR8, XCR0) stays as the guest saved it last.
func setSpecial(r []byte, s *machine.X64State) {
	le.PutUint64(r[offSpecialCr0:], s.CR0)
	le.PutUint64(r[offSpecialCr2:], s.CR2)
	le.PutUint64(r[offSpecialCr3:], s.CR3)
	le.PutUint64(r[offSpecialCr4:], s.CR4)
	le.PutUint16(r[offSpecialGdtrLimit:], uint16(s.GDT.Limit))
	le.PutUint64(r[offSpecialGdtrBase:], s.GDT.Base)
	le.PutUint16(r[offSpecialIdtrLimit:], uint16(s.IDT.Limit))
	le.PutUint64(r[offSpecialIdtrBase:], s.IDT.Base)
	le.PutUint16(r[offSpecialTr:], uint16(s.TR.Selector))
	le.PutUint16(r[offSpecialLdtr:], uint16(s.LDT.Selector))
}
