package kcsan

import (
	"fmt"
	"strconv"
)

// Verbose is what a kernel with CONFIG_KCSAN_VERBOSE knows of a thread (R13).
type Verbose struct {
	Locks HeldLocks
	IRQ   *IRQTrace // nil without CONFIG_TRACE_IRQFLAGS
}

// HeldLocks is the answer of lockdep's debug_show_held_locks.
type HeldLocks struct {
	Off  bool // "INFO: lockdep is turned off.", and nothing else is known
	Comm string
	PID  int
	// Depth is the number of locks held. Held may be shorter: lockdep does
	// not list the locks of another task that is running.
	Depth int
	Held  []string // each lock as lockdep prints it behind " #0: "
}

// IRQTrace is the kernel's struct irqtrace_events: which interrupt-flag events
// came last.
type IRQTrace struct {
	Stamp           uint32
	HardirqEnabled  IRQEvent
	HardirqDisabled IRQEvent
	SoftirqEnabled  IRQEvent
	SoftirqDisabled IRQEvent
}

// An IRQEvent is the last event of one sort; Addr and symbol are those of the
// code that caused it.
type IRQEvent struct {
	Stamp uint32
	Frame
}

// Texts of kernel/locking/lockdep.c.
const (
	lockdepOff = "INFO: lockdep is turned off."
	noLocks    = "no locks held by "
	irqStamp   = "irq event stamp: "
)

// irqEventNames are the four lines of print_irqtrace_events, in order.
var irqEventNames = [4]string{
	"hardirqs last  enabled at ",
	"hardirqs last disabled at ",
	"softirqs last  enabled at ",
	"softirqs last disabled at ",
}

// events returns the four events in the order of irqEventNames.
func (t *IRQTrace) events() [4]*IRQEvent {
	return [4]*IRQEvent{&t.HardirqEnabled, &t.HardirqDisabled, &t.SoftirqEnabled, &t.SoftirqDisabled}
}

// lines is R13: nothing for a nil task; otherwise a blank line, held locks,
// interrupt trace.
func (v *Verbose) lines() []string {
	if v == nil {
		return nil
	}
	out := append([]string{""}, v.Locks.lines()...)
	if v.IRQ == nil {
		return out
	}
	out = append(out, irqStamp+strconv.FormatUint(uint64(v.IRQ.Stamp), 10))
	for i, e := range v.IRQ.events() {
		out = append(out, fmt.Sprintf("%s(%d): [<%016x>] %s", irqEventNames[i], e.Stamp, e.Addr, e.Frame.line()))
	}
	return out
}

func (h *HeldLocks) lines() []string {
	if h.Off {
		return []string{lockdepOff}
	}
	if h.Depth == 0 {
		return []string{fmt.Sprintf("%s%s/%d.", noLocks, h.Comm, h.PID)}
	}
	plural := ""
	if h.Depth > 1 {
		plural = "s"
	}
	out := []string{fmt.Sprintf("%d lock%s held by %s/%d:", h.Depth, plural, h.Comm, h.PID)}
	for i, l := range h.Held {
		out = append(out, fmt.Sprintf(" #%d: %s", i, l))
	}
	return out
}
