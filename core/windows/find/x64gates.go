package find

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// gate gives the handler of an interrupt gate of a CPU whose table has it. One
// without paging has a table of another kind, or none.
func (f *finder) gate(s *paging.Space, n, number int) (mem.VA, bool) {
	x := f.m.CPUs[n].State
	if x == nil || !x.System() || !x.Paging() || x.Get(cpu.IDTLimit) < uint64(gateBytes*(number+1)-1) {
		return 0, false
	}
	return f.readGate(s, n, number)
}

// readGate reads an interrupt gate of a CPU, wherever its table ends.
func (f *finder) readGate(s *paging.Space, n, number int) (mem.VA, bool) {
	x := f.m.CPUs[n].State
	if number == 0 {
		f.idts++
	}
	var g [gateBytes]byte
	at := mem.VA(x.Vectors()) + mem.VA(gateBytes*number)
	if err := s.ReadAt(g[:], at); err != nil {
		if number == 0 {
			f.logf("cpu %d: interrupt table at %#x: %v", n, x.Vectors(), err)
		}
		return 0, false
	}
	va := mem.VA(u16(g[:], 0)) | mem.VA(u16(g[:], 6))<<16 | mem.VA(u32(g[:], 8))<<32
	if number == 0 {
		f.logf("cpu %d: interrupt table at %#x, gate 0 leads to %v", n, x.Vectors(), va)
	}
	if !s.Mode.Kernel(va) {
		return 0, false
	}
	f.gates++
	return va, true
}
