package linux

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// State is what the guest was doing when it stopped.
type State struct {
	Tasks []Task
	Whole bool // the list of tasks was followed to its end; else both its ends are there
	// TasksErr says why there are no tasks.
	TasksErr error
	CPUs     []CPUState // by index of the machine's CPU
}

// CPUState is what one CPU was doing. Known says whether its task is; the stack
// has the innermost place first.
type CPUState struct {
	Task  Task
	Known bool
	Stack []Place
}

// Place is a frame of a stack in terms of the function it lies in; Symbol.Name is
// "" where none covers it.
type Place struct {
	Frame
	Symbol Symbol
	Module string // "" for the kernel itself
}

// resolveCPU reads where a CPU has its task and its stack.
func (k *Kernel) resolveCPU(s *paging.Space, n int) {
	v := view{s}
	for _, name := range currentNames {
		off, named := k.Symbols.Lookup(name)
		if p, ok := v.u64(k.PerCPU(n) + off); named && ok && k.tasks != nil {
			v.u64(p + k.tasks.base)
		}
	}
	if x := k.state(n); x != nil && x.Kernel() {
		s.Resolves(mem.VA(x.SP()))
	}
}

// State reads what the guest was doing.
func (k *Kernel) State() *State {
	s := &State{}
	s.Tasks, s.Whole, s.TasksErr = k.Tasks()
	ahead := k.Space.Ahead(len(k.Machine.CPUs), k.resolveCPU)
	for i := range k.Machine.CPUs {
		ahead.To(i)
		var c CPUState
		c.Task, c.Known = k.Current(i)
		for _, f := range k.Unwind(i) {
			p := Place{Frame: f}
			if sym, module, ok := k.Resolve(f.Lookup()); ok {
				p.Symbol, p.Module = sym, module
			}
			c.Stack = append(c.Stack, p)
		}
		s.CPUs = append(s.CPUs, c)
	}
	return s
}
