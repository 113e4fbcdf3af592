package synth

import "coredrop/core/machine"

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
			s := state(c.X64)
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
	s, b := c.X64, make(image, 336)
	b.u32(32, c.PID)
	for i, v := range []uint64{s.R15, s.R14, s.R13, s.R12, s.RBP, s.RBX, s.R11, s.R10, s.R9, s.R8, s.RAX, s.RCX,
		s.RDX, s.RSI, s.RDI, c.OrigRAX, s.RIP, uint64(s.CS.Selector), s.RFLAGS, s.RSP, uint64(s.SS.Selector),
		s.FS.Base, s.GS.Base, uint64(s.DS.Selector), uint64(s.ES.Selector), uint64(s.FS.Selector), uint64(s.GS.Selector)} {
		b.u64(112+8*i, v)
	}
	return b
}

// state is a QEMUCPUState: 0x1b8 bytes.
func state(s *machine.X64State) image {
	b := make(image, 0x1b8)
	b.u32(0, 1)
	b.u32(4, 0x1b8)
	for i, v := range []uint64{s.RAX, s.RBX, s.RCX, s.RDX, s.RSI, s.RDI, s.RSP, s.RBP,
		s.R8, s.R9, s.R10, s.R11, s.R12, s.R13, s.R14, s.R15, s.RIP, s.RFLAGS} {
		b.u64(8+8*i, v)
	}
	for i, g := range []machine.Segment{s.CS, s.DS, s.ES, s.FS, s.GS, s.SS, s.LDT, s.TR, s.GDT, s.IDT} {
		at := 0x98 + 24*i
		b.u32(at, g.Selector)
		b.u32(at+4, g.Limit)
		b.u32(at+8, g.Flags)
		b.u64(at+16, g.Base)
	}
	b.u64(0x188, s.CR0)
	b.u64(0x198, s.CR2)
	b.u64(0x1a0, s.CR3)
	b.u64(0x1a8, s.CR4)
	b.u64(0x1b0, s.KernelGSBase)
	return b
}
