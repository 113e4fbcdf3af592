package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/server/bucket/buckettest"
	"coredrop/server/metrics"
	"coredrop/server/symbols"
)

// having is an upstream that has the demo's PDB.
func having(t *testing.T) (url string, pdb []byte) {
	t.Helper()
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pdb) }))
	t.Cleanup(up.Close)
	return up.URL, pdb
}

// What the shared store does is counted and logged, and a server that has nobody else to
// ask serves from it.
func TestSharedStoreIsCounted(t *testing.T) {
	s := buckettest.Start(t)
	up, pdb := having(t)
	t.Setenv("AWS_REGION", "elsewhere-1") // what is said goes first
	shared := []string{"-s3-endpoint", s.URL, "-s3-region", buckettest.Region, "-shared", "s3://" + s.Bucket}
	serve := func(args ...string) (urls []string, stop func() (int, string)) {
		return startSaying(t, 2, append(append([]string{"serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-log", "json", "-cache", filepath.Join(t.TempDir(), "made")}, shared...), args...)...)
	}
	has := func(urls []string, want ...string) {
		t.Helper()
		for _, w := range want {
			for text := []byte(nil); !bytes.Contains(text, []byte(w)); { // it is counted when it was done
				_, text = fetch(t, urls[1]+"metrics")
			}
		}
	}
	urls, stop := serve("-upstream", up)
	fetch(t, urls[0]+"symbols/"+demo.PDBKey)
	has(urls, `symcache_shared_reads_total{result="miss"} 1`, `symcache_shared_writes_total{result="written"} 1`, `symcache_shared_writes_waiting 0`, `symcache_shared_resting{operation="read"} 0`)
	if code, log := stop(); code != exitDone || !strings.Contains(log, `"source":"upstream"`) || strings.Contains(log, "WARN") {
		t.Errorf("exit %d: %s", code, log)
	}
	urls, stop = serve("-upstream", "none")
	if _, about := fetch(t, urls[0]+"version.json"); !bytes.Contains(about, []byte(`"symbols":true`)) {
		t.Errorf("the page is not told: %s", about)
	}
	if status, body := fetch(t, urls[0]+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	has(urls, `symcache_shared_reads_total{result="hit"} 1`, `symcache_requests_total{result="hit"} 1`)
	if _, log := stop(); !strings.Contains(log, `"source":"shared"`) || strings.Contains(log, "WARN") {
		t.Error(log)
	}
	s.Put(t, demo.PDBKey, strings.NewReader("something else"), 14)
	urls, stop = serve("-upstream", up)
	if status, body := fetch(t, urls[0]+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	has(urls, `symcache_shared_reads_total{result="wrong"} 1`)
	if _, log := stop(); !strings.Contains(log, `"level":"WARN","msg":"shared store","key":"`+demo.PDBKey) || !strings.Contains(log, `"source":"upstream"`) {
		t.Error(log)
	}
}

// Each number has its metric.
func TestSharedSnapshot(t *testing.T) {
	if got := snapshot(symbols.Stats{}).Shared; got != nil {
		t.Errorf("%+v", got)
	}
	got := snapshot(symbols.Stats{Shared: &symbols.SharedStats{Hits: 1, Misses: 2, Wrong: 3, Failed: 4, Written: 5, Unwritten: 6, Dropped: 7, Waiting: 8, ReadsRest: true}}).Shared
	if want := (metrics.Shared{Hits: 1, Misses: 2, Wrong: 3, Failed: 4, Written: 5, Unwritten: 6, Dropped: 7, Waiting: 8, ReadsRest: true}); *got != want {
		t.Errorf("%+v", got)
	}
	if got := snapshot(symbols.Stats{Shared: &symbols.SharedStats{WritesRest: true}}).Shared; *got != (metrics.Shared{WritesRest: true}) {
		t.Errorf("%+v", got)
	}
}

// A server whose bucket cannot be reached is ready, and serves as without.
func TestServeWithoutItsBucket(t *testing.T) {
	up, pdb := having(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	buckettest.Environment(t)
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", up, "-cache", t.TempDir(), "-s3-endpoint", gone.URL, "-shared", "s3://cores/symbols/")
	if status, _ := fetch(t, url+"readyz"); status != http.StatusNoContent {
		t.Errorf("readyz: %d", status)
	}
	if status, body := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if status, _ := fetch(t, url+"readyz"); status != http.StatusNoContent {
		t.Errorf("readyz afterwards: %d", status)
	}
	if code, log := stop(); code != exitDone || !strings.Contains(log, "s3://cores/symbols/"+demo.PDBKey) {
		t.Errorf("exit %d: %s", code, log)
	}
}

// What is being written when the server is told to end is written, within the time for
// that; then it is cut off and nothing of it is there.
func TestDrainOfWrites(t *testing.T) {
	s := buckettest.Start(t)
	up, _ := having(t)
	for _, within := range []string{"1h", "1ms"} {
		s.Reset()
		begun, release := make(chan bool), make(chan bool)
		begin := sync.OnceFunc(func() { close(begun) })
		s.Act(func(_ int, r *http.Request) buckettest.Fault {
			switch {
			case buckettest.Name(r) != "PutObject":
				return buckettest.Fault{}
			case within == "1ms":
				return buckettest.Fault{Before: begin, Stall: true}
			}
			return buckettest.Fault{Before: func() { begin(); <-release }}
		})
		urls, stop := startSaying(t, 2, "serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-upstream", up, "-cache", t.TempDir(),
			"-s3-endpoint", s.URL, "-shared", "s3://"+s.Bucket+"/"+within+"/", "-shutdown-timeout", within)
		fetch(t, urls[0]+"symbols/"+demo.PDBKey)
		<-begun
		ended := make(chan int, 1)
		go func() { code, _ := stop(); ended <- code }()
		if within == "1h" {
			for { // until it knows that it is to end
				if status, _ := fetch(t, urls[1]+"readyz"); status == http.StatusServiceUnavailable {
					break
				}
				time.Sleep(time.Millisecond)
			}
			close(release)
		}
		if code := <-ended; code != exitDone {
			t.Errorf("exit %d", code)
		}
		if there := s.Get(t, within+"/"+demo.PDBKey) != nil; there != (within == "1h") {
			t.Errorf("%s: it is there: %v", within, there)
		}
	}
}
