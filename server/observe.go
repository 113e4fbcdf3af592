package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/accesslog"
	"coredrop/server/metrics"
	"coredrop/server/symbols"
)

// observe has what a symbol server does counted, and each request written to a
// log.
func observe(h *symbols.Handler, log *slog.Logger) *metrics.Metrics {
	version, commit := buildVersion()
	m := metrics.New(version, commit, func() metrics.Snapshot { return snapshot(h.Stats()) }, time.Now)
	lines := &accesslog.Log{Out: log}
	h.Observe = func(q symbols.Request) {
		result, sent := resultOf(q), int64(0)
		if q.Err == nil {
			sent = q.Bytes // of the file, not of an error's text
		}
		m.Answered(result, sent)
		lines.Write(context.Background(), entry(q))
	}
	h.Fetched = func(f symbols.Fetch) {
		outcome := "ok"
		if f.Code != "" {
			outcome = string(f.Code)
		}
		m.Fetched(f.Host, outcome, f.Took)
	}
	h.SharedTrouble = func(k symstore.Key, err error) {
		log.Warn("shared store", "key", k.String(), "error", fault.As(err).Text)
	}
	return m
}

// resultOf gives a request's result as the metrics and the log have it.
func resultOf(q symbols.Request) string {
	switch {
	case q.Code == fault.SymbolsNotFound:
		return metrics.Negative
	case q.Status == http.StatusServiceUnavailable:
		return metrics.Refused
	case q.Result == metrics.Hit || q.Result == metrics.Miss:
		return q.Result
	}
	return metrics.Error
}

func entry(q symbols.Request) accesslog.Entry {
	e := accesslog.Entry{
		Method: q.Method, Key: q.Key, Status: q.Status, Result: resultOf(q), Source: q.Source, Upstream: q.Upstream,
		Bytes: q.Bytes, Took: q.Took, Code: string(q.Code), Unkept: q.Unkept,
		Miss: q.Status == http.StatusNotFound,
		Mend: q.Code == fault.SymbolsUnreadable || q.Code == fault.Internal,
	}
	if q.Err != nil {
		e.Source = "" // nothing came from there
		e.Text = fault.As(q.Err).Text
	}
	return e
}

func snapshot(s symbols.Stats) metrics.Snapshot {
	out := metrics.Snapshot{
		Requests: s.Requests, Downloads: s.Downloads, Waiting: s.Waiting, Misses: s.Misses,
		HeldBytes: s.Cache.Held, CacheBytes: s.Cache.Bytes, CacheLimit: max(s.Cache.Limit, 0),
		CacheFiles: s.Cache.Files, CacheOldest: s.Cache.Oldest, Evicted: s.Cache.Evicted,
	}
	if sh := s.Shared; sh != nil {
		out.Shared = &metrics.Shared{
			Hits: sh.Hits, Misses: sh.Misses, Wrong: sh.Wrong, Failed: sh.Failed,
			Written: sh.Written, Unwritten: sh.Unwritten, Dropped: sh.Dropped, Waiting: sh.Waiting,
			ReadsRest: sh.ReadsRest, WritesRest: sh.WritesRest,
		}
	}
	for _, u := range s.Upstreams {
		out.Breakers = append(out.Breakers, metrics.Breaker{Upstream: u.Host, Open: u.BreakerOpen})
	}
	return out
}
