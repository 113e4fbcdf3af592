package linux

import (
	"bytes"

	"coredrop/core/fault"
)

// Task is a thread of the guest.
type Task struct {
	Addr uint64 // of its struct task_struct; 0 when only its name was found
	PID  int    // the kernel's pid: the thread's own number
	TGID int    // the process's
	Comm string

	comm uint64 // address of its name, by which it is known here
}

// Sizes of struct task_struct, include/linux/sched.h. The offsets depend on the
// configuration; they are found by what the members hold.
const (
	commBytes = 16   // TASK_COMM_LEN
	taskReach = 8192 // how far apart the members used here may be
	maxTasks  = 1 << 18
	idleName  = "swapper/0"
	idleNoSMP = "swapper"
	kthreadd  = "kthreadd" // always the third task
)

// taskLayout is where the members are, relative to the name (comm), and what is
// known of the whole structure.
type taskLayout struct {
	idle  uint64 // address of init_task's comm
	tasks uint64 // comm - tasks
	pid   uint64 // comm - pid
	base  uint64 // comm - start of the structure; 0 unknown
	ok    bool
}

// taskOffsets finds the layout once.
func (k *Kernel) taskOffsets() *taskLayout {
	if k.tasks != nil {
		return k.tasks
	}
	k.tasks = &taskLayout{}
	if init, ok := k.Symbols.Lookup("init_task"); ok {
		p := k.view.prefix(init, taskReach)
		for _, name := range []string{idleName, idleNoSMP} {
			want := make([]byte, commBytes)
			copy(want, name)
			if i := bytes.Index(p, want); i > 0 {
				k.tasks.idle, k.tasks.base = init+uint64(i), uint64(i)
				k.tasks.ok = k.tasks.findList(k.view)
				break
			}
		}
		return k.tasks
	}
	// Without data symbols: the only place in the image that holds the idle
	// task's name, padded, is init_task.
	want := make([]byte, commBytes)
	copy(want, idleName)
	scanSpans(k.view, k.image, 2*commBytes, func(chunk []byte, at uint64) bool {
		for from := 0; ; {
			i := bytes.Index(chunk[from:], want)
			if i < 0 {
				return false
			}
			t := &taskLayout{idle: at + uint64(from+i)}
			if t.findList(k.view) {
				t.ok = true
				k.tasks = t
				return true
			}
			from += i + 1
		}
	})
	return k.tasks
}

// findList finds tasks and pid: a list whose third member is named kthreadd, and
// the pair pid, tgid that is 0, 1 and 2 in its first three.
func (t *taskLayout) findList(v view) bool {
	for d := uint64(8); d < taskReach; d += 8 {
		head := t.idle - d
		first, ok := v.u64(head)
		if !ok || first == head || first < kernelHalf || first%8 != 0 {
			continue
		}
		if back, ok := v.u64(first + 8); !ok || back != head {
			continue
		}
		second, ok := v.u64(first)
		if !ok || second == head || second < kernelHalf {
			continue
		}
		if name, _ := v.cstring(second+d, commBytes); name != kthreadd {
			continue
		}
		for p := uint64(4); p < taskReach; p += 4 {
			if pidPair(v, t.idle-p, 0) && pidPair(v, first+d-p, 1) && pidPair(v, second+d-p, 2) {
				t.tasks, t.pid = d, p
				return true
			}
		}
	}
	return false
}

func pidPair(v view, at uint64, pid uint32) bool {
	x, ok := v.u64(at)
	return ok && x == uint64(pid)<<32|uint64(pid)
}

// Tasks lists the processes' main threads in the order of creation, the idle
// task left out. It fails with unknown-layout when the list was not found. A
// list that is broken is read from both ends; whole is false then.
func (k *Kernel) Tasks() (tasks []Task, whole bool, err error) {
	t := k.taskOffsets()
	if !t.ok {
		return nil, false, fault.New(fault.UnknownLayout, "the kernel's list of tasks was not found")
	}
	head := t.idle - t.tasks
	seen := map[uint64]bool{}
	tasks, whole = k.followTasks(head, 0, seen)
	if !whole {
		newest, _ := k.followTasks(head, 8, seen)
		for i := len(newest) - 1; i >= 0; i-- {
			tasks = append(tasks, newest[i])
		}
	}
	return tasks, whole, nil
}

// followTasks walks the list from its head in one direction: link is 0 for next,
// 8 for prev. whole says that it led back to the
// head and that every task could be read.
func (k *Kernel) followTasks(head, link uint64, seen map[uint64]bool) (out []Task, whole bool) {
	missing := false
	at, ok := k.view.u64(head + link)
	for ok && at != head && len(out) < maxTasks {
		if seen[at] || at < kernelHalf {
			return out, false
		}
		seen[at] = true
		// A task whose links lead nowhere is not there.
		next, ok2 := k.view.u64(at + link)
		if !ok2 || next < kernelHalf {
			return out, false
		}
		if task, ok := k.taskByComm(at + k.tasks.tasks); ok {
			out = append(out, task)
		} else {
			missing = true
		}
		at = next
	}
	return out, ok && at == head && !missing
}

// taskByComm reads the task whose name lies at an address.
func (k *Kernel) taskByComm(comm uint64) (Task, bool) {
	t := k.tasks
	name, ok1 := k.view.cstring(comm, commBytes)
	ids, ok2 := k.view.u64(comm - t.pid)
	task := Task{PID: int(int32(ids)), TGID: int(int32(ids >> 32)), Comm: name, comm: comm}
	if t.base != 0 {
		task.Addr = comm - t.base
	}
	return task, ok1 && ok2 && name != "" // every task has a name
}

// TaskAt reads the task whose struct task_struct lies at an address.
func (k *Kernel) TaskAt(addr uint64) (Task, bool) {
	t := k.taskOffsets()
	if !t.ok || t.base == 0 || addr < kernelHalf {
		return Task{}, false
	}
	return k.taskByComm(addr + t.base)
}

// TaskByPID finds a task of the list by its number.
func (k *Kernel) TaskByPID(pid int) (Task, bool) {
	tasks, _, _ := k.Tasks()
	for _, t := range tasks {
		if t.PID == pid {
			return t, true
		}
	}
	return Task{}, false
}
