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
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

const (
	// defaultDeadline is when a client gets an answer at the latest: SymSrv
	// gives up after 30 seconds, and blames the server.
	defaultDeadline = 25 * time.Second
	// retryAfter is what a client is told whose file is still on its way.
	retryAfter = "15"
)

// Upstream gives the body of a key's file with its length, -1 where it is not
// known; *upstream.Client is one. Its errors, of reading too, are *fault.Error.
type Upstream interface {
	Open(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error)
	// Host names it for the log.
	Host() string
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
	// Base ends the downloads when it ends. If nil, they outlive all but Wait.
	Base context.Context
	// Deadline is when a client is answered at the latest; its download goes
	// on. 0: 25 seconds.
	Deadline time.Duration
	// Log gets one line a request. If nil, nothing is logged.
	Log *slog.Logger
	// Now is the clock of the negative cache. If nil, time.Now.
	Now func() time.Time

	flights flights
	misses  misses
}

// ServeHTTP answers a request whose path is /NAME/ID/NAME, relative to where
// the handler is mounted. A failure is 404 and never 403, for which debuggers
// strike a host off for the whole session; its body is {code, text, remedy}.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h.log(r, h.answer(w, r), began)
}

// answered is what the log says of a request.
type answered struct {
	key    string // empty where the address is none: that may hold anything
	result string
	bytes  int64
	err    error
	fetched
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) answered {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return answered{result: "method"}
	}
	key, err := parsePath(r)
	if err != nil {
		refuse(w, err)
		return answered{result: string(fault.As(err).Code), err: err}
	}
	if r.URL.Query().Get("_refresh") == "1" && fromLoopback(r) {
		h.misses.forget(key)
	}
	f, got, err := h.find(r.Context(), key)
	if err != nil {
		refuse(w, err)
		return answered{key: key.String(), result: string(fault.As(err).Code), err: err, fetched: got}
	}
	defer f.Close()
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", `"`+key.ID+`"`)
	head.Set("Cache-Control", "public, max-age=31536000, immutable") // the key names the content
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(f, 0, f.Size()))
	return answered{key: key.String(), result: "ok", bytes: f.Size(), fetched: got}
}

// parsePath reads the key and makes it the one of all its spellings, so that one
// file is fetched, kept and missed once. A path with escapes that Go decodes
// into something else (%2f, %00) is refused before it is looked at.
func parsePath(r *http.Request) (symstore.Key, error) {
	if r.URL.RawPath != "" {
		return symstore.Key{}, fault.New(fault.SymbolsNotFound, "this is not the address of a symbol file")
	}
	asked, err := symstore.ParseKey(strings.TrimPrefix(r.URL.Path, "/"))
	// Debuggers probe for compressed files, file.ptr, index2.txt, pingme.txt; and
	// what has no GUID and age cannot be verified.
	guid, age, ok := asked.GUIDAge()
	if err != nil || !ok {
		return symstore.Key{}, fault.New(fault.SymbolsNotFound, "this is not the address of a PDB")
	}
	return symstore.PDBKey(strings.ToLower(asked.Name), guid, age)
}

// find gives the verified file, by whatever way is nearest.
func (h *Handler) find(ctx context.Context, key symstore.Key) (symstore.File, fetched, error) {
	var bad error // a store has something else under this name
	stores := h.Stores
	if h.Cache != nil {
		stores = append(stores[:len(stores):len(stores)], h.Cache)
	}
	for _, s := range stores {
		f, err := symstore.Verified(ctx, s, key)
		if err == nil {
			return f, fetched{}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && bad == nil {
			bad = err
		}
	}
	if h.Cache == nil || len(h.Upstreams) == 0 {
		if bad != nil {
			return nil, fetched{}, bad
		}
		return nil, fetched{}, fault.New(fault.SymbolsNotFound, "this server does not have %s and asks no other", key)
	}
	if err := h.misses.known(key, h.now()); err != nil {
		return nil, fetched{}, err
	}
	got, err := h.fetch(ctx, key)
	if err != nil || got.file != nil {
		return got.file, got, err
	}
	f, err := symstore.Verified(ctx, h.Cache, key)
	return f, got, err
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// log writes one line: no query, no header, nothing of the client's files. What
// the one who runs the server can mend is a warning.
func (h *Handler) log(r *http.Request, a answered, began time.Time) {
	if h.Log == nil {
		return
	}
	level := slog.LevelInfo
	line := []any{"method", r.Method[:min(len(r.Method), 8)], "key", a.key, "result", a.result, "bytes", a.bytes, "ms", time.Since(began).Milliseconds()}
	if a.host != "" {
		line = append(line, "upstream", a.host)
	}
	if a.err != nil {
		line = append(line, "error", fault.As(a.err).Text)
		if fault.Is(a.err, fault.SymbolsUnreadable) || fault.As(a.err).Code == fault.Internal {
			level = slog.LevelWarn
		}
	}
	if a.unkept != "" {
		line = append(line, "unkept", a.unkept)
		level = slog.LevelWarn
	}
	h.Log.Log(context.WithoutCancel(r.Context()), level, "symbols", line...)
}

// fromLoopback reports whether the client is this machine.
func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}
