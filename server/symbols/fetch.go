package symbols

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

const (
	// fetchLimit is how long a download may go on after its clients have left.
	fetchLimit = 15 * time.Minute
	// heldBytes limits a file that the cache does not take, which is held in
	// memory while it is sent. A kernel's PDB has about 11 MB.
	heldBytes = 64 << 20
)

// fetched is how a download went.
type fetched struct {
	file   symstore.File // only if the cache did not take it: in memory, for all who wait
	host   string        // the upstream that gave it, or whose error it is
	unkept string        // why the cache did not take it
}

// flights are the downloads that are running.
type flights struct {
	group   singleflight.Group
	mu      sync.Mutex // makes looking at closed and adding to running one step
	closed  bool
	running sync.WaitGroup
}

// fetch waits for the one download of a key, however many ask. The download has
// a context of its own: the client that began it may leave without taking it
// from the others.
func (h *Handler) fetch(ctx context.Context, key symstore.Key) (fetched, error) {
	flight := h.flights.group.DoChan(key.String(), func() (any, error) { return h.download(key) })
	deadline := h.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case result := <-flight:
		return result.Val.(fetched), result.Err
	case <-timer.C:
		return fetched{}, fault.New(fault.ServerBusy, "%s is still being fetched", key.Name).Hint("the server goes on: ask again in %s seconds", retryAfter)
	case <-ctx.Done():
		return fetched{}, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
	}
}

// download asks the upstreams, and remembers it if they do not have the file.
func (h *Handler) download(key symstore.Key) (fetched, error) {
	base := h.Base
	if base == nil {
		base = context.Background()
	}
	h.flights.mu.Lock()
	closed := h.flights.closed
	if !closed {
		h.flights.running.Add(1)
		defer h.flights.running.Done()
	}
	h.flights.mu.Unlock()
	stopping := fault.New(fault.ServerBusy, "this server is being stopped")
	if closed {
		return fetched{}, stopping
	}
	ctx, cancel := context.WithTimeout(base, fetchLimit)
	defer cancel()
	got, err := h.ask(ctx, key)
	switch {
	case err == nil:
		h.misses.forget(key)
	case base.Err() != nil:
		return got, stopping
	default:
		h.misses.add(key, err, h.now())
	}
	return got, err
}

// Wait lets no download begin any more and waits for those that run, at most for
// limit: one that is cut off by the end of the program leaves its temporary file.
func (h *Handler) Wait(limit time.Duration) {
	h.flights.mu.Lock()
	h.flights.closed = true
	h.flights.mu.Unlock()
	done := make(chan struct{})
	go func() { h.flights.running.Wait(); close(done) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// ask tries the upstreams in order. The error is the first that says more than
// that a server does not have the file.
func (h *Handler) ask(ctx context.Context, key symstore.Key) (fetched, error) {
	var failed fetched
	var failure error
	for _, u := range h.Upstreams {
		got, err := h.askOne(ctx, u, key)
		if err == nil {
			return got, nil
		}
		if failure == nil || fault.Is(failure, fault.SymbolsNotFound) && !fault.Is(err, fault.SymbolsNotFound) {
			failed, failure = got, err
		}
	}
	return failed, failure
}

// askOne fetches from one upstream into the cache, verified. Where the cache does
// not take it the file is fetched for those who wait.
func (h *Handler) askOne(ctx context.Context, u Upstream, key symstore.Key) (fetched, error) {
	got := fetched{host: u.Host()}
	c := symstore.Chain{Fetcher: fetcher{u}, FetchBytes: heldBytes}
	f, err := c.Fetch(ctx, symstore.Link{Places: []symstore.Place{{Name: "the cache", Store: h.Cache}}, URL: got.host}, key)
	if len(c.Warnings) > 0 {
		got.unkept = c.Warnings[0].Text
	}
	switch {
	case err != nil:
		return got, err
	case got.unkept != "":
		got.file = f
	default:
		f.Close() // each client opens it for itself
	}
	return got, nil
}

// fetcher makes an upstream the Fetcher of a chain that has one.
type fetcher struct{ u Upstream }

func (f fetcher) Fetch(ctx context.Context, _ string, k symstore.Key) (io.ReadCloser, int64, error) {
	return f.u.Open(ctx, k)
}
