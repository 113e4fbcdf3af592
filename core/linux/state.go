package linux

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

// State reads what the guest was doing.
func (k *Kernel) State() *State {
	s := &State{}
	s.Tasks, s.Whole, s.TasksErr = k.Tasks()
	for i := range k.Machine.CPUs {
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
