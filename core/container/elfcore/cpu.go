package elfcore

import (
	"slices"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
)

// status is what an NT_PRSTATUS says: the PID that QEMU derives from the CPU's
// index, and the general registers.
type status struct {
	pid   uint32
	state *cpu.State // nil: damaged, or of a processor that is not known
}

// blank is a CPU of which nothing is known. A core for 32 bits can be of a 64-bit
// guest, so that both kinds of x86 are read as x86-64.
func (f *statusForm) blank() *cpu.State {
	if f.arch == cpu.X86 {
		return cpu.New(cpu.X64)
	}
	return cpu.New(f.arch)
}

// parse reads a status that is not shorter than its registers.
func (f *statusForm) parse(raw []byte) status {
	s := status{pid: le.Uint32(raw[f.pid:]), state: f.blank()}
	f.registers.Load(s.state, raw)
	return s
}

// segmentLong is bit L of a code segment's descriptor: 64-bit code (Intel SDM
// volume 3, 3.4.5).
const segmentLong = 1 << 21

// longMode reports whether the CPU shows that its system is a 64-bit one: it
// runs 64-bit code, or its tables and addresses lie beyond 4 GiB. The note has
// no EFER.
func longMode(s *cpu.State) bool {
	if s.Segment(cpu.CS).Flags&segmentLong != 0 {
		return true
	}
	for _, r := range []cpu.Reg{cpu.RIP, cpu.RSP, cpu.CR3, cpu.IDTBase, cpu.GDTBase, cpu.TRBase, cpu.GSBase, cpu.KernelGSBase} {
		if s.Get(r)>>32 != 0 {
			return true
		}
	}
	return false
}

// doubt says whether a core for 32-bit x86 is of a 64-bit guest, which it is taken
// for: the machine is that of CPU 0's mode at that moment, in firmware, a boot
// loader, the moment after a reset, which memory survives. nil: the CPUs show it.
func doubt(cpus []machine.CPU) *fault.Error {
	if slices.ContainsFunc(cpus, func(c machine.CPU) bool { return longMode(c.State) }) {
		return nil
	}
	return fault.New(fault.UnsupportedCPU, "the guest's processors ran no 64-bit code, and no 64-bit kernel is in memory: the guest is 32-bit x86, or was in its firmware or boot loader").
		Instead(fault.Step{Text: "a 64-bit guest: take the core once more when it is up"},
			fault.Step{Text: "a 32-bit Windows guest with a vmcoreinfo device: QEMU writes its dump itself", Command: "dump-guest-memory -w vm.dmp"})
}

// parseState reads a QEMU CPU note of stateBytesOld bytes or more. The smaller
// of the record's own size and the descriptor's says whether KERNEL_GS_BASE is
// in it.
func parseState(raw []byte) *cpu.State {
	if le.Uint32(raw[stateSize:]) < uint32(stateLayout.Bytes) {
		raw = raw[:stateBytesOld]
	}
	s := cpu.New(cpu.X64)
	stateLayout.Load(s, raw)
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
			c.PID, c.State = n.statuses[i].pid, n.statuses[i].state
		}
		if i < len(n.states) && n.states[i] != nil {
			full := n.states[i]
			if c.State != nil && c.State.Known(cpu.OrigAX) { // the one register that only the status has
				full.Set(cpu.OrigAX, c.State.Get(cpu.OrigAX))
			}
			c.State = full
		}
		if c.State == nil && n.form != nil {
			c.State = n.form.blank()
		}
	}
	return list
}
