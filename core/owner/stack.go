package owner

import (
	"encoding/binary"

	"coredrop/core/linux"
)

func le64(p []byte, off uint64) uint64 {
	if off+8 > uint64(len(p)) {
		return 0
	}
	return binary.LittleEndian.Uint64(p[off:])
}

func le32(p []byte, off uint64) uint32 {
	if off+4 > uint64(len(p)) {
		return 0
	}
	return binary.LittleEndian.Uint32(p[off:])
}

// stacks are the tasks by their stacks.
type stacks struct {
	of map[uint64]linux.Task // by the lowest address
}

// A task's stack: its size, what stands at its lowest address, and how far into the
// task the pointer to it may be. include/linux/sched/task_stack.h, magic.h.
const (
	stackBytes = 16 << 10
	stackEnd   = 0x57ac6e9d
	stackReach = 256
)

// readStacks finds task->stack by content: the member whose value is the lowest
// address of a stack, by the mark there, for most tasks.
func (f *Finder) readStacks() *stacks {
	if f.stacks != nil {
		return f.stacks
	}
	f.stacks = &stacks{of: map[uint64]linux.Task{}}
	tasks, _, _ := f.k.Tasks()
	for i := range f.k.Machine.CPUs {
		if t, ok := f.k.Current(i); ok && t.Addr != 0 {
			tasks = append(tasks, t)
		}
	}
	votes, best := map[uint64]int{}, uint64(0)
	for _, t := range tasks[:min(len(tasks), 64)] {
		p := f.k.Prefix(t.Addr, stackReach)
		for off := uint64(0); off+8 <= uint64(len(p)); off += 8 {
			if f.isStack(le64(p, off)) {
				if votes[off]++; votes[off] > votes[best] || best == 0 {
					best = off
				}
			}
		}
	}
	if votes[best] == 0 {
		return f.stacks
	}
	for _, t := range tasks {
		if v, ok := f.k.Uint64(t.Addr + best); ok && f.isStack(v) {
			f.stacks.of[v] = t
		}
	}
	return f.stacks
}

// isStack reports whether a stack's lowest address is here.
func (f *Finder) isStack(a uint64) bool {
	if a%pageSize != 0 || !f.k.KernelPointer(a) {
		return false
	}
	v, ok := f.k.Uint64(a)
	return ok && v == stackEnd
}

// taskStack: the stack of a task.
func (f *Finder) taskStack(addr, _ uint64) (Object, bool) {
	all := f.readStacks().of
	for low, t := range all {
		if addr < low || addr-low >= stackBytes {
			continue
		}
		o := unknown(TaskStack)
		o.Base, o.Offset, o.Size = low, addr-low, stackBytes
		if !printableComm(t.Comm) {
			t.Comm = "?"
		}
		o.Task = &t
		o.Name = f.frameOf(t, addr)
		return o, true
	}
	return Object{}, false
}

// frameOf names the function in whose part of the stack an address lies, where the
// task runs on a CPU, whose stack is then unwound.
func (f *Finder) frameOf(t linux.Task, addr uint64) string {
	for i := range f.k.Machine.CPUs {
		if now, ok := f.k.Current(i); !ok || now.Addr != t.Addr {
			continue
		}
		for _, frame := range f.k.Unwind(i) {
			if addr >= frame.SP && addr < frame.End {
				if s, _, ok := f.k.Resolve(frame.Lookup()); ok {
					return linux.PlainName(s.Name)
				}
			}
		}
	}
	return ""
}

// taskOf gives the task that a slab object is.
func (f *Finder) taskOf(o Object) (linux.Task, bool) {
	if o.Name != "task_struct" {
		return linux.Task{}, false
	}
	t, ok := f.k.TaskAt(o.Base)
	return t, ok && printableComm(t.Comm)
}

func printableComm(s string) bool {
	for _, c := range s {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}
