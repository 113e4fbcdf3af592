package windows

import (
	"errors"
	"fmt"

	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// Record is a processor's CONTEXT as the guest's memory holds it: what Windows
// itself saved last.
type Record struct {
	Raw    []byte // the whole record
	Flags  uint32
	State  *cpu.State // as the record has it, whatever its flags say
	PC, SP uint64
	Args   [4]uint64 // the registers that hold a function's first parameters
	Root   uint64    // page-table base, of the special registers saved beside it; 0: not known
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
