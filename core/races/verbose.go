package races

import (
	"encoding/binary"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// struct irqtrace_events, include/linux/irqflags.h.
const (
	irqStamp       = 0
	irqHardOnIP    = 8
	irqHardOffIP   = 16
	irqHardOn      = 24
	irqHardOff     = 28
	irqSoftOffIP   = 32
	irqSoftOnIP    = 40
	irqSoftOff     = 48
	irqSoftOn      = 52
	irqTraceBytes  = 56
	taskScan       = 16 << 10 // how much of a task_struct is looked through
	maxHeldLocks   = 48       // MAX_LOCK_DEPTH
	noChainKey     = ^uint64(0)
	lockDepthAfter = 8  // curr_chain_key, then lockdep_depth
	heldLocksAfter = 16 // then lockdep_recursion, then held_locks[]
)

// verbose adds the blocks that a kernel with CONFIG_KCSAN_VERBOSE prints: for the
// consumer, and for a producer that still waits (its task is in the slot).
func (c *recovery) verbose(rep *kcsan.Report, slot *Slot, own *consumer, out *Report) {
	if !c.s.Verbose {
		return
	}
	var tasks []linux.Task
	if own.hasTask {
		tasks = append(tasks, own.task)
	}
	var producer linux.Task
	hasProducer := false
	if slot != nil && slot.Task != 0 {
		if producer, hasProducer = c.k.TaskAt(slot.Task); hasProducer {
			tasks = append(tasks, producer)
		}
	}
	trace, locks := c.taskOffsets(tasks)
	describe := func(t linux.Task, ok bool, current bool) *kcsan.Verbose {
		v := &kcsan.Verbose{Locks: kcsan.HeldLocks{Comm: t.Comm, PID: t.PID}}
		if depth, known := c.lockDepth(t, locks); !ok || !known {
			out.unknown(unknownLocks)
		} else if v.Locks.Depth = depth; depth > 0 && current {
			out.unknown(unknownLocks) // the list itself needs lockdep's classes
		}
		if v.IRQ = c.irqTrace(t, trace); v.IRQ == nil {
			out.unknown(unknownIRQ)
		}
		return v
	}
	// For a task the kernel always prints its own block, whatever the access's
	// context.
	rep.Own.Verbose = describe(own.task, own.hasTask, true)
	if hasProducer && rep.Other != nil {
		rep.Other.Verbose = describe(producer, true, false)
	}
}

// unknown adds to what is not known, each once.
func (r *Report) unknown(what string) {
	for _, u := range r.Unknown {
		if u == what {
			return
		}
	}
	r.Unknown = append(r.Unknown, what)
}

// taskOffsets finds, by what they hold in all of the tasks, the offsets of
// kcsan_save_irqtrace (the copy made when the access happened: the second of its
// kind, behind irqtrace itself) and of lockdep_depth in struct task_struct; -1
// for none.
func (c *recovery) taskOffsets(tasks []linux.Task) (trace, locks int) {
	trace, locks = -1, -1
	var images [][]byte
	for _, t := range tasks {
		if p := c.k.Prefix(t.Addr, taskScan); len(p) > 0 {
			images = append(images, p)
		}
	}
	if len(images) == 0 {
		return
	}
	copies := 0
	for off := 0; off+irqTraceBytes <= len(images[0]); off += 8 {
		traces, depths := true, true
		for _, p := range images {
			if off+irqTraceBytes > len(p) {
				return
			}
			traces = traces && c.isIRQTrace(p[off:])
			depths = depths && isLockDepth(p[off:])
		}
		if traces && copies < 2 {
			trace = off
			copies++
		}
		if depths && locks < 0 {
			locks = off + lockDepthAfter
		}
	}
	return
}

// isIRQTrace recognises a struct irqtrace_events in use: addresses of code, and
// events not newer than the stamp.
func (c *recovery) isIRQTrace(p []byte) bool {
	le := binary.LittleEndian
	stamp := le.Uint32(p[irqStamp:])
	if stamp == 0 || le.Uint32(p[irqStamp+4:]) != 0 {
		return false
	}
	for _, off := range []int{irqHardOnIP, irqHardOffIP, irqSoftOnIP, irqSoftOffIP} {
		if a := le.Uint64(p[off:]); !c.k.InText(a) && (a != 0 || off == irqHardOnIP || off == irqHardOffIP) {
			return false
		}
	}
	for _, off := range []int{irqHardOn, irqHardOff, irqSoftOn, irqSoftOff} {
		if le.Uint32(p[off:]) > stamp {
			return false
		}
	}
	return true
}

// isLockDepth recognises curr_chain_key and lockdep_depth: the key is all ones
// exactly when no lock is held, and the first lock ever held had that key before
// it (held_locks[0].prev_chain_key).
func isLockDepth(p []byte) bool {
	key, depth := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[lockDepthAfter:])
	if binary.LittleEndian.Uint64(p[heldLocksAfter:]) != noChainKey {
		return false
	}
	return depth <= maxHeldLocks && key != 0 && (key == noChainKey) == (depth == 0)
}

func (c *recovery) lockDepth(t linux.Task, off int) (int, bool) {
	if off < 0 || t.Addr == 0 {
		return 0, false
	}
	n, ok := c.k.Uint32(t.Addr + uint64(off))
	return int(n), ok && n <= maxHeldLocks
}

func (c *recovery) irqTrace(t linux.Task, off int) *kcsan.IRQTrace {
	if off < 0 || t.Addr == 0 {
		return nil
	}
	p, ok := c.k.Read(t.Addr+uint64(off), irqTraceBytes)
	if !ok {
		return nil
	}
	le := binary.LittleEndian
	event := func(stamp, ip int) kcsan.IRQEvent {
		return kcsan.IRQEvent{Stamp: le.Uint32(p[stamp:]), Frame: kcsan.NewFrame(c.s.symbols, le.Uint64(p[ip:]))}
	}
	return &kcsan.IRQTrace{
		Stamp:           le.Uint32(p[irqStamp:]),
		HardirqEnabled:  event(irqHardOn, irqHardOnIP),
		HardirqDisabled: event(irqHardOff, irqHardOffIP),
		SoftirqEnabled:  event(irqSoftOn, irqSoftOnIP),
		SoftirqDisabled: event(irqSoftOff, irqSoftOffIP),
	}
}
