package dmp

import (
	"encoding/binary"

	"coredrop/core/cpu"
)

var le = binary.LittleEndian

// contextRecord makes the CONTEXT of a CPU. Both profiles write the same
// record: what a QEMU note does not hold (debug registers, x87, SSE) is zero
// and not claimed by ContextFlags.
func contextRecord(s *cpu.State) []byte {
	c := make([]byte, contextBytes)
	le.PutUint32(c[offContextFlags:], contextFlags)
	le.PutUint32(c[offMxCsr:], mxcsrDefault)
	le.PutUint32(c[offFltMxCsr:], mxcsrDefault)
	for _, seg := range []struct {
		off int
		s   cpu.Segment
	}{{offSegCs, s.Segment(cpu.CS)}, {offSegDs, s.Segment(cpu.DS)}, {offSegEs, s.Segment(cpu.ES)}, {offSegFs, s.Segment(cpu.FS)}, {offSegGs, s.Segment(cpu.GS)}, {offSegSs, s.Segment(cpu.SS)}} {
		le.PutUint16(c[seg.off:], uint16(seg.s.Selector))
	}
	le.PutUint32(c[offEFlags:], uint32(s.Get(cpu.RFLAGS)))
	// The record's order is the encoding's: ax cx dx bx sp bp si di 8…15, ip.
	for i, r := range cpu.General {
		le.PutUint64(c[offRax+8*i:], s.Get(r))
	}
	le.PutUint64(c[offRip:], s.PC())
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
func setSpecial(r []byte, s *cpu.State) {
	le.PutUint64(r[offSpecialCr0:], s.Get(cpu.CR0))
	le.PutUint64(r[offSpecialCr2:], s.Get(cpu.CR2))
	le.PutUint64(r[offSpecialCr3:], s.Get(cpu.CR3))
	le.PutUint64(r[offSpecialCr4:], s.Get(cpu.CR4))
	le.PutUint16(r[offSpecialGdtrLimit:], uint16(s.Segment(cpu.GDT).Limit))
	le.PutUint64(r[offSpecialGdtrBase:], s.Get(cpu.GDTBase))
	le.PutUint16(r[offSpecialIdtrLimit:], uint16(s.Segment(cpu.IDT).Limit))
	le.PutUint64(r[offSpecialIdtrBase:], s.Get(cpu.IDTBase))
	le.PutUint16(r[offSpecialTr:], uint16(s.Get(cpu.TR)))
	le.PutUint16(r[offSpecialLdtr:], uint16(s.Get(cpu.LDT)))
}
