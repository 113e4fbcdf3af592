package stacks

import (
	"errors"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// State is a thread's scheduling state. Source: KTHREAD_STATE in public
// structure listings.
type State uint8

// Running is the state of a thread that a processor runs.
const Running State = 2

var stateNames = []string{"initialized", "ready", "running", "standby", "terminated", "waiting", "transition", "deferred ready", "gate wait"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Thread is a thread.
type Thread struct {
	VA          mem.VA           // KTHREAD
	Process     mem.VA           // EPROCESS
	Of          *windows.Process // nil: it is in no list
	ProcessName string           // "" not known; "Idle" for an idle thread
	PID, TID    uint64
	HasID       bool // TID is known
	State       State
	Processor   int   // whose current thread it is; -1: none's
	IdleOf      int   // whose idle thread it is; -1: none's
	Stack       Stack // without frames: Why says why

	kernelStack, limit, base uint64
}

// Kernel gives the ends of the thread's kernel stack, the upper one exclusive.
func (t *Thread) Kernel() (limit, base mem.VA) { return mem.VA(t.limit), mem.VA(t.base) }

// readThread reads a thread and checks that it is one: its type, a process it
// points to, a stack around its saved stack pointer.
func (r *Reader) readThread(at mem.VA) (*Thread, bool) {
	if at%8 != 0 || at>>63 == 0 {
		return nil, false
	}
	l := &r.layout
	p := make([]byte, max(l.kernelStack, l.initialStack, l.stackLimit, l.stackBase, l.state, l.process)+8)
	if r.k.Space.ReadAt(p, at) != nil || p[0]&objectMask != objectThread {
		return nil, false
	}
	t := &Thread{VA: at, Process: mem.VA(u64(p, l.process)), State: State(p[l.state]), Processor: -1, IdleOf: -1,
		kernelStack: u64(p, l.kernelStack), limit: u64(p, l.stackLimit), base: u64(p, l.stackBase)}
	const most = 1 << 20 // of a stack that was grown
	if t.limit>>63 == 0 || t.limit >= t.base || t.base-t.limit > most || t.kernelStack < t.limit || t.kernelStack > t.base {
		return nil, false
	}
	head, err := r.k.Space.Uint32(t.Process)
	if err != nil || head&objectMask != objectProcess {
		return nil, false
	}
	for i := range r.k.Processes {
		if p := &r.k.Processes[i]; p.EPROCESS == t.Process {
			t.Of, t.ProcessName, t.PID = p, p.Name, p.PID
			break
		}
	}
	return t, true
}

// Limits of the thread lists: more is damage, or a guest beyond reason.
const (
	maxThreads   = 1 << 14
	threadBatch  = 512   // stacks that wait for their names together
	listReach    = 0x900 // how far into a process or a thread its lists are
	idReach      = 0x900
	threadSample = 8 // threads that the ids are tried on
)

// Threads lists the threads of every process whose lists can be followed, with
// the stacks of those that no processor runs, and the idle threads of busy
// processors. An error says what is not in the list.
func (r *Reader) Threads() ([]*Thread, error) {
	var list []*Thread
	var damage error
	if offsets, known := r.findLists(); known {
		ahead := r.ahead(len(r.k.Processes), func(r *Reader, i int) { _, _ = r.threadsOf(r.k.Processes[i].EPROCESS, offsets, maxThreads) })
		for i := range r.k.Processes {
			ahead.To(i)
			p := &r.k.Processes[i]
			if p.EPROCESS == 0 || len(list) >= maxThreads {
				continue
			}
			threads, err := r.threadsOf(p.EPROCESS, offsets, maxThreads-len(list))
			list = append(list, threads...)
			if err != nil && damage == nil {
				damage = fmt.Errorf("the thread list of %s (process %d) ends early: %w", p.Name, p.PID, err)
			}
		}
		r.readIDs(list)
	} else {
		damage = errors.New("the processes' threads could not be found: no list of threads is where any known build has it")
	}
	list = r.claim(list)
	var walks []*walked
	ahead := r.ahead(len(list), func(r *Reader, i int) {
		t := *list[i]
		r.threadStack(&t)
	})
	for i, t := range list {
		ahead.To(i)
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if w := r.threadStack(t); w != nil {
			walks = append(walks, w)
		}
		if len(walks) == threadBatch || i == len(list)-1 {
			r.name(walks)
			walks = walks[:0]
		}
	}
	return list, damage
}

// claim says which threads the processors run, and adds those that are in no
// process's list: the idle threads.
func (r *Reader) claim(list []*Thread) []*Thread {
	find := func(own *Thread) *Thread {
		for _, t := range list {
			if t.VA == own.VA {
				return t
			}
		}
		list = append(list, own)
		return own
	}
	for i := range r.cpus {
		c := &r.cpus[i]
		if c.current != nil {
			find(c.current).Processor = c.number
		}
		if c.idle != nil {
			t := find(c.idle)
			t.IdleOf, t.ProcessName = c.number, idleName
		}
	}
	return list
}

// idleName is what the idle threads' process is called; it is in no list.
const idleName = "Idle"

// threadStack starts the walk of a thread's stack; nil: it has none, and the
// thread says why.
func (r *Reader) threadStack(t *Thread) *walked {
	switch {
	case t.Processor >= 0:
		t.Stack = Stack{Why: fmt.Sprintf("it runs on processor %d", t.Processor)}
		return nil
	case t.State == Running && t.IdleOf < 0:
		// What it saved when it was switched out last says nothing any more.
		t.Stack = Stack{Why: "it is running, but no processor says so: its saved stack pointer is stale"}
		return nil
	}
	v := r.viewOf(t.Process)
	from, err := r.switchFrame(v, t)
	if err != nil {
		t.Stack = Stack{End: unwind.Unreadable, Why: err.Error()}
		return nil
	}
	w := r.walk(v, t.Process, from, KindReturn)
	for i := range w.stack.Frames {
		if w.stack.Frames[i].On == threadStack {
			w.stack.Frames[i].On = ""
		}
	}
	t.Stack = *w.stack
	w.stack = &t.Stack
	return w
}

// switchFrame finds where a thread goes on when it is switched to.
func (r *Reader) switchFrame(v *view, t *Thread) (unwind.From, error) {
	p := make([]byte, min(switchReach, t.base-t.kernelStack)&^7)
	if err := v.space.ReadAt(p, mem.VA(t.kernelStack)); err != nil {
		if errors.Is(err, paging.ErrNotPresent) {
			return unwind.From{}, errors.New("its stack is swapped out")
		}
		return unwind.From{}, fmt.Errorf("its stack could not be read: %w", err)
	}
	w := v.walker()
	resumes := func(off int) bool {
		if off+8 > len(p) {
			return false
		}
		rip := u64(p, off)
		m := v.at(rip)
		_, call := w.BehindCall(rip)
		return m != nil && m.Base == r.k.Image.Base && call
	}
	at, trust := switchReturn, unwind.Certain
	if !resumes(at) {
		trust = unwind.Guessed
		for at = 8; at+8 <= len(p) && !resumes(at); at += 8 {
		}
		if at+8 > len(p) {
			return unwind.From{}, errors.New("its saved stack does not say where it goes on")
		}
	}
	regs := unwind.Partial(u64(p, at), t.kernelStack+uint64(at)+8, u64(p, at-(switchReturn-switchRBP)))
	return unwind.From{Registers: regs, Kind: unwind.Return, Trust: trust, Top: t.base}, nil
}
