package linux

import (
	"context"
	"strings"
)

// The kinds of trouble that a kernel's log tells of.
const (
	TroublePanic   = "panic"
	TroubleOops    = "oops"
	TroubleLockup  = "lockup"
	TroubleStall   = "stall"
	TroubleHung    = "hung-task"
	TroubleWarning = "warning"
)

// Trouble is one thing that went wrong in the guest, as its log tells it.
type Trouble struct {
	Kind   string
	Text   string // the log's line
	Where  string // the function that an oops names, "foo+0x12/0x40"
	Time   uint64 // nanoseconds since boot
	Caller uint32 // see Record
}

// troubleMarks are the beginnings of the lines by which the kernel says what went
// wrong, or what stands in them; a line is of the first kind that matches.
// Sources: kernel/panic.c, lib/bug.c, arch/x86/mm/fault.c, arch/x86/kernel/{traps,
// dumpstack,nmi}.c, kernel/{watchdog,hung_task}.c, kernel/rcu/tree_stall.h,
// kernel/watchdog_perf.c.
var troubleMarks = []struct{ kind, text string }{
	{TroublePanic, "Kernel panic - not syncing: "},
	{TroubleLockup, "watchdog: BUG: soft lockup - "},
	{TroubleLockup, "watchdog: CPU"},
	{TroubleLockup, "Watchdog detected hard LOCKUP"},
	{TroubleStall, "detected stalls on CPUs/tasks"},
	{TroubleStall, "self-detected stall on CPU"},
	{TroubleHung, " blocked for more than "},
	{TroubleOops, "BUG: unable to handle "},
	{TroubleOops, "BUG: kernel NULL pointer dereference"},
	{TroubleOops, "BUG: scheduling while atomic"},
	{TroubleOops, "kernel BUG at "},
	{TroubleOops, "general protection fault"},
	{TroubleOops, "Oops: "},
	{TroubleOops, "invalid opcode: 0000 ["},
	{TroubleOops, "divide error: 0000 ["},
	{TroubleOops, "double fault: 0000 ["},
	{TroubleOops, "stack segment: 0000 ["},
	{TroubleOops, "int3: 0000 ["},
	{TroubleWarning, "WARNING: CPU: "},
}

// maxTroubles bounds what is kept; the first ones are the causes.
const maxTroubles = 64

// inOops is how soon behind an oops its next lines come.
const inOops = 1e9

// TroubleReader collects what went wrong from a log's records, in their order.
type TroubleReader struct {
	List []Trouble
	More int // those beyond the bound
}

// Add takes the log's next record.
func (r *TroubleReader) Add(rec Record) {
	line, _, _ := strings.Cut(rec.Text, "\n")
	last := r.last(rec)
	if at, ok := strings.CutPrefix(line, "RIP: 0010:"); ok && last != nil && last.Where == "" {
		last.Where, _, _ = strings.Cut(at, " ")
		return
	}
	for _, m := range troubleMarks {
		if !strings.Contains(line, m.text) || strings.HasPrefix(line, "---[") { // the end of a panic repeats it
			continue
		}
		// "Oops: 0002 [#1]" goes on with what the line before began.
		if m.kind == TroubleOops && last != nil && last.Kind == TroubleOops {
			return
		}
		if len(r.List) == maxTroubles {
			r.More++
			return
		}
		t := Trouble{Kind: m.kind, Text: line, Time: rec.Time, Caller: rec.Caller}
		if m.kind == TroubleWarning {
			_, t.Where, _ = strings.Cut(line, " at ")
			if i := strings.LastIndexByte(t.Where, ' '); i >= 0 {
				t.Where = t.Where[i+1:]
			}
		}
		r.List = append(r.List, t)
		return
	}
}

// last is the trouble that a record may go on with: its caller's newest, shortly
// before.
func (r *TroubleReader) last(rec Record) *Trouble {
	for i := len(r.List) - 1; i >= 0; i-- {
		if t := &r.List[i]; t.Caller == rec.Caller {
			if rec.Time-t.Time > inOops {
				return nil
			}
			return t
		}
	}
	return nil
}

// Panic is why the kernel stopped itself, without "Kernel panic - not syncing: ";
// "" where it did not.
func (r *TroubleReader) Panic() string {
	for _, t := range r.List {
		if _, reason, ok := strings.Cut(t.Text, troubleMarks[0].text); ok && t.Kind == TroublePanic {
			return reason
		}
	}
	return ""
}

// LogFacts are what the log tells as a whole.
type LogFacts struct {
	Records  int
	Last     uint64 // time of the newest record, nanoseconds since boot: the guest ran at least so long
	Troubles TroubleReader
}

// ReadLog reads the log once for what it tells as a whole.
func (k *Kernel) ReadLog(ctx context.Context) (LogFacts, error) {
	var f LogFacts
	err := k.Log(ctx, func(rec Record) bool {
		f.Records++
		f.Last = max(f.Last, rec.Time)
		f.Troubles.Add(rec)
		return true
	})
	return f, err
}
