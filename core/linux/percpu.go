package linux

import (
	"strings"

	"coredrop/core/cpu"
)

// PerCPU is the base of a CPU's own data: GS while it runs the kernel, else what
// SWAPGS will load. Where the core has no such registers (a copied /proc/vmcore)
// the kernel's own table tells it: CPU numbers are then taken to be the core's. It
// is 0 when it is not known.
func (k *Kernel) PerCPU(n int) uint64 {
	x := k.state(n)
	if x == nil {
		return 0
	}
	if x.System() {
		for _, base := range []uint64{x.Get(cpu.GSBase), x.Get(cpu.KernelGSBase)} {
			if base >= kernelHalf {
				return base
			}
		}
	}
	if table, ok := k.Symbols.Lookup("__per_cpu_offset"); ok {
		if base, ok := k.view.u64(table + 8*uint64(n)); ok && base >= kernelHalf {
			return base
		}
	}
	return 0
}

// state is what is known of a CPU's registers; nil: nothing.
func (k *Kernel) state(n int) *cpu.State {
	if n < 0 || n >= len(k.Machine.CPUs) {
		return nil
	}
	return k.Machine.CPUs[n].State
}

// currentNames are the per-CPU variables that have it, or begin with it.
var currentNames = []string{"current_task", "pcpu_hot"}

// Current is the task that a CPU runs: the per-CPU variable current_task (also
// the first member of pcpu_hot, 6.2 to 6.14).
func (k *Kernel) Current(cpu int) (Task, bool) {
	base := k.PerCPU(cpu)
	if base == 0 {
		return Task{}, false
	}
	for _, name := range currentNames {
		if off, ok := k.Symbols.Lookup(name); ok {
			if p, ok := k.view.u64(base + off); ok {
				if t, ok := k.TaskAt(p); ok {
					return t, true
				}
			}
		}
	}
	return k.currentByCode(cpu)
}

// currentReaders are functions that read current in every configuration.
var currentReaders = []string{"kthread_should_stop", "__might_sleep", "schedule", "kcsan_setup_watchpoint", "get_task_comm"}

// loadGS are the encodings of mov %gs:disp32,%reg64 up to the register's byte.
const (
	prefixGS = 0x65
	rexW     = 0x48
	movLoad  = 0x8b
)

// currentByCode is for kernels without data symbols: code loads current from
// %gs:disp32. The displacement is right when, for every CPU, one and the same
// distance from what it leads to has a task's name.
func (k *Kernel) currentByCode(cpu int) (Task, bool) {
	t := k.taskOffsets()
	if !t.ok {
		return Task{}, false
	}
	if t.base == 0 {
		for _, fn := range currentReaders {
			for _, disp := range k.gsLoads(fn) {
				if d, ok := k.commDistance(disp); ok {
					t.base, k.currentDisp = d, disp
					break
				}
			}
			if t.base != 0 {
				break
			}
		}
	}
	if t.base == 0 || k.currentDisp == 0 {
		return Task{}, false
	}
	p, ok := k.view.u64(k.PerCPU(cpu) + k.currentDisp)
	if !ok {
		return Task{}, false
	}
	return k.TaskAt(p)
}

// gsLoads lists the displacements that a function's code loads from behind GS.
func (k *Kernel) gsLoads(fn string) []uint64 {
	f, ok := k.Symbols.Function(fn)
	if !ok {
		return nil
	}
	code := k.view.prefix(f.Addr, int(min(f.Size, 4096)))
	var out []uint64
	for i := 0; i+9 <= len(code); i++ {
		if code[i] != prefixGS || code[i+1]&^4 != rexW || code[i+2] != movLoad {
			continue
		}
		switch modrm := code[i+3]; {
		case modrm&0xc7 == 4 && code[i+4] == 0x25: // absolute
			out = append(out, uint64(int64(int32(le32(code, i+5)))))
		case modrm&0xc7 == 5: // relative to RIP
			out = append(out, f.Addr+uint64(i)+8+uint64(int64(int32(le32(code, i+4)))))
		}
	}
	return out
}

// commDistance finds the distance from current to its name that fits all CPUs.
func (k *Kernel) commDistance(disp uint64) (uint64, bool) {
	tasks, _, err := k.Tasks()
	if err != nil {
		return 0, false
	}
	known := map[uint64]bool{k.tasks.idle: true}
	for _, t := range tasks {
		known[t.comm] = true
	}
	for d := uint64(8); d < taskReach; d += 8 {
		fits, listed := 0, 0
		for cpu := range k.Machine.CPUs {
			p, ok := k.view.u64(k.PerCPU(cpu) + disp)
			if !ok || p < kernelHalf {
				return 0, false
			}
			switch {
			case known[p+d]:
				fits, listed = fits+1, listed+1
			case k.isIdle(p + d):
				fits++
			}
		}
		if fits == len(k.Machine.CPUs) && listed > 0 {
			return d, true
		}
	}
	return 0, false
}

// isIdle recognises the idle tasks of the other CPUs, which are on no list.
func (k *Kernel) isIdle(comm uint64) bool {
	t, ok := k.taskByComm(comm)
	return ok && t.PID == 0 && strings.HasPrefix(t.Comm, idleNoSMP+"/")
}
