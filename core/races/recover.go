package races

import (
	"fmt"
	"slices"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/linux"
)

// recovery is one run over a kernel.
type recovery struct {
	k   *linux.Kernel
	s   *State
	r   *Result
	log []logtext.Found

	foot *kcsan.Footer // of the newest footer in the log, nil without one
}

// What a rebuilt report may not know.
const (
	unknownValue   = "new value"
	unknownValues  = "old and new value"
	unknownChange  = "whether the value changed"
	unknownLocks   = "held locks"
	unknownIRQ     = "interrupt trace"
	unknownFooter  = "footer"
	unknownUID     = "user ID"
	unknownTask    = "own task"
	unknownOwn     = "the thread that set the watchpoint up"
	unknownOther   = "the thread that hit the watchpoint"
	unknownSize    = "size"
	unknownAddress = "own address: taken from the stack"
	unknownLimit   = "whether the rate limit suppresses it"
)

// run rebuilds what is in memory: for each live slot, the report that its
// consumer makes of it; for each consumer without a slot, its report of unknown
// origin.
func (c *recovery) run() {
	consumers := c.s.consumers()
	used := map[*consumer]bool{}
	for _, slot := range append(slices.Clone(c.s.Slots), c.s.producers()...) {
		if !slot.Live {
			continue
		}
		own := c.consumerOf(slot, consumers, used)
		if own == nil {
			c.lonely(slot)
			continue
		}
		used[own] = true
		c.rebuild(&slot, own)
	}
	for _, own := range consumers {
		switch {
		case used[own] || !own.exact:
		case own.unknown:
			c.rebuild(nil, own)
		case own.index >= 0:
			c.lonelyOwn(own)
		}
	}
	c.residue()
	slices.SortStableFunc(c.r.Reports, func(a, b Report) int {
		return slices.Index(States(), a.State) - slices.Index(States(), b.State)
	})
}

// consumerOf finds who reports a slot: by the address in the registers, by the
// access, and at last who delays at an overlapping address.
func (c *recovery) consumerOf(slot Slot, all []*consumer, used map[*consumer]bool) *consumer {
	at := c.s.addrs["other_infos"] + uint64(slot.Index*c.s.layout.entry)
	for _, o := range all {
		if !used[o] && (o.other == at || o.index == slot.Index && o.access.Overlaps(slot.Access)) {
			return o
		}
	}
	for _, o := range all {
		if !used[o] && o.other == 0 && o.index < 0 && !o.unknown && o.exact && o.access.Overlaps(slot.Access) {
			return o
		}
	}
	for _, o := range all {
		if !used[o] && o.stage == delaying && c.s.delayedAccess(o, slot.Access) {
			return o
		}
	}
	return nil
}

// rebuild makes the report that the kernel would print. slot is nil for an
// unknown origin.
func (c *recovery) rebuild(slot *Slot, own *consumer) {
	s := c.s
	rep := &kcsan.Report{Version: s.Version}
	out := Report{Count: 1, Sources: []string{own.source()}, Model: rep}
	rep.Own = c.thread(own.access, own.stack())
	if slot != nil {
		other := c.thread(slot.Access, slot.Stack)
		rep.Other = &other
		out.Sources = append(out.Sources, slot.source())
	}
	if own.guessed {
		out.Unknown = append(out.Unknown, unknownAddress)
	}
	if !own.hasTask && !own.access.Interrupt() && (!own.exact || own.access.PID == 0) {
		out.Unknown = append(out.Unknown, unknownTask)
	}
	c.verbose(rep, slot, own, &out)
	if s.Version.Features().ValueChange {
		switch {
		case own.values != nil:
			rep.Values = own.values
		case own.stage >= printing || own.stage == waiting:
			out.Unknown = append(out.Unknown, unknownValues)
		default:
			out.Unknown = append(out.Unknown, unknownValue)
		}
	}
	c.footer(rep, own, &out)

	switch {
	case own.stage >= printing:
		out.State = InFlight
	default:
		out.State = Pending
	}
	if (own.stage == printing || c.panics(own)) && c.alreadyPrinted(rep, own, out.Sources) {
		return
	}
	c.suppress(&out, rep, slot, own)
	text, err := rep.Text()
	if err != nil {
		// A type that the kernel itself has no name for.
		out.State, out.Unknown = Residue, append(out.Unknown, err.Error())
		out.Title, out.Text = rep.Title(), threadText(s.Version, rep.Own)
		out.Model = nil
		c.r.Reports = append(c.r.Reports, out)
		return
	}
	out.Title, out.Text = rep.Title(), text
	if own.stage == printing {
		c.absorb(&out, own)
	}
	c.r.Reports = append(c.r.Reports, out)
}

// thread is one side of a report, its stack trimmed as the kernel trims it.
func (c *recovery) thread(a kcsan.Access, stack []uint64) kcsan.Thread {
	t, _ := c.s.Version.Sanitize(c.s.symbols, stack, a.Location())
	return kcsan.Thread{Access: a, Trace: t}
}

// alreadyPrinted tells whether a report that is inside its printing is whole in
// the log: then the log's entry gets the sources. The same two threads may have
// been reported before, so more is asked: the kernel panics (panic_on_warn acts
// behind the printing, or at its end), or the log's report is so young that the
// rate limit would not have let another one through.
func (c *recovery) alreadyPrinted(rep *kcsan.Report, own *consumer, sources []string) bool {
	caller := own.caller()
	var last *logtext.Found
	for i := range c.log {
		if f := &c.log[i]; f.Caller == caller || f.Caller == "" {
			last = f
		}
	}
	if last == nil || last.Report == nil || !sameThreads(last.Report, rep) {
		return false
	}
	if !c.panics(own) && c.r.LastTime-last.Time >= uint64(c.s.NumTimes)*1e6 {
		return false
	}
	for i := range c.r.Reports {
		if e := &c.r.Reports[i]; e.State == Printed && e.Text == last.Text() {
			e.Sources = append(e.Sources, sources...)
			return true
		}
	}
	return false
}

// caller is who the log names for a consumer's lines.
func (c *consumer) caller() string {
	if c.access.Interrupt() {
		return fmt.Sprintf("C%d", c.cpu)
	}
	return fmt.Sprintf("T%d", c.task.PID)
}

// panics reports whether a consumer's printing has called panic.
func (c *recovery) panics(own *consumer) bool {
	for _, f := range own.frames[:own.inner] {
		switch c.s.function(f) {
		case "panic", "vpanic", "check_panic_on_warn":
			return true
		}
	}
	return false
}

// absorb takes the lines of a report that was interrupted in its printing out of
// the pieces that the log holds: they are the beginning of what was rebuilt.
func (c *recovery) absorb(out *Report, own *consumer) {
	for i, f := range c.r.Fragments {
		if f.Caller == own.caller() && len(f.Lines) > 0 && strings.Contains(out.Text, strings.TrimSuffix(f.Text(), "\n")) {
			c.r.Fragments = slices.Delete(c.r.Fragments, i, i+1)
			out.Sources = append(out.Sources, "log")
			return
		}
	}
}

// sameThreads compares headlines and title lines of two reports.
func sameThreads(a, b *kcsan.Report) bool {
	if (a.Other == nil) != (b.Other == nil) || !sameThread(&a.Own, &b.Own) {
		return false
	}
	return a.Other == nil || sameThread(a.Other, b.Other)
}

func sameThread(a, b *kcsan.Thread) bool {
	return a.Addr == b.Addr && a.Size == b.Size && a.Type == b.Type && a.PID == b.PID && a.CPU == b.CPU &&
		a.Trace.Top().String() == b.Trace.Top().String()
}

// suppress applies the rules that keep a report from being printed: the filter,
// then the rate limit. A report that is not at its entry has not met them yet, or
// has passed them.
func (c *recovery) suppress(out *Report, rep *kcsan.Report, slot *Slot, own *consumer) {
	if own.stage == printing {
		return
	}
	s := c.s
	rules := kcsan.SkipRules{ValueChangeOnly: s.ValueChangeOnly, Filter: s.filter}
	change := own.change
	if !own.decided {
		change = kcsan.ValueTrue // not decided yet: only the function list can be asked
		if s.ValueChangeOnly {
			out.Unknown = append(out.Unknown, unknownChange)
		}
	}
	ownTop := rep.Own.Trace.Top()
	var otherTop *kcsan.Frame
	var frame2 uint64
	if rep.Other != nil {
		top := rep.Other.Trace.Top()
		otherTop, frame2 = &top, top.Addr
	}
	if skip := rules.Skip(change, ownTop, otherTop); skip != kcsan.NotSkipped {
		out.State, out.Rule = Suppressed, skip.String()
		return
	}
	if i, limited := s.limited(ownTop.Addr, frame2); limited {
		out.State = Suppressed
		out.Rule = fmt.Sprintf("rate limit: report_times[%d] holds the same pair of frames", i)
	} else if i >= 0 {
		out.Unknown = append(out.Unknown, unknownLimit)
	}
}

// limited is R8 with the kernel's own table: whether a pair of frames was
// reported lately, and by which entry. An entry without a verdict means that the
// kernel's limit or its clock is not known.
func (s *State) limited(frame1, frame2 uint64) (entry int, limited bool) {
	for _, t := range s.Times {
		same := t.Frame1 == frame1 && t.Frame2 == frame2 || t.Frame1 == frame2 && t.Frame2 == frame1
		if !same {
			continue
		}
		if !s.HasJiffies || s.OnceJiffies == 0 {
			return t.Index, false
		}
		if int64(t.Time-(s.Jiffies-s.OnceJiffies)) >= 0 {
			return t.Index, true
		}
	}
	return -1, false
}

// lonely shows a live slot whose consumer is on no CPU: only the producer's side
// is known.
func (c *recovery) lonely(slot Slot) {
	// In a panic the slot stays live although its report is printed.
	th := c.thread(slot.Access, slot.Stack)
	for i := range c.r.Reports {
		if e := &c.r.Reports[i]; e.State == Printed && e.Model.Other != nil && sameThread(e.Model.Other, &th) {
			e.Sources = append(e.Sources, slot.source())
			return
		}
	}
	c.half(th, slot.source(), unknownOwn)
}

// lonelyOwn shows a consumer that is about to wait for a producer which has not
// filled its slot and is on no CPU.
func (c *recovery) lonelyOwn(own *consumer) {
	c.half(c.thread(own.access, own.stack()), own.source(), unknownOther)
}

// half shows the side of a pending report that is known.
func (c *recovery) half(th kcsan.Thread, source, unknown string) {
	c.r.Reports = append(c.r.Reports, Report{
		State: Pending, Title: partTitle(th), Text: threadText(c.s.Version, th), Count: 1,
		Sources: []string{source}, Unknown: []string{unknown},
	})
}

// partTitle is a title of which one thread is known.
func partTitle(t kcsan.Thread) string {
	return fmt.Sprintf("%s in %s / ?", kcsan.BugKind(t.Type), t.Trace.Top().Func())
}

// threadText is one thread's block, without being a report.
func threadText(v kcsan.Version, t kcsan.Thread) string {
	kind, err := v.KindName(t.Type)
	if err != nil {
		kind = err.Error()
	}
	size := fmt.Sprint(t.Size)
	if t.Size == 0 {
		size = "?"
	}
	who := fmt.Sprintf("task %d", t.PID)
	if t.Interrupt() {
		who = "interrupt"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to 0x%016x of %s bytes by %s on cpu %d:\n", kind, t.Addr, size, who, t.CPU)
	for _, f := range t.Trace.Frames {
		fmt.Fprintf(&b, " %s\n", f.String())
	}
	return b.String()
}
