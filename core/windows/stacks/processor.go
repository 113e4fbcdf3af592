package stacks

import (
	"fmt"
	"slices"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// block is what a processor's own block says.
type block struct {
	number        int
	current, idle *Thread // nil: not known
	dpcTop        uint64  // end of its DPC stack; 0: not known
}

// ownStack is a stack of a processor or of a thread that one runs.
type ownStack struct {
	low, high uint64 // high is included: an empty stack's pointer stands there
	name      string
}

// threadStack is what a thread's own stack is called.
const threadStack = "thread stack"

// readProcessors reads what the processors run, and where their stacks are.
func (r *Reader) readProcessors() {
	r.cpus = make([]block, len(r.k.Processors))
	ahead := r.ahead(len(r.cpus), func(r *Reader, i int) { r.blockOf(&r.k.Processors[i]) })
	for i := range r.cpus {
		ahead.To(i)
		r.cpus[i] = r.blockOf(&r.k.Processors[i])
	}
}

// ahead is for a loop that reads stacks for each of n items: what it will read, try
// reads with a reader that is thrown away and has no symbols.
func (r *Reader) ahead(n int, try func(r *Reader, i int)) *mem.Ahead {
	return r.k.Space.Ahead(n, func(s *paging.Space, i int) {
		k := *r.k
		k.Space = s
		try(&Reader{k: &k, ctx: r.ctx, layout: r.layout, kernel: newModules(withKernel(&k), k.Image.Base, s), views: map[mem.VA]*view{},
			known: slices.Clone(r.known), interruptStacks: true, cpus: r.cpus}, i)
	})
}

// blockOf reads what a processor runs, and notes its stacks.
func (r *Reader) blockOf(p *windows.Processor) block {
	l := &r.layout
	c := block{number: p.Number, current: r.runs(p.PRCB, l.currentThread), idle: r.runs(p.PRCB, l.idleThread)}
	if c.idle != nil {
		c.idle.IdleOf, c.idle.ProcessName = p.Number, idleName
	}
	c.dpcTop = r.own(p.PRCB, l.dpcStack, "DPC stack")
	r.own(p.PRCB, l.isrStack, "interrupt stack")
	r.own(p.PRCB, l.exceptionStack, "exception stack")
	return c
}

// word reads a field of a processor's block; 0: it is not known.
func (r *Reader) word(prcb mem.VA, off int) uint64 {
	if prcb == 0 || off == 0 {
		return 0
	}
	v, err := r.k.Space.Uint64(prcb + mem.VA(off))
	if err != nil {
		return 0
	}
	return v
}

// runs reads a thread that a processor's block names, and notes its stack.
func (r *Reader) runs(prcb mem.VA, off int) *Thread {
	t, ok := r.readThread(mem.VA(r.word(prcb, off)))
	if !ok {
		return nil
	}
	r.known = append(r.known, ownStack{t.limit, t.base, threadStack})
	return t
}

// own notes a stack of a processor by its top, and gives that.
func (r *Reader) own(prcb mem.VA, off int, name string) uint64 {
	top := r.word(prcb, off)
	if top>>63 == 0 {
		return 0
	}
	r.known = append(r.known, ownStack{top - kernelStackBytes, (top + mem.PageSize - 1) &^ (mem.PageSize - 1), name})
	return top
}

// stackAt finds the stack that an address lies on; of one that is not known it
// gives the page.
func (r *Reader) stackAt(sp uint64) ownStack {
	for range 2 {
		for _, s := range r.known {
			if s.holds(sp) {
				return s
			}
		}
		if r.interruptStacks {
			break
		}
		r.interruptStacks = true // read once, where there is a need
		r.readInterruptStacks()
	}
	return ownStack{sp &^ (mem.PageSize - 1), sp | (mem.PageSize - 1), otherStack}
}

const otherStack = "another stack"

func (s ownStack) holds(sp uint64) bool { return sp >= s.low && sp <= s.high }

// readInterruptStacks notes the stacks that the processors switch to by
// themselves, named by the interrupts that use them.
func (r *Reader) readInterruptStacks() {
	ahead := r.ahead(len(r.k.Processors), (*Reader).readInterruptStacksOf)
	for i := range r.k.Processors {
		ahead.To(i)
		r.readInterruptStacksOf(i)
	}
}

// readInterruptStacksOf notes those of one processor.
func (r *Reader) readInterruptStacksOf(i int) {
	pcr := r.k.Processors[i].KPCR
	if pcr == 0 {
		return
	}
	tss, err := r.k.Space.Uint64(pcr + pcrTSS)
	var ists [8 * tssISTs]byte
	if err != nil || r.k.Space.ReadAt(ists[:], mem.VA(tss)+tssIST1) != nil {
		return
	}
	for n := range tssISTs {
		if top := u64(ists[:], 8*n); top>>63 == 1 {
			r.known = append(r.known, ownStack{top - kernelStackBytes + 1, top, r.usersOf(pcr, n+1)})
		}
	}
}

// vectors are the interrupts that have stacks of their own.
var vectors = []struct {
	number mem.VA
	name   string
}{{2, "NMI stack"}, {8, "double fault stack"}, {18, "machine check stack"}, {1, "debug stack"}}

// usersOf names the stack with a number by the gate that uses it.
func (r *Reader) usersOf(pcr mem.VA, ist int) string {
	idt, err := r.k.Space.Uint64(pcr + pcrIDT)
	if err == nil {
		for _, v := range vectors {
			var gate [gateBytes]byte
			if r.k.Space.ReadAt(gate[:], mem.VA(idt)+v.number*gateBytes) == nil && int(gate[gateIST]&7) == ist {
				return v.name
			}
		}
	}
	return fmt.Sprintf("interrupt stack %d", ist)
}

// Processor is what a processor did: with the registers it is shown with, and
// with the live ones where they differ.
type Processor struct {
	Number  int     // Windows' number; -1: Windows does not run on the CPU
	CPU     int     // index in the machine's; -1: no CPU runs it
	Thread  *Thread // its current one; nil: not known
	Idle    bool    // its current thread is its idle thread, and it does nothing else
	DPC     bool    // it executes deferred procedure calls
	User    bool    // its code is in user mode
	Stack   *Stack  // nil: Why says why
	Live    *Stack  // of the live registers, where Stack is of others; else nil
	Why     string
	Crasher bool // it called KeBugCheckEx
}

// Processors walks the stacks of all processors of the guest, the crasher's
// first. CPUs that Windows does not run on come last: what their registers point
// to is not Windows', so they have no stack.
func (r *Reader) Processors() []*Processor {
	var out []*Processor
	var walks []*walked
	ahead := r.ahead(len(r.k.Processors), func(r *Reader, i int) { r.standing(i) })
	for i := range r.k.Processors {
		ahead.To(i)
		q, of := r.standing(i)
		out, walks = append(out, q), append(walks, of...)
	}
	r.name(walks)
	for i, q := range out {
		r.judge(q, i)
	}
	crasherFirst(out)
	for i := range r.k.Machine.CPUs {
		if !r.windows(i) {
			out = append(out, &Processor{Number: -1, CPU: i, Why: r.stranger(i)})
		}
	}
	return out
}

// standing walks the stacks of the processor at an index; their frames have no
// names yet.
func (r *Reader) standing(i int) (q *Processor, walks []*walked) {
	p := &r.k.Processors[i]
	q = &Processor{Number: p.Number, CPU: p.CPU, Thread: r.cpus[i].current}
	if from, ok := r.record(i); ok {
		walks = append(walks, r.processor(q, &q.Stack, from, KindRecord))
	}
	if from, ok := r.live(p); ok {
		at := &q.Stack
		if q.Stack != nil {
			at = &q.Live
		}
		walks = append(walks, r.processor(q, at, from, KindLive))
	}
	if q.Stack == nil {
		q.Why = "its registers are not known: no CPU of the core runs it"
	}
	return q, walks
}

// windows reports whether a processor of Windows runs on a CPU.
func (r *Reader) windows(cpu int) bool {
	for i := range r.k.Processors {
		if r.k.Processors[i].CPU == cpu {
			return true
		}
	}
	return false
}

// stranger says what a CPU does that Windows does not run on.
func (r *Reader) stranger(cpu int) string {
	const why = "Windows does not run on it"
	if cpu < len(r.k.Modes) && r.k.Modes[cpu] != windows.ModeUnknown {
		return why + " (" + string(r.k.Modes[cpu]) + ")"
	}
	return why
}

// processor walks a stack of a processor and puts it in its place.
func (r *Reader) processor(q *Processor, at **Stack, from unwind.From, kind string) *walked {
	var process mem.VA
	if t := q.Thread; t != nil {
		process = t.Process
		if sp := from.SP(); sp >= t.limit && sp < t.base {
			from.Top = t.base
		}
	}
	w := r.walk(r.viewOf(process), process, from, kind)
	*at = w.stack
	return w
}

// live gives the registers of the CPU that runs a processor.
func (r *Reader) live(p *windows.Processor) (unwind.From, bool) {
	if p.CPU < 0 || p.CPU >= len(r.k.Machine.CPUs) || r.k.Machine.CPUs[p.CPU].State == nil {
		return unwind.From{}, false
	}
	x := r.k.Machine.CPUs[p.CPU].State
	return unwind.From{Registers: registersOf(x), User: !x.Kernel()}, true
}

// record gives the registers that Windows saved of a processor, where they are
// what a debugger is shown of it.
func (r *Reader) record(i int) (unwind.From, bool) {
	p := &r.k.Processors[i]
	if r.k.RegistersOf(i, false) != windows.RegistersRecord || p.Record == nil {
		return unwind.From{}, false
	}
	return fromRecord(p.Record)
}
