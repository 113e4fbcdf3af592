package synth

import (
	"coredrop/core/cpu"
	"coredrop/core/machine"
)

// Note makes one note record.
func Note(name string, kind uint32, desc []byte) []byte {
	n := append([]byte(name), 0)
	out := le.AppendUint32(nil, uint32(len(n)))
	out = le.AppendUint32(out, uint32(len(desc)))
	out = le.AppendUint32(out, kind)
	return pad4(append(pad4(append(out, n...)), desc...))
}

func pad4(p []byte) []byte {
	for len(p)%4 != 0 {
		p = append(p, 0)
	}
	return p
}

// notes lists the records in QEMU's order: statuses, CPU states, guest notes.
func (e *ELF) notes() (list [][]byte) {
	if !e.NoStatus {
		for _, c := range e.CPUs {
			list = append(list, Note("CORE", 1, status(c)))
		}
	}
	if !e.NoState {
		for i, c := range e.CPUs {
			s := state(c.State)
			if e.OldState {
				s = s[:0x1b0]
				s.u32(4, 0x1b0)
			}
			if size, ok := e.StateSize[i]; ok {
				s.u32(4, size)
			}
			list = append(list, Note("QEMU", 0, s))
		}
	}
	for _, n := range e.Guest {
		list = append(list, Note(n.Name, n.Type, n.Desc))
	}
	return list
}

// status is an NT_PRSTATUS of x86-64: 336 bytes.
func status(c machine.CPU) image {
	s, b := c.State, make(image, 336)
	b.u32(32, c.PID)
	for i, r := range []cpu.Reg{cpu.R15, cpu.R14, cpu.R13, cpu.R12, cpu.RBP, cpu.RBX, cpu.R11, cpu.R10, cpu.R9, cpu.R8, cpu.RAX, cpu.RCX,
		cpu.RDX, cpu.RSI, cpu.RDI, cpu.OrigAX, cpu.RIP, cpu.CS, cpu.RFLAGS, cpu.RSP, cpu.SS,
		cpu.FSBase, cpu.GSBase, cpu.DS, cpu.ES, cpu.FS, cpu.GS} {
		b.u64(112+8*i, s.Get(r))
	}
	return b
}

// segments are the segment registers in the order of a QEMUCPUState.
var segments = []cpu.Reg{cpu.CS, cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS, cpu.LDT, cpu.TR, cpu.GDT, cpu.IDT}

// state is a QEMUCPUState: 0x1b8 bytes.
func state(s *cpu.State) image {
	b := make(image, 0x1b8)
	b.u32(0, 1)
	b.u32(4, 0x1b8)
	for i, r := range []cpu.Reg{cpu.RAX, cpu.RBX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.RSP, cpu.RBP,
		cpu.R8, cpu.R9, cpu.R10, cpu.R11, cpu.R12, cpu.R13, cpu.R14, cpu.R15, cpu.RIP, cpu.RFLAGS} {
		b.u64(8+8*i, s.Get(r))
	}
	for i, r := range segments {
		g, at := s.Segment(r), 0x98+24*i
		b.u32(at, g.Selector)
		b.u32(at+4, g.Limit)
		b.u32(at+8, g.Flags)
		b.u64(at+16, g.Base)
	}
	b.u64(0x188, s.Get(cpu.CR0))
	b.u64(0x198, s.Get(cpu.CR2))
	b.u64(0x1a0, s.Get(cpu.CR3))
	b.u64(0x1a8, s.Get(cpu.CR4))
	b.u64(0x1b0, s.Get(cpu.KernelGSBase))
	return b
}
