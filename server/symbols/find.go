package symbols

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/diskstore"
)

// question is what a request asks for.
type question struct {
	key    symstore.Key // the one of all spellings
	asked  symstore.Key // as it was spelled
	via    string       // the proxies that pass it on
	looped bool         // this server is among them: nobody is asked
}

// found is a file, or what is known of why there is none.
type found struct {
	file   symstore.File // to be closed by who gets it
	source string
	host   string // the upstream that gave it, or whose error it is
	unkept string // why the cache did not take it
}

// errLate is the end of the time that a client can be let wait.
var errLate = errors.New("the client would give up")

// ended is the answer to a client that waited to the end of its context.
func ended(ctx context.Context, key symstore.Key) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errLate) {
		return fault.New(fault.ServerBusy, "%s is still being fetched", key.Name).Hint("the server goes on: ask again in %d seconds", int(retryAfter.Seconds()))
	}
	return fault.Wrap(cause, fault.Cancelled, "")
}

// find gives the verified file, by whatever way is nearest.
func (h *Handler) find(ctx context.Context, q question) (found, error) {
	here, bad, err := h.look(ctx, q.key)
	if err != nil || here.file != nil {
		return here, err
	}
	if h.Cache == nil || len(h.pools) == 0 && h.tier == nil || q.looped {
		if bad != nil {
			return found{}, bad
		}
		return found{}, fault.New(fault.SymbolsNotFound, "this server does not have %s and asks no other", q.key)
	}
	if err := h.misses.known(q.key, h.now()); err != nil {
		return found{source: sourceMisses}, err
	}
	return h.fetch(ctx, q)
}

// look looks into the stores, as long as the client can wait: a disk that hangs
// cannot be told to stop. bad is a store's that has something else there.
func (h *Handler) look(ctx context.Context, key symstore.Key) (here found, bad, err error) {
	select {
	case h.looking <- struct{}{}:
	case <-ctx.Done():
		return here, nil, ended(ctx, key)
	}
	type result struct {
		here found
		bad  error
	}
	results := make(chan result)
	go func() {
		defer func() { <-h.looking }()
		here, bad := h.lookInto(ctx, key)
		select {
		case results <- result{here, bad}:
		case <-ctx.Done():
			if here.file != nil {
				here.file.Close() // only read
			}
		}
	}()
	select {
	case r := <-results:
		return r.here, r.bad, nil
	case <-ctx.Done():
		return here, nil, ended(ctx, key)
	}
}

// lookInto looks into the stores in their order, then into the cache.
func (h *Handler) lookInto(ctx context.Context, key symstore.Key) (here found, bad error) {
	for i, s := range h.Stores {
		f, err := h.open(ctx, s, h.verifying[i], key)
		if err == nil {
			return found{file: f, source: sourceStore}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && bad == nil {
			bad = err
		}
	}
	if h.Cache == nil {
		return found{}, bad
	}
	f, err := h.kept(ctx, key)
	if err == nil {
		return found{file: f, source: sourceCache}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && bad == nil {
		bad = err
	}
	return found{}, bad
}

// kept opens the cache's file.
func (h *Handler) kept(ctx context.Context, key symstore.Key) (symstore.File, error) {
	return h.open(ctx, h.Cache, h.verifying[len(h.Stores)], key)
}

// open opens a store's file and verifies it, once as long as it stays the same.
// So many are verified at a time of one store as turns has places: when thousands
// want a file at once, nearly all of them find that another has done it.
func (h *Handler) open(ctx context.Context, s Store, turns chan struct{}, key symstore.Key) (symstore.File, error) {
	f, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	stamped, ok := f.(interface {
		Stamp() (diskstore.Stamp, bool)
	})
	var stamp diskstore.Stamp
	if ok {
		stamp, ok = stamped.Stamp()
	}
	if ok && h.verified.has(key, stamp) {
		return f, nil
	}
	select {
	case turns <- struct{}{}:
	case <-ctx.Done():
		f.Close() // only read
		return nil, ended(ctx, key)
	}
	defer func() { <-turns }()
	if ok && h.verified.has(key, stamp) {
		return f, nil
	}
	if err := symstore.Verify(f, key); err != nil {
		f.Close() // only read
		return nil, err
	}
	if ok {
		h.verified.add(key, stamp)
	}
	return f, nil
}

// maxVerified bounds what is remembered of files that are right.
const maxVerified = 10_000

// verified remembers which files were found to be what their keys say.
type verified struct {
	mu   sync.RWMutex
	list map[symstore.Key]diskstore.Stamp
}

func (v *verified) has(k symstore.Key, s diskstore.Stamp) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	known, ok := v.list[k]
	return ok && known == s
}

func (v *verified) add(k symstore.Key, s diskstore.Stamp) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.list == nil {
		v.list = map[symstore.Key]diskstore.Stamp{}
	}
	for other := range v.list {
		if len(v.list) < maxVerified {
			break
		}
		delete(v.list, other) // any: it is verified again when it is asked for
	}
	v.list[k] = s
}
