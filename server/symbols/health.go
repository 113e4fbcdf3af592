package symbols

import (
	"sync"
	"time"

	"coredrop/server/upstream"
)

// How an upstream is left alone that is in trouble. One wrong answer may be the
// file's; a second one in a row is the server's, or that of a portal that asks for
// a password in its place. One that cannot be reached is given up after as many
// times as SymProxy gives it (MissAge and blackout: five in ten minutes, fifteen
// minutes off). Either way one request now and then is let through, so that what
// is mended is in use again within a minute.
const (
	restFirst   = 30 * time.Second // doubling
	restLast    = 10 * time.Minute
	restBroken  = 15 * time.Minute
	breakAfter  = 5
	breakWithin = 10 * time.Minute
	probeEach   = 30 * time.Second
)

// health is what is known of an upstream; its zero value is well.
type health struct {
	mu     sync.Mutex
	row    int         // wrong answers in a row
	lost   []time.Time // when it could not be reached, the latest breakAfter
	until  time.Time   // it rests until then
	broken bool        // because it could not be reached
	last   error       // what it did
	probed time.Time   // when the last request was let through
}

// rests gives the failure of an upstream that is left alone, nil if it may be
// asked.
func (h *health) rests(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusal(now)
}

// admit is rests for who will ask now: while the upstream rests, one every now
// and then may.
func (h *health) admit(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refusal(now); err != nil {
		return err
	}
	h.probed = now
	return nil
}

func (h *health) refusal(now time.Time) error {
	if !h.broken && !now.Before(h.until) || now.Sub(h.probed) >= probeEach {
		return nil
	}
	return &resting{h.last, max(h.until.Sub(now), probeEach)}
}

// resting is the failure of an upstream that was not asked.
type resting struct {
	error
	after time.Duration
}

// Unwrap gives what the upstream did.
func (r *resting) Unwrap() error { return r.error }

// record notes how a download went.
func (h *health) record(err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.well()
		return
	}
	after, limited := upstream.RetryAfter(err)
	switch upstream.ClassOf(err) {
	case upstream.Definite:
		h.well()
	case upstream.Trouble:
		h.wrong(err, now)
	case upstream.Busy:
		if limited {
			h.rest(err, now, min(max(after, restFirst), restLast))
			h.probed = h.until.Add(-probeEach) // it said itself until when
		}
		// else it is busy with this file, as a proxy is that fetches it
	case upstream.Unreached:
		h.unreached(err, now)
	}
}

// judge notes whether something went well whose failures are all alike.
func (h *health) judge(err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.well()
		return
	}
	h.wrong(err, now)
}

func (h *health) well() { h.row, h.lost, h.until, h.broken, h.last = 0, nil, time.Time{}, false, nil }

func (h *health) wrong(err error, now time.Time) {
	h.row++
	if h.row < 2 {
		return
	}
	d := restFirst
	for n := h.row; n > 2 && d < restLast; n-- {
		d *= 2
	}
	h.rest(err, now, min(d, restLast))
}

func (h *health) unreached(err error, now time.Time) {
	h.lost = append(h.lost, now)
	for len(h.lost) > breakAfter || now.Sub(h.lost[0]) > breakWithin {
		h.lost = h.lost[1:]
	}
	if len(h.lost) == breakAfter || h.broken {
		h.broken = true
		h.rest(err, now, restBroken)
	}
}

func (h *health) rest(err error, now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(h.until) {
		h.until = until
	}
	h.last, h.probed = err, now
}

// wake has the upstream asked at once.
func (h *health) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until, h.broken = time.Time{}, false
}

// resting gives until when the upstream is left alone, zero if it is not, and
// whether that is because it could not be reached.
func (h *health) resting(now time.Time) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !now.Before(h.until) {
		return time.Time{}, h.broken
	}
	return h.until, h.broken
}
