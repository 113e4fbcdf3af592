package symbols

import (
	"context"
	"errors"
	"io"
	"sync"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// What is written to the shared store at most: no client waits for it.
const (
	writers       = 2
	writesWaiting = 64
)

// behind are the files that the cache has and the shared store shall have; its zero
// value is empty. Their bytes stay in the cache until their turn comes.
type behind struct {
	mu      sync.Mutex
	queue   []symstore.Key
	working int
	running sync.WaitGroup // the writers
}

// writeBehind has a file of the cache written to the shared store, unless too many wait.
func (h *Handler) writeBehind(key symstore.Key) {
	b := &h.tier.behind
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) >= writesWaiting {
		h.tier.dropped.Add(1)
		return
	}
	b.queue = append(b.queue, key)
	if b.working < writers {
		b.working++
		b.running.Go(func() {
			for key, ok := b.next(); ok; key, ok = b.next() {
				h.writeShared(key)
			}
		})
	}
}

// next gives what is to be written; false: nothing, and one writer less.
func (b *behind) next() (key symstore.Key, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.working--
		return key, false
	}
	key, b.queue = b.queue[0], b.queue[1:]
	return key, true
}

func (b *behind) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// writeShared writes a file of the cache to the shared store, if it is still there and
// still right.
func (h *Handler) writeShared(key symstore.Key) {
	t, base := h.tier, h.base()
	if base.Err() != nil || t.writes.admit(h.now()) != nil {
		t.dropped.Add(1)
		return
	}
	file, err := h.kept(base, key)
	if err != nil {
		t.dropped.Add(1)
		return
	}
	defer file.Close() // only read
	ctx, cancel := context.WithTimeoutCause(base, allowance(file.Size()), errSlow)
	defer cancel()
	err = t.store.Put(ctx, key, io.NewSectionReader(file, 0, file.Size()))
	switch {
	case err == nil:
		t.written.Add(1)
		t.writes.judge(nil, h.now())
	case base.Err() != nil:
		t.dropped.Add(1)
	default:
		if errors.Is(context.Cause(ctx), errSlow) {
			err = fault.Wrap(errSlow, fault.SymbolsUnreadable, "the shared store takes too long to take %s", key.Name)
		}
		t.unwritten.Add(1)
		t.writes.judge(err, h.now())
		h.troubled(key, err)
	}
}
