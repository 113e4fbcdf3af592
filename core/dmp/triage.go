//go:build !lean

package dmp

import (
	"context"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
	"coredrop/core/windows/stacks"
)

// Sizes and places that the debugger block gives (KDDEBUGGER_DATA64, the SDK's
// wdbgexts.h), and what is taken where it ends before them.
const (
	kdSizeProcess  = 0x2a8 // u16
	kdSizePrcb     = 0x2b0
	kdSizeThread   = 0x2c0
	kdUnloaded     = 0x220 // of the variable MmUnloadedDrivers
	kdLastUnloaded = 0x228
	kdFirstPointer = 0x18
	kdLastPointer  = 0x290

	usualPrcb   = 0x2000
	usualObject = 0x400

	processorStack = 0x8000 // of another processor's stack
	versionBytes   = windows.VersionBytes
	bugCheckBytes  = 5 * 8
)

// triage is a triage dump that is being described.
type triage struct {
	*gathering
	k       *windows.Kernel
	im      *Image
	opens   *windows.Processor // whose registers the dump opens with; nil: there are no processors
	prcb    region
	process region
	thread  region
	stack   region
	block   region
	drivers []driver
	removed []byte // the list of unloaded drivers
}

// region is memory that lies in the dump as a whole, in a place of its own: what
// could not be read of it is zero.
type region struct {
	va   mem.VA // 0: it is not known where it was
	data []byte
	off  int64
}

// region takes memory as a whole.
func (t *triage) region(va mem.VA, n int) region {
	r := region{va: va, data: make([]byte, n)}
	t.bytes += int64(n)
	if va == 0 {
		return r
	}
	for at := 0; at < n; {
		step := min(n-at, int(mem.PageSize-(va+mem.VA(at))%mem.PageSize))
		p := r.data[at : at+step]
		if t.ReadAt(p, va+mem.VA(at)) == nil {
			t.hold(span{va + mem.VA(at), va + mem.VA(at+step)}, triageMost)
		} else {
			clear(p)
		}
		at += step
	}
	return r
}

// or gives a size that the debugger block holds, or the usual one.
func (t *triage) or(off, usual int) int {
	if n := int(t.k.KDBG.Uint16(off)); n != 0 {
		return n
	}
	return usual
}

// triage describes the dump that Windows would write first: what a first look at
// a crash wants, without any memory of users.
func (im *Image) triage(ctx context.Context, k *windows.Kernel, o Options) error {
	all, _ := mem.Runs(k.Machine.Mem.Extents())
	if len(all) == 0 {
		return fault.New(fault.NoMemory, "")
	}
	w, err := im.patched(ctx, k, o)
	if err != nil {
		return err
	}
	im.Type = TypeTriage
	t := &triage{gathering: gather(k, w.space), k: k, im: im}
	t.bytes = int64(form.Bytes) + triageFixed
	if i := k.Opens.Index; i >= 0 && i < len(k.Processors) {
		t.opens = &k.Processors[i]
	} else if len(k.Processors) > 0 {
		t.opens = &k.Processors[0]
	}
	t.kernel()
	t.listDrivers()
	t.listUnloaded()
	if err := t.processors(ctx); err != nil {
		return err
	}
	if t.refused > 0 {
		im.Warnings = append(im.Warnings, fault.Warn(fault.MemoryLeftOut,
			"%d bytes that belong in a triage dump are left out: it has at most %d MiB", t.refused, triageMost>>20))
	}
	file := t.file()
	held := int64(0)
	for _, s := range t.held {
		held += int64(s.hi - s.lo)
	}
	im.LeftOut = max(int64(countPages(all))*mem.PageSize-held, 0)
	(&builder{im: im}).bytes(file)
	o.Logf("triage dump: %d data blocks, %d bytes of memory", len(t.held), held)
	return nil
}

// kernel takes what a debugger asks for first, and the little that each pointer of
// the debugger block leads to.
func (t *triage) kernel() {
	k := t.k
	t.block = region{va: k.KDBG.VA, data: slices.Clone(k.KDBG.Plain)}
	t.want(k.KDBG.VA, uint64(k.KDBG.Size), triageMost)
	t.bytes += int64(k.KDBG.Size)
	t.want(windows.SharedVA, mem.PageSize, triageMost)
	t.want(k.Image.Base, mem.PageSize, triageMost)
	t.want(k.Version.VA, versionBytes, triageMost)
	t.want(k.KDBG.BugCheckData(), bugCheckBytes, triageMost)
	if n := len(k.Processors); n > 0 {
		t.want(k.KDBG.ProcessorBlock(), uint64(8*k.Processors[n-1].Number+8), triageMost)
	}
	for off := kdFirstPointer; off < kdLastPointer; off += 8 {
		t.want(mem.VA(k.KDBG.Uint64(off)), 16, triageMost)
	}
}

// processors takes the processors: what a debugger finds each by, then whatever
// walking their stacks has read, then their stacks, threads, processes and control
// blocks whole as long as there is room, the crasher's before all.
func (t *triage) processors(ctx context.Context) error {
	k := t.k
	if t.opens != nil {
		t.prcb = t.region(t.opens.PRCB, t.or(kdSizePrcb, usualPrcb))
	}
	t.each((*triage).record)
	seen := *k
	seen.Space = paging.New(kept{t.gathering}, 0, k.Space.Mode.Flat())
	rep, err := stacks.Read(ctx, &seen, nil, false)
	if err != nil {
		return err
	}
	stands := map[int]*stacks.Processor{}
	for _, p := range rep.Processors {
		if p.Number >= 0 {
			stands[p.Number] = p
		}
	}
	t.crasher(stands)
	t.each(func(t *triage, p *windows.Processor) { t.stacksOf(stands[p.Number]) })
	t.each(func(t *triage, p *windows.Processor) { t.objectsOf(stands[p.Number]) })
	t.each(func(t *triage, p *windows.Processor) { t.want(p.PRCB, uint64(t.or(kdSizePrcb, usualPrcb)), triageMost) })
	t.each((*triage).pointers)
	return ctx.Err()
}

// each calls do for every processor, for that which the dump opens on first.
func (t *triage) each(do func(*triage, *windows.Processor)) {
	var list []*windows.Processor
	if t.opens != nil {
		list = append(list, t.opens)
	}
	for i := range t.k.Processors {
		if p := &t.k.Processors[i]; p != t.opens {
			list = append(list, p)
		}
	}
	ahead := t.ahead(len(list), func(t *triage, i int) { do(t, list[i]) })
	for i, p := range list {
		ahead.To(i)
		do(t, p)
	}
}

// ahead is for a loop that gathers memory for each of n items: what it will gather,
// try gathers for a dump that is thrown away.
func (t *triage) ahead(n int, try func(t *triage, i int)) *mem.Ahead {
	return mem.NewAhead(t.k.Machine.Mem, n, func(m mem.Physical, i int) {
		dry := *t
		dry.gathering = t.over(m)
		try(&dry, i)
	})
}

// record takes the processor's control region up to its block, and the context
// record with the pointer to it.
func (t *triage) record(p *windows.Processor) {
	if p.KPCR != 0 {
		t.want(p.KPCR, uint64(p.PRCB-p.KPCR)+granule, triageMost)
	}
	if off := t.k.KDBG.PrcbContext(); off != 0 && p.PRCB != 0 {
		t.want(p.PRCB+mem.VA(off), 8, triageMost)
	}
	if p.Context != 0 {
		t.want(p.Context, uint64(windows.Context.Bytes), triageMost)
	}
}

// crasher takes the process, the thread and the stack of the processor that the
// dump opens on, each in a place of its own.
func (t *triage) crasher(stands map[int]*stacks.Processor) {
	var thread *stacks.Thread
	var list []*stacks.Stack
	if t.opens != nil && stands[t.opens.Number] != nil {
		p := stands[t.opens.Number]
		thread, list = p.Thread, []*stacks.Stack{p.Stack, p.Live}
	}
	var object, process mem.VA
	if thread != nil {
		object, process = thread.VA, thread.Process
	}
	t.process = t.region(process, t.or(kdSizeProcess, usualObject))
	t.thread = t.region(object, t.or(kdSizeThread, usualObject))
	top, n := t.callStack(list, thread)
	t.stack = t.region(top, n)
}

// callStack finds the stack that the dump's registers are on: from the lowest
// address that the processor used of it up to its end. In user mode there is none,
// but for what the thread left at the end of its own when it came in last.
func (t *triage) callStack(list []*stacks.Stack, thread *stacks.Thread) (top mem.VA, n int) {
	buffer := make([]byte, windows.StackReach)
	for _, s := range list {
		if s == nil || len(s.Frames) == 0 || s.Frames[0].User {
			continue
		}
		sp := mem.VA(s.Frames[0].StackPointer) &^ 7
		size := len(t.readStack(sp, buffer))
		switch {
		case size == 0:
		case n == 0:
			top, n = sp, size
		case sp < top && top < sp+mem.VA(size):
			// The same stack, on which it went on.
			top, n = sp, size
		}
	}
	if n == 0 && thread != nil {
		limit, base := thread.Kernel()
		top = max(limit, base-mem.PageSize)
		n = len(t.readStack(top, buffer[:base-top]))
	}
	return top, n
}

// readStack reads a stack up to the first page that is not there.
func (t *triage) readStack(sp mem.VA, buffer []byte) []byte {
	got := 0
	for got < len(buffer) {
		at := sp + mem.VA(got)
		p := buffer[got:min(len(buffer), got+int(mem.PageSize-at%mem.PageSize))]
		if t.ReadAt(p, at) != nil {
			break
		}
		got += len(p)
	}
	return buffer[:got]
}

// stacksOf takes the stacks that a processor's frames lie on, each from its first
// frame on.
func (t *triage) stacksOf(p *stacks.Processor) {
	if p == nil {
		return
	}
	for _, s := range []*stacks.Stack{p.Stack, p.Live} {
		if s == nil {
			continue
		}
		for i, f := range s.Frames {
			if !f.User && (i == 0 || f.On != "") {
				sp := mem.VA(f.StackPointer)
				buffer := make([]byte, processorStack)
				t.want(sp, uint64(len(t.readStack(sp, buffer))), triageMost)
			}
		}
	}
}

// objectsOf takes a processor's current thread and its process.
func (t *triage) objectsOf(p *stacks.Processor) {
	if p == nil || p.Thread == nil {
		return
	}
	t.want(p.Thread.VA, uint64(t.or(kdSizeThread, usualObject)), triageMost)
	t.want(p.Thread.Process, uint64(t.or(kdSizeProcess, usualObject)), triageMost)
}

// pointers takes what lies around the addresses that a processor's registers and
// its stack hold.
func (t *triage) pointers(p *windows.Processor) {
	record := make([]byte, windows.Context.Bytes)
	if p.Context == 0 || t.ReadAt(record, p.Context) != nil {
		return
	}
	for _, va := range pointersIn(record) {
		t.around(va, 128, 384)
	}
	stack := t.readStack(mem.VA(headerContext(record).SP)&^7, make([]byte, processorStack))
	for off := 0; off+8 <= len(stack); off += 8 {
		t.around(mem.VA(le.Uint64(stack[off:])), 32, 96)
	}
}
