package admin

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
)

// Readiness is whether new clients should be sent here: the server can do its
// work and is not being stopped. Upstreams that are down do not count: what is
// cached is served. The zero value, and nil, are ready.
type Readiness struct {
	// Check gives why the server cannot do its work. If nil, it can.
	Check func() error

	draining atomic.Bool
}

// Drain makes the answer no, for good: what was begun is finished and nothing
// new should come.
func (r *Readiness) Drain() {
	if r != nil {
		r.draining.Store(true)
	}
}

// ServeHTTP answers /readyz for anybody: 204, or 503 without the reason, which
// may name what is on this machine.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) { r.serve(w, false) }

func (r *Readiness) serve(w http.ResponseWriter, reason bool) {
	w.Header().Set("Cache-Control", "no-store")
	err := r.check()
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	text := "not ready"
	if reason {
		text = fmt.Sprintf("not ready: %v", err)
	}
	http.Error(w, text, http.StatusServiceUnavailable)
}

func (r *Readiness) check() error {
	switch {
	case r == nil:
		return nil
	case r.draining.Load():
		return errDraining
	case r.Check != nil:
		return r.Check()
	}
	return nil
}

var errDraining = errors.New("the server is being stopped")
