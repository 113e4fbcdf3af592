package windows

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// CONTEXT of x86-64 (winnt.h), and KSPECIAL_REGISTERS (public structure listings,
// checked on Windows 10 19041 dumps) as far as it is the same in every release. Of
// the latter are left out: what Windows alone knows, and the model-specific
// registers behind CR8, which it saves when it hibernates.
var (
	Context = cpu.Layout{Bytes: contextBytes, Fields: cpu.Join(
		cpu.At(0x034, 4, cpu.MXCSR),
		cpu.At(0x038, 2, cpu.CS, cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS),
		cpu.At(0x044, 4, cpu.RFLAGS),
		cpu.At(0x048, 8, cpu.DR0, cpu.DR1, cpu.DR2, cpu.DR3, cpu.DR6, cpu.DR7),
		cpu.At(0x078, 8, cpu.General...),
		cpu.At(0x0f8, 8, cpu.RIP),
		// XMM_SAVE_AREA32, which is FXSAVE's.
		cpu.At(0x100, 2, cpu.FCW, cpu.FSW), cpu.At(0x104, 1, cpu.FTW), cpu.At(0x118, 4, cpu.MXCSR),
		cpu.Each(0x120, 16, []cpu.Field{{Reg: 0, Off: 0, Bytes: 8}, {Reg: 1, Off: 8, Bytes: 2}}, cpu.Range(cpu.ST0, 8, 2)...),
		cpu.Each(0x1a0, 16, []cpu.Field{{Reg: 0, Off: 0, Bytes: 8}, {Reg: 1, Off: 8, Bytes: 8}}, cpu.Range(cpu.XMM0, 16, 2)...))}

	Special = cpu.Layout{Bytes: 0x78, Fields: cpu.Join(
		cpu.At(0x00, 8, cpu.CR0, cpu.CR2, cpu.CR3, cpu.CR4, cpu.DR0, cpu.DR1, cpu.DR2, cpu.DR3, cpu.DR6, cpu.DR7),
		cpu.At(0x56, 2, cpu.GDTLimit), cpu.At(0x58, 8, cpu.GDTBase), // KDESCRIPTOR: six bytes of padding
		cpu.At(0x66, 2, cpu.IDTLimit), cpu.At(0x68, 8, cpu.IDTBase),
		cpu.At(0x70, 2, cpu.TR, cpu.LDT), cpu.At(0x74, 4, cpu.MXCSR))}
)

// ContextFlags is the offset of CONTEXT's own word of what it holds, 32 bits, and
// the bits of that: the architecture, and the parts.
const (
	ContextFlags = 0x30

	ContextAMD64    = 0x100000
	ContextControl  = 0x01 // SS, RSP, CS, RIP, RFLAGS
	ContextInteger  = 0x02
	ContextSegments = 0x04 // DS, ES, FS, GS
	ContextFloating = 0x08
	ContextDebug    = 0x10
)

// arguments are the registers that hold a function's first parameters (Microsoft's
// x64 calling convention).
var arguments = [4]cpu.Reg{cpu.RCX, cpu.RDX, cpu.R8, cpu.R9}

// RecordOf takes a CONTEXT apart; nil: that is no whole one.
func RecordOf(p []byte) *Record {
	if len(p) < Context.Bytes {
		return nil
	}
	r := &Record{Raw: p, Flags: u32(p, ContextFlags), State: cpu.New(cpu.X64)}
	Context.Load(r.State, p)
	r.PC, r.SP = r.State.PC(), r.State.SP()
	for i, reg := range arguments {
		r.Args[i] = r.State.Get(reg)
	}
	return r
}

// Valid reports whether the record holds a processor's registers: its flags say
// that it is of this architecture and has the control registers, and RIP and RSP
// are addresses.
func (r *Record) Valid() bool {
	return r != nil && r.has(ContextControl) && r.PC != 0 && r.SP != 0 && canonical(r.PC) && canonical(r.SP)
}

// Whole reports whether the record is of this architecture and has the control and
// the integer registers.
func (r *Record) Whole() bool {
	return r != nil && r.has(ContextControl|ContextInteger) && r.PC != 0 && r.SP != 0
}

func (r *Record) has(parts uint32) bool {
	return r.Flags&(ContextAMD64|parts) == ContextAMD64|parts
}

// canonical reports whether an address is one in any paging mode.
func canonical(va uint64) bool { return paging.X64L5.Canonical(mem.VA(va)) }

// Integers reports whether the record holds the integer registers.
func (r *Record) Integers() bool { return r.Flags&ContextInteger != 0 }

// readRecord reads a context record and the page-table base saved beside it.
func readRecord(s *paging.Space, k KDBG, prcb, va mem.VA) *Record {
	p := make([]byte, Context.Bytes)
	if s.ReadAt(p, va) != nil {
		return nil
	}
	r := RecordOf(p)
	if off := k.SpecialRegisters(); off != 0 {
		root, _ := Special.Place(r.State.Arch.Root)
		r.Root, _ = s.Uint64(prcb + mem.VA(off) + mem.VA(root.Off))
	}
	return r
}
