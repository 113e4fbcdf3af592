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
	windows.Context.Store(cpu.Of(cpu.X64, cpu.Values{cpu.MXCSR: mxcsrDefault}), c)
	windows.Context.Store(s, c)
	le.PutUint32(c[windows.ContextFlags:], flags)
	return c
}

// minimalRecord makes the CONTEXT of a processor of which only the place is
// known, at which its thread was switched away from last; 0: not even that. The
// selectors are those of a 64-bit Windows kernel, as the debugger block lists
// them.
func minimalRecord(rip, rsp uint64) []byte {
	const code, stack, data, teb = 0x10, 0x18, 0x2b, 0x53
	return record(cpu.Of(cpu.X64, cpu.Values{cpu.RIP: rip, cpu.RSP: rsp,
		cpu.CS: code, cpu.SS: stack, cpu.DS: data, cpu.ES: data, cpu.FS: teb, cpu.GS: data}), minimalFlags)
}
