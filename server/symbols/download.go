package symbols

import (
	"context"
	"errors"
	"io"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// download asks the shared store and then the upstreams in order, and remembers it if
// they do not have the file. The error is the upstreams' first that says more than that
// a server does not have it; where there are none it is the shared store's.
func (h *Handler) download(ctx context.Context, f *flight, q question) (found, error) {
	// Another download may have ended between this client's look and now.
	if file, err := h.kept(ctx, q.key); err == nil {
		return found{file: file, source: sourceCache}, nil
	}
	if err := h.misses.known(q.key, h.now()); err != nil {
		return found{source: sourceMisses}, err
	}
	var failed found
	var failures []error
	var failure error
	wanted := false // by the shared store
	if h.tier != nil {
		got, err := h.askShared(ctx, f, q.key)
		if err == nil {
			h.misses.forget(q.key)
		}
		if err == nil || ctx.Err() != nil {
			return got, err
		}
		wanted = !unfit(err) // what is there stays until somebody removes it
		if len(h.pools) == 0 {
			failed, failure, failures = got, err, []error{err}
		}
	}
	for _, p := range h.pools {
		got, err := h.ask(ctx, f, p, q)
		if err == nil {
			h.misses.forget(q.key)
			if wanted && got.unkept == "" {
				h.writeBehind(q.key)
			}
			return got, nil
		}
		failures = append(failures, err)
		if failure == nil || fault.Is(failure, fault.SymbolsNotFound) && !fault.Is(err, fault.SymbolsNotFound) {
			failed, failure = got, err
		}
		if ctx.Err() != nil {
			return failed, failure
		}
	}
	h.misses.add(q.key, failure, failures, h.now())
	return failed, failure
}

// ask fetches from one upstream into the cache, verified.
func (h *Handler) ask(ctx context.Context, f *flight, p *pool, q question) (found, error) {
	got := found{host: p.u.Host(), source: sourceUpstream}
	if err := p.health.rests(h.now()); err != nil {
		return got, err
	}
	if err := p.acquire(ctx); err != nil {
		return got, err
	}
	defer p.release()
	if err := p.health.admit(h.now()); err != nil {
		return got, err
	}
	began := time.Now()
	body, size, err := p.u.Open(upstream.WithVia(ctx, h.onward(q.via)), q.asked)
	r := &arriving{ctx: ctx, from: "the symbol server", r: body, size: size, name: q.key.Name}
	if err == nil {
		h.flows(f)
		got, err = h.take(got, r, q.key)
		body.Close() // only read
	}
	p.health.record(err, h.now())
	if h.Fetched != nil {
		said := Fetch{Host: got.host, Took: time.Since(began), Bytes: r.done}
		if err != nil {
			said.Code = fault.As(err).Code
		}
		h.Fetched(said)
	}
	return got, err
}

// take keeps what arrives, if it is the right file.
func (h *Handler) take(got found, r *arriving, key symstore.Key) (found, error) {
	taken, err := h.Cache.Take(key, r, r.size, func(f symstore.File) error { return symstore.Verify(f, key) })
	if err != nil {
		return got, err
	}
	got.file, got.unkept = taken, taken.Unkept
	if got.unkept != "" && got.source == sourceUpstream {
		got.source = sourceMemory
	}
	return got, nil
}

// arriving is a body that is read: its errors are those of who gives it, and its
// length is compared with the one that was announced.
type arriving struct {
	ctx    context.Context
	from   string // who gives it
	r      io.Reader
	size   int64 // -1: not announced
	done   int64
	name   string
	failed bool // there was an error
}

// Read reads on.
func (a *arriving) Read(p []byte) (n int, err error) {
	defer func() { a.failed = a.failed || err != nil && err != io.EOF }()
	if a.ctx.Err() != nil {
		return 0, fault.Wrap(context.Cause(a.ctx), fault.Cancelled, "")
	}
	n, err = a.r.Read(p)
	a.done += int64(n)
	var said *fault.Error
	switch {
	case err == io.EOF && a.size >= 0 && a.done != a.size:
		err = fault.Wrap(io.ErrUnexpectedEOF, fault.SymbolsOffline, "%s gave %d bytes of %s and had announced %d", a.from, a.done, a.name, a.size)
	case err != nil && err != io.EOF && !errors.As(err, &said):
		err = fault.Wrap(err, fault.SymbolsOffline, "%s broke off %s after %d bytes", a.from, a.name, a.done)
	}
	return n, err
}
