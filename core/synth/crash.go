package synth

import "coredrop/core/cpu"

// crash puts the guest into its bug check: the crasher inside KeBugCheckEx, or
// where that went on, and the others where they are or wait.
func (g *Editor) crash() {
	b := g.opts.BugCheck
	if b == nil {
		return
	}
	for i, mode := range g.opts.CPUs {
		if mode == Reset || i == g.opts.BugCheckCPU {
			continue
		}
		if b.Frozen {
			g.freeze(g.cpus[i].State, mode, g.processor(i))
		}
	}
	g.bugCheckState(g.cpus[g.opts.BugCheckCPU].State, b, g.processor(g.opts.BugCheckCPU))
}

// freeze stops a CPU for a bug check: its record holds what it did, and where it
// is in Windows it waits with interrupts off.
func (g *Editor) freeze(s *cpu.State, mode Mode, p int) {
	record := Saved{Flags: 0x10001f, RIP: g.Sym("PoIdle") + 1, RSP: g.Stack(p) + frameAt + 0x408, RAX: uint64(p) + 0x1000, CS: 0x10, EFlags: 0x246,
		CR3: uint64(g.Truth.SystemDTB)}
	if mode < Reset {
		record.RIP, record.RSP, record.CR3, record.CS = s.Get(cpu.RIP), s.Get(cpu.RSP), s.Get(cpu.CR3), uint16(s.Get(cpu.CS))
		if mode == User {
			s.Set(cpu.CR3, uint64(g.Truth.ProcessDTB))
			s.SetAll(cpu.Values{cpu.GSBase: s.Get(cpu.KernelGSBase), cpu.KernelGSBase: s.Get(cpu.GSBase)})
		}
		s.SetSegment(cpu.CS, codeSegment)
		s.SetSegment(cpu.SS, stackSegment)
		s.SetAll(cpu.Values{cpu.RFLAGS: 2, cpu.RIP: g.Sym("KiFreezeTargetExecution") + 0x12, cpu.RSP: g.Stack(p) + 0x3000})
	}
	g.SaveRecord(p, record)
}

// bugCheckState is a CPU inside KeBugCheckEx: interrupts off, the arguments on
// its stack above the return address, and in its record.
func (g *Editor) bugCheckState(s *cpu.State, b *BugCheck, p int) {
	call := g.Call(p)
	if g.opts.CPUs[g.opts.BugCheckCPU] < Reset {
		s.SetSegment(cpu.CS, codeSegment)
		s.SetSegment(cpu.SS, stackSegment)
		s.Set(cpu.RFLAGS, 0x46)
		if g.opts.CPUs[g.opts.BugCheckCPU] == User {
			s.Set(cpu.CR3, uint64(g.Truth.ProcessDTB))
		}
		s.SetAll(cpu.Values{cpu.GSBase: g.Truth.KPCR[p], cpu.KernelGSBase: 0, cpu.RIP: g.Sym("KeBugCheckEx") + 0x20, cpu.RSP: call.RSP - 0x38,
			cpu.RCX: call.RCX, cpu.RDX: call.RDX, cpu.R8: call.R8, cpu.R9: call.R9})
		if b.InDriver {
			s.SetAll(cpu.Values{cpu.RIP: dumpDriverAt + 0x1012, cpu.RSP: call.RSP - 0x500, cpu.RCX: 3})
		}
	}
	if !b.NoFrame {
		g.WriteFrame(p)
	}
	switch b.Record {
	case RecordFresh:
		g.SaveRecord(p, call)
	case RecordStale:
		call.RDX, call.R8 = call.RDX+0x1000, call.R8^1
		g.SaveRecord(p, call)
	}
}

// WriteFrame puts the frame of the call on a processor's stack: the return
// address, the parameters' home, the fifth parameter.
func (g *Editor) WriteFrame(p int) {
	call, b := g.Call(p), g.opts.BugCheck
	fourth := b.Parameters[3]
	if b.CalledWith != nil {
		fourth = b.CalledWith[3]
	}
	for i, v := range []uint64{driverAt + 0x1319, call.RCX, call.RDX, call.R8, call.R9, fourth} {
		g.Write64(call.RSP+uint64(8*i), v)
	}
}

// Call is what KeBugCheckEx saves of its own call on a processor.
func (g *Editor) Call(p int) Saved {
	b := g.opts.BugCheck
	parameters := b.Parameters
	if b.CalledWith != nil {
		parameters = *b.CalledWith
	}
	cr3 := uint64(g.Truth.SystemDTB)
	for i, mode := range g.opts.CPUs {
		if g.processor(i) == p && (mode == Process || mode == User) {
			cr3 = uint64(g.Truth.ProcessDTB)
		}
	}
	return Saved{Flags: 0x10000f, RIP: g.Sym("KeBugCheckEx"), RSP: g.Stack(p) + frameAt + 0x108, RCX: or(b.Called, b.Code), RDX: parameters[0],
		R8: parameters[1], R9: parameters[2], CS: 0x10, EFlags: 0x82, CR2: parameters[0], CR3: cr3}
}
