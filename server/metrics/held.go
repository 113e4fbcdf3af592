package metrics

import "github.com/prometheus/client_golang/prometheus"

// held are the metrics that are read when somebody asks.
type held struct{ m *Metrics }

var (
	inflight   = prometheus.NewDesc("symcache_inflight", "Requests that are being answered.", nil, nil)
	downloads  = prometheus.NewDesc("symcache_downloads", "Downloads from upstreams that are running.", nil, nil)
	waiting    = prometheus.NewDesc("symcache_waiting", "Downloads that wait for their turn.", nil, nil)
	misses     = prometheus.NewDesc("symcache_misses", "Failures that are remembered.", nil, nil)
	heldBytes  = prometheus.NewDesc("symcache_held_bytes", "Bytes in memory, of files that the cache does not take.", nil, nil)
	cacheBytes = prometheus.NewDesc("symcache_cache_bytes", "Bytes in the cache.", nil, nil)
	cacheLimit = prometheus.NewDesc("symcache_cache_limit_bytes", "Bytes the cache may have; 0: no limit.", nil, nil)
	cacheFiles = prometheus.NewDesc("symcache_cache_files", "Files in the cache.", nil, nil)
	evicted    = prometheus.NewDesc("symcache_evicted_total", "Files that had to make room for others.", nil, nil)
	oldestAge  = prometheus.NewDesc("symcache_cache_oldest_age_seconds", "Since the file that is evicted next was last used.", nil, nil)
	breaker    = prometheus.NewDesc("symcache_breaker_open", "1 while an upstream is left alone because it failed too often.", []string{"upstream"}, nil)
)

// Those of the shared store, if there is one.
var (
	sharedReads   = prometheus.NewDesc("symcache_shared_reads_total", "Files asked of the shared store, by result: hit, miss, wrong (not what its key says), error.", []string{"result"}, nil)
	sharedWrites  = prometheus.NewDesc("symcache_shared_writes_total", "Files for the shared store, by result: written, error, dropped (not tried).", []string{"result"}, nil)
	sharedWaiting = prometheus.NewDesc("symcache_shared_writes_waiting", "Files that wait to be written to the shared store.", nil, nil)
	sharedResting = prometheus.NewDesc("symcache_shared_resting", "1 while the shared store is left alone because it failed, by what it is asked to do.", []string{"operation"}, nil)
)

// Describe implements prometheus.Collector.
func (held) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inflight, downloads, waiting, misses, heldBytes, cacheBytes, cacheLimit, cacheFiles, evicted, oldestAge, sharedReads, sharedWrites, sharedWaiting, sharedResting, breaker} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (h held) Collect(c chan<- prometheus.Metric) {
	s := h.m.snapshot()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(inflight, float64(s.Requests))
	gauge(downloads, float64(s.Downloads))
	gauge(waiting, float64(s.Waiting))
	gauge(misses, float64(s.Misses))
	gauge(heldBytes, float64(s.HeldBytes))
	gauge(cacheBytes, float64(s.CacheBytes))
	gauge(cacheLimit, float64(s.CacheLimit))
	gauge(cacheFiles, float64(s.CacheFiles))
	counter(evicted, s.Evicted)
	if !s.CacheOldest.IsZero() {
		gauge(oldestAge, h.m.now().Sub(s.CacheOldest).Seconds())
	}
	if sh := s.Shared; sh != nil {
		counter(sharedReads, sh.Hits, Hit)
		counter(sharedReads, sh.Misses, Miss)
		counter(sharedReads, sh.Wrong, "wrong")
		counter(sharedReads, sh.Failed, Error)
		counter(sharedWrites, sh.Written, "written")
		counter(sharedWrites, sh.Unwritten, Error)
		counter(sharedWrites, sh.Dropped, "dropped")
		gauge(sharedWaiting, float64(sh.Waiting))
		gauge(sharedResting, truth(sh.ReadsRest), "read")
		gauge(sharedResting, truth(sh.WritesRest), "write")
	}
	for _, b := range s.Breakers {
		gauge(breaker, truth(b.Open), b.Upstream)
	}
}

// truth is a condition as a number.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
