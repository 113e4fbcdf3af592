package symbols

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"coredrop/core/fault"
	"coredrop/server/cache"
)

// Where a file can come from.
const (
	sourceStore    = "store"
	sourceCache    = "cache"
	sourceShared   = "shared"
	sourceUpstream = "upstream"
	sourceMemory   = "memory"
	sourceMisses   = "misses"
)

// Request is what became of a request.
type Request struct {
	Method, Key string // the key is empty where the address is none: that may hold anything
	Status      int
	// Result is hit (from a store, the cache or the shared store), miss (fetched now), negative (a
	// failure that was remembered), refused (503: to be asked again), error (any
	// other failure) or method.
	Result   string
	Code     fault.Code    // of the failure
	Source   string        // store, cache, shared, upstream, memory (fetched, and kept nowhere), or nothing
	Upstream string        // the host that gave the file, or whose failure it is
	Bytes    int64         // of the body, as far as it was sent
	Took     time.Duration // until the last byte was given to the system
	Err      error
	Unkept   string // why a fetched file is not in the cache
}

// Fetch is what became of a download.
type Fetch struct {
	Host  string
	Took  time.Duration
	Bytes int64
	Code  fault.Code // "": the file came, and is the right one
}

func resultOf(err error) string {
	if fault.Is(err, fault.ServerBusy) {
		return "refused"
	}
	return "error"
}

// log writes one line: no query, no header, nothing of the client's files. What
// the one who runs the server can mend is a warning.
func (h *Handler) log(r *http.Request, q Request) {
	if h.Log == nil {
		return
	}
	level := slog.LevelInfo
	result := string(q.Code)
	switch {
	case q.Result == "method":
		result = q.Result
	case q.Code == "":
		result = "ok"
	}
	line := []any{"method", q.Method, "key", q.Key, "status", q.Status, "result", result, "source", q.Source, "bytes", q.Bytes, "ms", q.Took.Milliseconds()}
	if q.Upstream != "" {
		line = append(line, "upstream", q.Upstream)
	}
	if q.Err != nil {
		line = append(line, "error", fault.As(q.Err).Text)
		if q.Code == fault.SymbolsUnreadable || q.Code == fault.Internal {
			level = slog.LevelWarn
		}
	}
	if q.Unkept != "" {
		line = append(line, "unkept", q.Unkept)
		level = slog.LevelWarn
	}
	h.Log.Log(context.WithoutCancel(r.Context()), level, "symbols", line...)
}

// Stats is what a server does and has at the moment.
type Stats struct {
	Requests  int // being answered
	Downloads int // running, of all upstreams
	Waiting   int // downloads that wait for others to end
	Misses    int // failures that are remembered
	Cache     cache.Stats
	Shared    *SharedStats // nil: there is none
	Upstreams []UpstreamStats
}

// UpstreamStats is how an upstream does.
type UpstreamStats struct {
	Host               string
	Downloads, Waiting int
	BreakerOpen        bool      // it is left alone, but for a probe now and then
	RestingUntil       time.Time // until when; zero: it is asked
}

// Stats gives the numbers of the moment.
func (h *Handler) Stats() Stats {
	h.prepare()
	s := Stats{Requests: int(h.requests.Load()), Misses: h.misses.count()}
	if h.Cache != nil {
		s.Cache = h.Cache.Stats()
	}
	if h.tier != nil {
		s.Shared = h.tier.stats(h.now())
	}
	for _, p := range h.pools {
		u := p.stats(h.now())
		s.Downloads += u.Downloads
		s.Waiting += u.Waiting
		s.Upstreams = append(s.Upstreams, u)
	}
	return s
}

// HasFiles reports whether there is anything that could be asked for.
func (h *Handler) HasFiles() bool {
	return len(h.Stores)+len(h.Upstreams) > 0 || h.Shared != nil || h.Cache != nil && h.Cache.Stats().Files > 0
}

// Ready reports whether what is fetched can be kept; nil too where nothing is.
func (h *Handler) Ready() error {
	if h.Cache == nil {
		return nil
	}
	return h.Cache.Ready()
}

// Refresh has the next request for a key, NAME/ID/NAME, ask the shared store and the
// upstreams, whatever is remembered of it and of them.
func (h *Handler) Refresh(key string) error {
	h.prepare()
	_, k, err := ParsePath(&url.URL{Path: key})
	if err != nil {
		return err
	}
	h.misses.forget(k)
	if h.tier != nil {
		h.tier.reads.wake()
		h.tier.writes.wake()
	}
	for _, p := range h.pools {
		p.health.wake()
	}
	return nil
}
