package windows

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// Offsets in CONTEXT of x86-64. Source: winnt.h.
const (
	ctxFlags = 0x30 // u32
	ctxRcx   = 0x80
	ctxRdx   = 0x88
	ctxRsp   = 0x98
	ctxR8    = 0xb8
	ctxR9    = 0xc0
	ctxRip   = 0xf8

	ctxAMD64   = 0x100000 // bits of ContextFlags
	ctxControl = 0x1
	ctxInteger = 0x2
)

// specialCr3 is the offset of Cr3 in KSPECIAL_REGISTERS, on every x86-64
// release (public structure listings).
const specialCr3 = 0x10

// Valid reports whether the record holds a processor's registers: its flags say
// that it is of this architecture and has the control registers, and RIP and RSP
// are addresses.
func (r *Record) Valid() bool {
	return r != nil && r.Flags&(ctxAMD64|ctxControl) == ctxAMD64|ctxControl && r.PC != 0 && r.SP != 0 &&
		canonical(r.PC) && canonical(r.SP)
}

// canonical reports whether an address is one in any paging mode.
func canonical(va uint64) bool { return paging.X64L5.Canonical(mem.VA(va)) }

// Integers reports whether the record holds the integer registers.
func (r *Record) Integers() bool { return r.Flags&ctxInteger != 0 }

// readRecord reads a context record and the page-table base saved beside it.
func readRecord(s *paging.Space, k KDBG, prcb, va mem.VA) *Record {
	p := make([]byte, contextBytes)
	if s.ReadAt(p, va) != nil {
		return nil
	}
	r := &Record{Raw: p, Flags: u32(p, ctxFlags), PC: u64(p, ctxRip), SP: u64(p, ctxRsp),
		Args: [4]uint64{u64(p, ctxRcx), u64(p, ctxRdx), u64(p, ctxR8), u64(p, ctxR9)}}
	if off := k.SpecialRegisters(); off != 0 {
		r.Root, _ = s.Uint64(prcb + mem.VA(off) + specialCr3)
	}
	return r
}
