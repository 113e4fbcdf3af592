// Package metrics counts what the symbol server does and offers the numbers to
// Prometheus and to the page for people. It decides nothing.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The results of a request, the values of the label "result".
const (
	Hit      = "hit"      // from a store or the cache
	Miss     = "miss"     // fetched from an upstream for this request
	Negative = "negative" // nobody has it
	Refused  = "refused"  // to be asked again: it is on its way, or too much is
	Error    = "error"    // it could not be had, or the request was none
)

// Snapshot is what the symbol server holds at one moment.
type Snapshot struct {
	Requests    int   // being answered
	Downloads   int   // running
	Waiting     int   // for a download to begin
	Misses      int   // failures that are remembered
	HeldBytes   int64 // in memory, of files that the cache does not take
	CacheBytes  int64 // in the cache
	CacheLimit  int64 // of the cache; 0: none
	CacheFiles  int
	Evicted     int64     // files that had to make room
	CacheOldest time.Time // when the file that goes next was last used; zero: the cache is empty
	Shared      *Shared   // nil: there is no shared store
	Breakers    []Breaker
}

// Shared is how the store does that several servers share. The numbers are of files,
// since the start, but for Waiting.
type Shared struct {
	Hits, Misses, Wrong, Failed int64 // reads
	Written, Unwritten, Dropped int64 // writes
	Waiting                     int   // to be written
	ReadsRest, WritesRest       bool  // it is left alone after it failed
}

// Breaker is whether an upstream is left alone after it failed too often.
type Breaker struct {
	Upstream string
	Open     bool
}

// Metrics are the numbers of one server. New makes them; its methods may be
// called from several goroutines.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	sent     prometheus.Counter
	upstream *prometheus.HistogramVec
	snapshot func() Snapshot
	now      func() time.Time

	mu     sync.Mutex
	totals Totals
}

// Totals are the requests since the start.
type Totals struct {
	Since        time.Time
	Hits, Misses int64 // see the results
	Other        int64
	Bytes        int64 // sent
	Snapshot     Snapshot
}

// HitRate gives the share of the files handed out that were here already, in
// per cent; false: none was handed out.
func (t Totals) HitRate() (percent float64, ok bool) {
	all := t.Hits + t.Misses
	if all == 0 {
		return 0, false
	}
	return 100 * float64(t.Hits) / float64(all), true
}

// upstreamBuckets are in seconds: from a blob store nearby to the limit of a
// download.
var upstreamBuckets = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600}

// New makes the metrics of a program of that version and commit. snapshot is
// asked whenever somebody reads them; now is the clock.
func New(version, commit string, snapshot func() Snapshot, now func() time.Time) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		snapshot: snapshot,
		now:      now,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "symcache_requests_total", Help: "Requests for symbol files, by result: hit, miss (fetched now), negative, refused (503), error.",
		}, []string{"result"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "symcache_bytes_total", Help: "Bytes of symbol files sent.",
		}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "symcache_upstream_seconds", Help: "How long an upstream took for a file or a refusal, by upstream and outcome.", Buckets: upstreamBuckets,
		}, []string{"upstream", "outcome"}),
		totals: Totals{Since: now()},
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "coredrop_build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit},
	})
	build.Set(1)
	for _, result := range []string{Hit, Miss, Negative, Refused, Error} {
		m.requests.WithLabelValues(result) // a rate needs the zero
	}
	m.registry.MustRegister(m.requests, m.sent, m.upstream, build, held{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Answered counts a request and the bytes of the file that were sent.
func (m *Metrics) Answered(result string, sent int64) {
	m.requests.WithLabelValues(result).Inc()
	m.sent.Add(float64(sent))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Bytes += sent
	switch result {
	case Hit:
		m.totals.Hits++
	case Miss:
		m.totals.Misses++
	default:
		m.totals.Other++
	}
}

// Fetched counts one answer of an upstream; outcome is "ok" or a code.
func (m *Metrics) Fetched(upstream, outcome string, took time.Duration) {
	m.upstream.WithLabelValues(upstream, outcome).Observe(took.Seconds())
}

// Totals gives the numbers for the page for people.
func (m *Metrics) Totals() Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.totals
	t.Snapshot = m.snapshot()
	return t
}

// Handler answers in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
