package symbols

import (
	"context"
	"sync/atomic"
	"time"

	"coredrop/core/fault"
)

// What one upstream is given where Limits say nothing.
const (
	defaultDownloads = 8
	defaultWaiting   = 64
)

// pool is an upstream with the bounds of what is asked of it.
type pool struct {
	u       Upstream
	slots   chan struct{} // holds a token for each download
	limit   int           // of those that wait
	waiting atomic.Int64
	health  health
}

func newPool(u Upstream, l Limits) *pool {
	if l.Downloads <= 0 {
		l.Downloads = defaultDownloads
	}
	if l.Waiting <= 0 {
		l.Waiting = defaultWaiting
	}
	return &pool{u: u, slots: make(chan struct{}, l.Downloads), limit: l.Waiting}
}

// acquire takes a place among the downloads, or waits for one.
func (p *pool) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > int64(p.limit) {
		p.waiting.Add(-1)
		return fault.New(fault.ServerBusy, "too many files are being fetched from %s already", p.u.Host())
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
	}
}

func (p *pool) release() { <-p.slots }

func (p *pool) stats(now time.Time) UpstreamStats {
	until, open := p.health.resting(now)
	return UpstreamStats{Host: p.u.Host(), Downloads: len(p.slots), Waiting: int(p.waiting.Load()), BreakerOpen: open, RestingUntil: until}
}
