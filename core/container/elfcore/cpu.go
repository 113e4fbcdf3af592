package elfcore

import "coredrop/core/machine"

// status is what an NT_PRSTATUS says: the PID that QEMU derives from the CPU's
// index, and the general registers.
type status struct {
	pid     uint32
	origRAX uint64
	regs    *machine.X64State // nil: damaged
}

// parseStatus reads statusBytes bytes.
func parseStatus(raw []byte) status {
	var w [statusWords]uint64
	for i := range w {
		w[i] = le.Uint64(raw[statusRegisters+8*i:])
	}
	selector := func(i int, base uint64) machine.Segment {
		return machine.Segment{Selector: uint32(w[i]), Base: base}
	}
	return status{
		pid:     le.Uint32(raw[statusPID:]),
		origRAX: w[15],
		regs: &machine.X64State{
			R15: w[0], R14: w[1], R13: w[2], R12: w[3], RBP: w[4], RBX: w[5],
			R11: w[6], R10: w[7], R9: w[8], R8: w[9], RAX: w[10], RCX: w[11],
			RDX: w[12], RSI: w[13], RDI: w[14], RIP: w[16], RFLAGS: w[18], RSP: w[19],
			CS: selector(17, 0), SS: selector(20, 0), DS: selector(23, 0), ES: selector(24, 0),
			FS: selector(25, w[21]), GS: selector(26, w[22]),
		},
	}
}

// parseStatus32 reads status32Bytes bytes, which a CPU outside long mode leaves.
func parseStatus32(raw []byte) status {
	var w [status32Words]uint64
	for i := range w {
		w[i] = uint64(le.Uint32(raw[status32Registers+4*i:]))
	}
	selector := func(i int) machine.Segment { return machine.Segment{Selector: uint32(w[i])} }
	return status{
		pid:     le.Uint32(raw[status32PID:]),
		origRAX: w[11],
		regs: &machine.X64State{
			RBX: w[0], RCX: w[1], RDX: w[2], RSI: w[3], RDI: w[4], RBP: w[5], RAX: w[6],
			DS: selector(7), ES: selector(8), FS: selector(9), GS: selector(10),
			RIP: w[12], CS: selector(13), RFLAGS: w[14], RSP: w[15], SS: selector(16),
		},
	}
}

// segmentLong is bit L of a code segment's descriptor: 64-bit code (Intel SDM
// volume 3, 3.4.5).
const segmentLong = 1 << 21

// longMode reports whether the CPU shows that its system is a 64-bit one: it
// runs 64-bit code, or its tables and addresses lie beyond 4 GiB. The note has
// no EFER.
func longMode(s *machine.X64State) bool {
	if s.CS.Flags&segmentLong != 0 {
		return true
	}
	for _, v := range []uint64{s.RIP, s.RSP, s.CR3, s.IDT.Base, s.GDT.Base, s.TR.Base, s.GS.Base, s.KernelGSBase} {
		if v>>32 != 0 {
			return true
		}
	}
	return false
}

// parseState reads a QEMU CPU note of stateBytesOld bytes or more. The smaller
// of the record's own size and the descriptor's says whether KERNEL_GS_BASE is
// in it; QEMU never raised the version.
func parseState(raw []byte) *machine.X64State {
	word := func(off int) uint64 { return le.Uint64(raw[off:]) }
	general := func(i int) uint64 { return word(stateGeneral + 8*i) }
	segment := func(i int) machine.Segment {
		p := raw[stateSegments+segmentBytes*i:]
		return machine.Segment{Selector: le.Uint32(p), Limit: le.Uint32(p[segmentLimit:]),
			Flags: le.Uint32(p[segmentFlags:]), Base: le.Uint64(p[segmentBase:])}
	}
	s := &machine.X64State{
		System: true,
		RAX:    general(0), RBX: general(1), RCX: general(2), RDX: general(3),
		RSI: general(4), RDI: general(5), RSP: general(6), RBP: general(7),
		R8: general(8), R9: general(9), R10: general(10), R11: general(11),
		R12: general(12), R13: general(13), R14: general(14), R15: general(15),
		RIP: general(16), RFLAGS: general(17),
		CS: segment(0), DS: segment(1), ES: segment(2), FS: segment(3), GS: segment(4),
		SS: segment(5), LDT: segment(6), TR: segment(7), GDT: segment(8), IDT: segment(9),
		CR0: word(stateCR0), CR2: word(stateCR2), CR3: word(stateCR3), CR4: word(stateCR4),
	}
	if len(raw) >= stateBytes && le.Uint32(raw[stateSize:]) >= stateBytes {
		s.KernelGSBase, s.HasKernelGSBase = word(stateKernelGSBase), true
	}
	return s
}

// cpus pairs the two kinds of notes by position. A CPU without a QEMU note has
// its general registers only.
func (n *notes) cpus() []machine.CPU {
	list := make([]machine.CPU, max(len(n.states), len(n.statuses)))
	for i := range list {
		c := &list[i]
		c.Index = i
		if i < len(n.statuses) {
			c.PID, c.OrigRAX, c.X64 = n.statuses[i].pid, n.statuses[i].origRAX, n.statuses[i].regs
		}
		if i < len(n.states) && n.states[i] != nil {
			c.X64 = n.states[i]
		}
		if _, other := others[n.machine]; c.X64 == nil && !other {
			c.X64 = &machine.X64State{}
		}
	}
	return list
}
