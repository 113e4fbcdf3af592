package dmp

import (
	"encoding/binary"

	"coredrop/core/cpu"
	"coredrop/core/windows"
)

var le = binary.LittleEndian

// What a CONTEXT claims: of a CPU control, integer and segments; of a processor of
// which only the place is known no integers.
const (
	minimalFlags = windows.ContextAMD64 | windows.ContextControl | windows.ContextSegments
	contextFlags = minimalFlags | windows.ContextInteger
)

// mxcsrDefault is the state after FNINIT: what an MXCSR that is not known is given,
// in both places, which kdmp-parser wants to be equal.
const mxcsrDefault = 0x1f80

// contextRecord makes the CONTEXT of a CPU. Both profiles write the same record:
// what is not known of the CPU is zero and not claimed by ContextFlags. A core's
// notes hold no debug registers, x87 or SSE; a saved state does.
func contextRecord(s *cpu.State) []byte {
	flags := uint32(contextFlags)
	if s.Known(cpu.FCW) && s.Known(cpu.XMM0) {
		flags |= windows.ContextFloating
	}
	if s.Known(cpu.DR7) {
		flags |= windows.ContextDebug
	}
	return record(s, flags)
}

func record(s *cpu.State, flags uint32) []byte {
	c := make([]byte, windows.Context.Bytes)
	full := *s
	if !full.Known(cpu.MXCSR) {
		full.Set(cpu.MXCSR, mxcsrDefault)
	}
	windows.Context.Store(&full, c)
	le.PutUint32(c[windows.ContextFlags:], flags)
	return c
}

// minimalRecord makes the CONTEXT of a processor of which only the place is
// known, at which its thread was switched away from last; 0: not even that. The
// selectors are those of a 64-bit Windows kernel, as the debugger block lists
// them.
func minimalRecord(rip, rsp uint64) []byte {
	const code, stack, data, teb = 0x10, 0x18, 0x2b, 0x53
	s := cpu.New(cpu.X64)
	s.Set(cpu.RIP, rip)
	s.Set(cpu.RSP, rsp)
	for i, r := range []cpu.Reg{cpu.CS, cpu.SS, cpu.DS, cpu.ES, cpu.FS, cpu.GS} {
		s.Set(r, []uint64{code, stack, data, data, teb, data}[i])
	}
	return record(s, minimalFlags)
}
