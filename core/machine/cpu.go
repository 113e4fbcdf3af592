package machine

import "coredrop/core/cpu"

// CPU is one virtual CPU at the moment of the dump. Containers list CPUs in the
// order of QEMU's cpu_index; the notes themselves carry no index.
type CPU struct {
	Index int
	PID   uint32     // pr_pid of NT_PRSTATUS (index + 1 from QEMU); 0: no such note
	State *cpu.State // nil: the file has no registers of it
}
