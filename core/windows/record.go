package windows

import (
	"errors"
	"fmt"

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

// Record is a processor's CONTEXT as the guest's memory holds it: what Windows
// itself saved last.
type Record struct {
	Raw                        []byte // 0x4d0 bytes
	Flags                      uint32
	RCX, RDX, R8, R9, RSP, RIP uint64
	CR3                        uint64 // of the special registers saved beside it; 0: not known
}

// Valid reports whether the record holds a processor's registers: its flags say
// that it is of this architecture and has the control registers, and RIP and RSP
// are addresses.
func (r *Record) Valid() bool {
	return r != nil && r.Flags&(ctxAMD64|ctxControl) == ctxAMD64|ctxControl && r.RIP != 0 && r.RSP != 0 &&
		canonical(r.RIP) && canonical(r.RSP)
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
	r := &Record{Raw: p, Flags: u32(p, ctxFlags), RCX: u64(p, ctxRcx), RDX: u64(p, ctxRdx), R8: u64(p, ctxR8), R9: u64(p, ctxR9),
		RSP: u64(p, ctxRsp), RIP: u64(p, ctxRip)}
	if off := k.SpecialRegisters(); off != 0 {
		r.CR3, _ = s.Uint64(prcb + mem.VA(off) + specialCr3)
	}
	return r
}

var (
	errNoContext = errors.New("no context record is allocated")
	errNoOffset  = errors.New("the debugger block does not say where the context record is")
)

// contextOf gives the address of a processor's context record and checks that
// all of it is mapped. Windows 7 and later keep a pointer in the KPRCB, earlier
// releases the record itself (upstream elf2dmp and
// QEMU win_dump.c use the pointer).
func contextOf(s *paging.Space, prcb mem.VA, k KDBG) (mem.VA, error) {
	off, inside := k.PrcbContext(), k.ProcStateContext()
	if off == 0 && inside == 0 {
		return 0, errNoOffset
	}
	va := prcb + mem.VA(inside)
	if off != 0 {
		p, err := s.Uint64(prcb + mem.VA(off))
		if err != nil {
			return 0, err
		}
		if p == 0 {
			return 0, errNoContext
		}
		va = mem.VA(p)
	}
	if !s.Mode.Kernel(va) {
		return 0, fmt.Errorf("context record at %v: %w", va, paging.ErrMalformed)
	}
	var p [contextBytes]byte
	if err := s.ReadAt(p[:], va); err != nil {
		return 0, err
	}
	return va, nil
}
