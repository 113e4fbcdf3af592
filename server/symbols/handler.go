// Package symbols answers /symbols/NAME/ID/NAME like a symbol server: for the
// page, which may ask its own origin only, and for debuggers. It looks in local
// stores, then asks the upstreams fixed at start on its own account, verifies
// what they give before anybody sees it, and keeps it. It takes no upstream and
// no path from a client: what reaches a store is built from a parsed key.
package symbols

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

const (
	// defaultDeadline is when a client gets an answer at the latest: SymSrv
	// gives up after 30 seconds, and blames the server.
	defaultDeadline = 25 * time.Second
	// fetchLimit is how long a download may go on after its clients have left.
	fetchLimit = 15 * time.Minute
	// retryAfter is what a client is told whose file is still on its way.
	retryAfter = "15"
)

// Upstream fetches a key into a store, verified, or not at all;
// *upstream.Client is one. Its errors are *fault.Error.
type Upstream interface {
	Into(ctx context.Context, store symstore.Store, k symstore.Key, report progress.Func) error
}

// Handler is the symbol server. The zero value works and has nothing. Its
// fields must not change once it serves.
type Handler struct {
	// Stores are read in order, before the cache; nothing is written to them.
	Stores []symstore.Store
	// Cache keeps what the upstreams gave. If nil, upstreams are not asked.
	Cache symstore.Store
	// Upstreams are asked in order.
	Upstreams []Upstream
	// Deadline is when a client is answered at the latest; its download goes
	// on. 0: 25 seconds.
	Deadline time.Duration
	// Log gets one line a request. If nil, nothing is logged.
	Log *slog.Logger
	// Now is the clock of the negative cache. If nil, time.Now.
	Now func() time.Time

	flights singleflight.Group
	once    sync.Once
	misses  misses
}

// ServeHTTP answers a request whose path is /NAME/ID/NAME, relative to where
// the handler is mounted. A failure is 404 and never 403, for which debuggers
// strike a host off for the whole session; its body is {code, text, remedy}.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	key, err := parsePath(r)
	if err != nil {
		h.refuse(w, err)
		return // the address may hold anything: it is not logged
	}
	if r.URL.Query().Get("_refresh") == "1" && fromLoopback(r) {
		h.misses.forget(key)
	}
	f, err := h.find(r.Context(), key)
	if err != nil {
		h.refuse(w, err)
		h.log(r, key, string(fault.As(err).Code), 0, began)
		return
	}
	defer f.Close()
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", `"`+key.ID+`"`)
	head.Set("Cache-Control", "public, max-age=31536000, immutable") // the key names the content
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(f, 0, f.Size()))
	h.log(r, key, "ok", f.Size(), began)
}

// parsePath reads the key. A path with escapes that Go decodes into something
// else (%2f, %00) is refused before it is looked at.
func parsePath(r *http.Request) (symstore.Key, error) {
	if r.URL.RawPath != "" {
		return symstore.Key{}, fault.New(fault.SymbolsNotFound, "this is not the address of a symbol file")
	}
	key, err := symstore.ParseKey(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || !strings.HasSuffix(strings.ToLower(key.Name), ".pdb") {
		// Debuggers probe for compressed files, file.ptr, index2.txt, pingme.txt.
		return symstore.Key{}, fault.New(fault.SymbolsNotFound, "this is not the address of a PDB")
	}
	return key, nil
}

// find gives the verified file, by whatever way is nearest.
func (h *Handler) find(ctx context.Context, key symstore.Key) (symstore.File, error) {
	var bad error // a store has something else under this name
	stores := h.Stores
	if h.Cache != nil {
		stores = append(stores[:len(stores):len(stores)], h.Cache)
	}
	for _, s := range stores {
		f, err := get(ctx, s, key)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && bad == nil {
			bad = err
		}
	}
	if h.Cache == nil || len(h.Upstreams) == 0 {
		if bad != nil {
			return nil, bad
		}
		return nil, fault.New(fault.SymbolsNotFound, "this server does not have %s and asks no other", key)
	}
	if err := h.misses.known(key, h.now()); err != nil {
		return nil, err
	}
	if err := h.fetch(ctx, key); err != nil {
		return nil, err
	}
	return get(ctx, h.Cache, key)
}

// get opens a file of a store and makes sure that it is what its name says.
func get(ctx context.Context, s symstore.Store, key symstore.Key) (symstore.File, error) {
	f, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := symstore.Verify(f, key); err != nil {
		f.Close() // only read
		return nil, err
	}
	return f, nil
}

// fetch waits for the one download of a key, however many ask. The download has
// a context of its own: the client that began it may leave without taking it
// from the others.
func (h *Handler) fetch(ctx context.Context, key symstore.Key) error {
	flight := h.flights.DoChan(key.String(), func() (any, error) {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		err := h.ask(own, key)
		if err != nil {
			h.misses.add(key, err, h.now())
		} else {
			h.misses.forget(key)
		}
		return nil, err
	})
	deadline := h.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case result := <-flight:
		return result.Err
	case <-timer.C:
		return fault.New(fault.ServerBusy, "%s is still being fetched", key.Name).Hint("the server goes on: ask again in %s seconds", retryAfter)
	case <-ctx.Done():
		return fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
	}
}

// ask tries the upstreams in order. The error is the first that says more than
// that a server does not have the file.
func (h *Handler) ask(ctx context.Context, key symstore.Key) error {
	var missing, telling error
	for _, u := range h.Upstreams {
		err := u.Into(ctx, h.Cache, key, nil)
		switch {
		case err == nil:
			return nil
		case fault.Is(err, fault.SymbolsNotFound):
			missing = err
		case telling == nil:
			telling = err
		}
	}
	if telling != nil {
		return telling
	}
	return missing
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// log writes one line: no query, no header, nothing of the client's files.
func (h *Handler) log(r *http.Request, key symstore.Key, result string, bytes int64, began time.Time) {
	if h.Log != nil {
		h.Log.Info("symbols", "method", r.Method, "key", key.String(), "result", result, "bytes", bytes, "ms", time.Since(began).Milliseconds())
	}
}

// fromLoopback reports whether the client is this machine.
func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}
