package kcsan

import "context"

// consume is R9: wait for the producer, check that the accesses really overlap,
// report and release the slot. The report lock is held on entry and exit, and
// dropped while waiting.
func (r *Reporter) consume(ctx context.Context, c *Caller, a Access, change ValueChange, info *otherInfo, v Values) Outcome {
	if !r.await(ctx, info) {
		return Cancelled
	}
	// Whatever happens, a panic in a hook included, the slot is freed at last.
	defer r.release(info)
	b := &info.access
	if !r.cfg.Version.MatchesWatchpoint(b.Addr, b.Size, a.Addr, a.Size) {
		// The watchpoint would not have matched: this slot is not ours.
		r.cfg.Warn("other_info does not match the watchpoint")
		return Discarded
	}
	if !a.Overlaps(*b) {
		// The encoding keeps only part of the address.
		r.counters.Add(EncodingFalsePositives, 1)
		return Discarded
	}
	return r.print(c, a, change, info, v)
}

// await waits until the slot is filled and reports whether it is. Woken up, it
// looks again: a token may be older than the last release.
func (r *Reporter) await(ctx context.Context, info *otherInfo) bool {
	for info.access.Size == 0 {
		r.lock.Unlock()
		select {
		case <-info.filled:
		case <-ctx.Done():
		}
		r.lock.Lock()
		if info.access.Size == 0 && ctx.Err() != nil {
			return false
		}
	}
	return true
}

// release frees a slot. Only the size says that it is free: everything else
// stays, which is what makes consumed slots readable in a core.
func (r *Reporter) release(info *otherInfo) { info.access.Size = 0 }

// print makes the report and prints it unless a rule forbids it. The filter
// comes before the rate limit, so that a filtered report takes no entry there.
// The report lock is held (R16).
func (r *Reporter) print(c *Caller, a Access, change ValueChange, info *otherInfo, v Values) Outcome {
	if change == ValueFalse {
		return Filtered
	}
	outcome := r.printReport(c, a, change, info, v)
	if outcome == Printed && !r.cfg.Version.Features().PanicInside {
		r.panicOnWarn()
	}
	return outcome
}

func (r *Reporter) printReport(c *Caller, a Access, change ValueChange, info *otherInfo, v Values) Outcome {
	rep := Report{Version: r.cfg.Version, Values: &v}
	rep.Own = Thread{Access: a, Trace: r.sanitize(c.stack(skipOwn), a.Location())}
	var otherTop *Frame
	var frames [2]uint64 // what the rate limit knows a race by
	frames[0] = rep.Own.Trace.Top().Addr
	if info != nil {
		rep.Other = &Thread{Access: info.access, Trace: r.sanitize(info.stack, info.access.Location())}
		top := rep.Other.Trace.Top()
		otherTop, frames[1] = &top, top.Addr
	}
	if r.cfg.Skip.Skip(change, rep.Own.Trace.Top(), otherTop) != NotSkipped {
		return Filtered
	}
	if err := rep.nameable(); err != nil {
		// The kernel has a BUG() here.
		r.cfg.Warn(err.Error())
		return Discarded
	}
	if r.times.Limit(r.cfg.Now(), frames[0], frames[1]) {
		return RateLimited
	}
	if r.cfg.Verbose {
		rep.Own.Verbose = c.Task.describe()
		if info != nil {
			rep.Other.Verbose = info.task.describe()
		}
	}
	if r.cfg.Footer != nil {
		rep.Footer = r.cfg.Footer(c)
	}
	text, err := rep.Text()
	if err != nil {
		return Discarded
	}
	r.cfg.Print(text)
	if r.cfg.Version.Features().PanicInside {
		r.panicOnWarn()
	}
	return Printed
}

// sanitize makes a trace and gives the kernel's WARN_ONCE when an explicit
// location is in no frame.
func (r *Reporter) sanitize(entries []uint64, ip uint64) Trace {
	t, lost := r.cfg.Version.Sanitize(r.cfg.Symbols, entries, ip)
	if lost && !r.lost {
		r.lost = true
		r.cfg.Warn("Cannot find frame for " + NewFrame(r.cfg.Symbols, ip).String() + " in stack trace")
	}
	return t
}

// panicOnWarn is R12.
func (r *Reporter) panicOnWarn() {
	if r.cfg.PanicOnWarn {
		r.cfg.Panic(r.cfg.PanicText)
	}
}
