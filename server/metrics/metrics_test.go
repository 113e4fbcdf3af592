package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestWhatIsScraped(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	snapshot := Snapshot{Requests: 1, Downloads: 3, Misses: 8, CacheFiles: 9, Evicted: 10, Waiting: 4, HeldBytes: 5, CacheBytes: 6, CacheLimit: 7, CacheOldest: now.Add(-time.Minute),
		Shared:   &Shared{Hits: 11, Misses: 12, Wrong: 13, Failed: 14, Written: 15, Unwritten: 16, Dropped: 17, Waiting: 18, WritesRest: true},
		Breakers: []Breaker{{"up.example", true}, {"other.example", false}}}
	m := New("v1", "abc", func() Snapshot { return snapshot }, func() time.Time { return now })
	m.Answered(Hit, 100)
	m.Answered(Hit, 11)
	m.Answered(Miss, 1000)
	m.Answered(Negative, 0)
	m.Fetched("up.example", "ok", 3*time.Second)
	scrape := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	text := scrape()
	for _, want := range []string{
		`symcache_requests_total{result="hit"} 2`,
		`symcache_requests_total{result="miss"} 1`,
		`symcache_requests_total{result="negative"} 1`,
		`symcache_requests_total{result="error"} 0`,
		`symcache_bytes_total 1111`,
		`symcache_inflight 1`,
		`symcache_upstream_seconds_bucket{outcome="ok",upstream="up.example",le="2.5"} 0`,
		`symcache_upstream_seconds_bucket{outcome="ok",upstream="up.example",le="5"} 1`,
		`symcache_downloads 3`, `symcache_waiting 4`, `symcache_held_bytes 5`,
		`symcache_misses 8`, `symcache_cache_files 9`, `symcache_evicted_total 10`, `symcache_requests_total{result="refused"} 0`,
		`symcache_cache_bytes 6`, `symcache_cache_limit_bytes 7`, `symcache_cache_oldest_age_seconds 60`,
		`symcache_shared_reads_total{result="hit"} 11`, `symcache_shared_reads_total{result="miss"} 12`,
		`symcache_shared_reads_total{result="wrong"} 13`, `symcache_shared_reads_total{result="error"} 14`,
		`symcache_shared_writes_total{result="written"} 15`, `symcache_shared_writes_total{result="error"} 16`,
		`symcache_shared_writes_total{result="dropped"} 17`, `symcache_shared_writes_waiting 18`,
		`symcache_shared_resting{operation="read"} 0`, `symcache_shared_resting{operation="write"} 1`,
		`symcache_breaker_open{upstream="up.example"} 1`,
		`symcache_breaker_open{upstream="other.example"} 0`,
		`coredrop_build_info{commit="abc",version="v1"} 1`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	snapshot = Snapshot{}
	if text := scrape(); strings.Contains(text, "oldest_age_seconds ") {
		t.Error("an empty cache has an oldest file")
	}
	if strings.Contains(scrape(), "symcache_shared") {
		t.Error("there is no shared store, and it has numbers")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func TestTotals(t *testing.T) {
	m := New("", "", func() Snapshot { return Snapshot{CacheBytes: 9} }, time.Now)
	if _, ok := m.Totals().HitRate(); ok {
		t.Error("a rate of nothing")
	}
	for range 3 {
		m.Answered(Hit, 10)
	}
	m.Answered(Miss, 10)
	m.Answered(Negative, 0)
	m.Answered(Error, 0)
	got := m.Totals()
	if rate, ok := got.HitRate(); !ok || rate != 75 || got.Bytes != 40 || got.Other != 2 || got.Snapshot.CacheBytes != 9 {
		t.Errorf("%v %v %+v", rate, ok, got)
	}
}
