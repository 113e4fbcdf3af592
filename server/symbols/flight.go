package symbols

import (
	"context"
	"errors"
	"sync"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// fetchLimit is how long a download may go on after its clients have left.
const fetchLimit = 15 * time.Minute

// errAbandoned is the end of a download that had not begun to flow when the last
// client left.
var errAbandoned = errors.New("nobody waits for it any more")

// flights are the downloads that run, one for each key.
type flights struct {
	mu      sync.Mutex
	closed  bool
	list    map[symstore.Key]*flight
	running sync.WaitGroup
}

// flight is one download. It has a context of its own: the client that began it
// may leave without taking it from the others.
type flight struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when got and err are there
	got    found
	err    error

	// With the lock of the flights:
	wanted  int // clients that wait, or have the file open
	flowing bool
	ended   bool
}

// fetch waits for the one download of a key, however many ask.
func (h *Handler) fetch(ctx context.Context, q question) (found, error) {
	f, err := h.join(q)
	if err != nil {
		return found{}, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		h.leave(q.key, f)
		return found{}, ended(ctx, q.key)
	}
	got := f.got
	if f.err != nil {
		h.leave(q.key, f)
		return got, f.err
	}
	// The kernel sends a file that is open for one client alone.
	if own, _, err := h.look(ctx, q.key); err == nil && own.file != nil {
		h.leave(q.key, f)
		got.file = own.file
		return got, nil
	}
	got.file = &share{File: got.file, leave: sync.OnceFunc(func() { h.leave(q.key, f) })}
	return got, nil
}

// share is a file that several clients have open at once.
type share struct {
	symstore.File
	leave func()
}

// Close lets go of this client's part.
func (s *share) Close() error {
	s.leave()
	return nil
}

// join takes part in the download of a key, which it begins if need be.
func (h *Handler) join(q question) (*flight, error) {
	s := &h.flights
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.list[q.key]; f != nil {
		f.wanted++
		return f, nil
	}
	if s.closed {
		return nil, errStopping()
	}
	base := h.base()
	ctx, cancel := context.WithCancelCause(base)
	f := &flight{cancel: cancel, done: make(chan struct{}), wanted: 1}
	if s.list == nil {
		s.list = map[symstore.Key]*flight{}
	}
	s.list[q.key] = f
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		limited, stop := context.WithTimeout(ctx, fetchLimit)
		defer stop()
		defer cancel(nil)
		f.got, f.err = h.download(limited, f, q)
		if f.err != nil && base.Err() != nil {
			f.err = errStopping()
		}
		h.land(q.key, f)
	}()
	return f, nil
}

// base ends what no client is waited for.
func (h *Handler) base() context.Context {
	if h.Base != nil {
		return h.Base
	}
	return context.Background()
}

func errStopping() error { return fault.New(fault.ServerBusy, "this server is being stopped") }

// land gives a download's result to those who wait.
func (h *Handler) land(key symstore.Key, f *flight) {
	s := &h.flights
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ended = true
	if s.list[key] == f {
		delete(s.list, key)
	}
	if f.wanted == 0 && f.got.file != nil {
		f.got.file.Close() // the cache has it
	}
	close(f.done)
}

// leave takes one client from a download. The last one ends it, unless the file
// is on its way already; who asks for the same file next begins anew.
func (h *Handler) leave(key symstore.Key, f *flight) {
	s := &h.flights
	s.mu.Lock()
	defer s.mu.Unlock()
	f.wanted--
	switch {
	case f.wanted > 0:
	case f.ended:
		if f.got.file != nil {
			f.got.file.Close() // it was sent, or the cache has it
		}
	case !f.flowing:
		s.abandon(key, f)
	}
}

// flows notes that somebody gives the file: it is worth having now.
func (h *Handler) flows(f *flight) {
	h.flights.mu.Lock()
	defer h.flights.mu.Unlock()
	f.flowing = true
}

// ebbs notes that the file does not come from there: if nobody waits for it any more,
// nobody else is asked.
func (h *Handler) ebbs(key symstore.Key, f *flight) {
	s := &h.flights
	s.mu.Lock()
	defer s.mu.Unlock()
	f.flowing = false
	if f.wanted == 0 {
		s.abandon(key, f)
	}
}

// abandon ends a download that nobody waits for, with the lock held.
func (s *flights) abandon(key symstore.Key, f *flight) {
	f.cancel(errAbandoned)
	if s.list[key] == f {
		delete(s.list, key)
	}
}

// Wait lets no download begin any more and waits for those that run, and for what is to
// be written to the shared store, at most for limit: a download that is cut off by the
// end of the program leaves its temporary file.
func (h *Handler) Wait(limit time.Duration) {
	h.prepare()
	h.flights.mu.Lock()
	h.flights.closed = true
	h.flights.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.flights.running.Wait()
		if h.tier != nil {
			h.tier.behind.running.Wait() // downloads begin writes, nothing else does
		}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
