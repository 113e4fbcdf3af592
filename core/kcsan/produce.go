package kcsan

import "context"

// produce is R10: fill the slot, and in verbose mode stay until it is consumed.
// The report lock is held on entry and exit.
func (r *Reporter) produce(ctx context.Context, c *Caller, a Access, info *otherInfo) Outcome {
	// Slots and watchpoints have the same indices, and a watchpoint is reused
	// only after its report, so the slot must be free.
	if info.access.Size != 0 {
		r.cfg.Warn("other_info is in use")
	}
	info.access = a
	info.stack = c.stack(skipOther)
	info.task = nil
	select {
	case info.filled <- struct{}{}:
	default: // the token of an earlier fill is still there
	}
	if r.cfg.Verbose {
		r.stall(ctx, c, a, info)
	}
	return Produced
}

// stall keeps the producer where it is, so that its locks can be listed, until
// the report was made or the delay of the consumer must be over. Its time-out
// makes sure that an interrupt does not wait for the task it interrupted. The
// report lock is held on entry and exit, and dropped while waiting.
func (r *Reporter) stall(ctx context.Context, c *Caller, a Access, info *otherInfo) {
	// A task that is already marked as sleeping must stay so.
	mark := c.Task != nil && !c.Task.stalled.Load()
	timeout := max(r.cfg.UDelayTask, r.cfg.UDelayInterrupt)
	info.task = c.Task
	for {
		if mark {
			c.Task.stalled.Store(true)
		}
		r.lock.Unlock()
		r.cfg.Delay()
		r.lock.Lock()
		// The test comes before the decrement, so there are timeout + 2 steps.
		if timeout < 0 || ctx.Err() != nil {
			// The report is still to come, without this task's block.
			info.task = nil
			break
		}
		timeout--
		if info.access.Size == 0 || info.access.Addr != a.Addr || info.task != c.Task {
			break
		}
	}
	if mark {
		c.Task.stalled.Store(false)
	}
}
