package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/cache"
	"coredrop/server/symbols"
)

// stalling is a symbol server that gives the first half of a file, and the rest
// when it is released; or that ends when its client is gone.
func stalling(t *testing.T) (url string, asked, release chan bool) {
	t.Helper()
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	asked, release = make(chan bool, 1), make(chan bool)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(pdb)))
		w.Write(pdb[:len(pdb)/2])
		http.NewResponseController(w).Flush()
		asked <- true
		select {
		case <-release:
			w.Write(pdb[len(pdb)/2:])
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(up.Close)
	return up.URL, asked, release
}

// A server that is told to end says at once that it is not ready, and gives
// those who asked before what they asked for.
func TestDrain(t *testing.T) {
	up, asked, release := stalling(t)
	urls, stop := startSaying(t, 2, "serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-upstream", up, "-cache", t.TempDir(), "-shutdown-timeout", "1h")
	if status, _ := fetch(t, urls[0]+"readyz"); status != http.StatusNoContent {
		t.Errorf("readyz at the start: %d", status)
	}
	if status, _ := fetch(t, urls[1]+"readyz"); status != http.StatusNoContent {
		t.Errorf("the admin listener's readyz at the start: %d", status)
	}
	answer := make(chan int, 1)
	go func() {
		status, _ := fetch(t, urls[0]+"symbols/"+demo.PDBKey)
		answer <- status
	}()
	<-asked
	ended := make(chan int, 1)
	go func() { code, _ := stop(); ended <- code }()
	for { // until it knows that it is to end
		if status, body := fetch(t, urls[1]+"readyz"); status == http.StatusServiceUnavailable {
			if !bytes.Contains(body, []byte("stopped")) {
				t.Errorf("it is not ready because %s", body)
			}
			break
		}
	}
	if status, _ := fetch(t, urls[1]+"healthz"); status != http.StatusNoContent {
		t.Errorf("healthz while it ends: %d", status)
	}
	close(release)
	if status := <-answer; status != http.StatusOK {
		t.Errorf("who asked before gets %d", status)
	}
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
}

func TestServeFlagsAreChecked(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-log xml", "-log is text or json"},
		{"-tls-cert a", "belong together"},
		{"-tls-key a", "belong together"},
		{"-max-clients 0", "at least 1"},
		{"-instance a,b", "a word of letters"},
		{"-cache-size 0", "not a number of bytes"},
		{"-cache-size 20XB", "not a number of bytes"},
		{"-shutdown-timeout 0s", "longer than nothing"},
		{"-shared b/symbols", "begins with s3://"},
		{"-shared https://store.example/b", "begins with s3://"},
		{"-s3-endpoint http://127.0.0.1:1", "belong to -shared"},
		{"-s3-region here", "belong to -shared"},
	} {
		var complaints strings.Builder
		if code := run(t.Context(), append([]string{"serve"}, strings.Fields(c.args)...), nil, io.Discard, &complaints); code != exitUsage || !strings.Contains(complaints.String(), c.says) {
			t.Errorf("%s: exit %d: %s", c.args, code, &complaints)
		}
	}
	for _, c := range []struct{ args, says string }{
		{"-tls-cert /nowhere/c -tls-key /nowhere/k", "/nowhere/c"},
		{"-admin 0.0.0.0:0", "can be reached from other machines"},
		{"-admin nothing", "neither HOST:PORT nor"},
		{"-shared s3://b -s3-endpoint store.example", "the object store's endpoint is an URL"},
	} {
		args := append([]string{"serve", "-addr", "127.0.0.1:0", "-upstream", "none"}, strings.Fields(c.args)...)
		ctx, cancel := context.WithCancel(t.Context())
		var complaints strings.Builder
		if code := run(ctx, args, nil, io.Discard, &complaints); code != exitFailed || !strings.Contains(complaints.String(), c.says) || !strings.Contains(complaints.String(), "[bad-option]") {
			t.Errorf("%s: exit %d: %s", c.args, code, &complaints)
		}
		cancel()
	}
}

// The log is text or JSON, one line a request.
func TestLogForms(t *testing.T) {
	for _, form := range []string{logText, logJSON} {
		url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-log", form)
		fetch(t, url+"symbols/"+demo.PDBKey)
		_, log := stop()
		var line map[string]any
		if isJSON := json.Unmarshal([]byte(log), &line) == nil; isJSON != (form == logJSON) || strings.Count(log, "\n") != 1 || !strings.Contains(log, demo.PDBKey) {
			t.Errorf("%s: %s", form, log)
		}
	}
}

func TestClientLimit(t *testing.T) {
	for _, c := range []struct{ asked, descriptors, want int }{
		{0, 1 << 20, defaultClients},
		{100, 1 << 20, 100},
		{0, 1024, 480},
		{100, 1024, 100},
		{0, 10, 1},
	} {
		if got := clientLimit(c.asked, c.descriptors); got != c.want {
			t.Errorf("%d of %d: %d, not %d", c.asked, c.descriptors, got, c.want)
		}
	}
}

// What is done is counted, for Prometheus and for people, and logged.
func TestWhatIsDoneIsCounted(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+demo.PDBKey {
			http.NotFound(w, r)
			return
		}
		w.Write(pdb)
	}))
	defer up.Close()
	urls, stop := startSaying(t, 2, "serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-upstream", up.URL, "-cache", t.TempDir(), "-cache-size", "1GiB", "-log", "json")
	absent := strings.Replace(demo.PDBKey, "BB8F", "0000", 1)
	for _, key := range []string{demo.PDBKey, demo.PDBKey, demo.PDBKey, demo.PDBKey, absent, absent, absent, "file.ptr"} {
		fetch(t, urls[0]+"symbols/"+key)
	}
	var text []byte
	for !bytes.Contains(text, []byte(`result="negative"} 4`)) { // an answer is counted when it was sent
		_, text = fetch(t, urls[1]+"metrics")
	}
	for _, want := range []string{
		`symcache_requests_total{result="hit"} 3`, `symcache_requests_total{result="miss"} 1`,
		`symcache_bytes_total 573440`, `symcache_cache_bytes 143360`, `symcache_cache_files 1`, `symcache_cache_limit_bytes 1.073741824e+09`,
		`symcache_upstream_seconds_count{outcome="ok",upstream="127.0.0.1"} 1`, `symcache_upstream_seconds_count{outcome="symbols-not-found",upstream="127.0.0.1"} 1`,
		`symcache_breaker_open{upstream="127.0.0.1"} 0`, `coredrop_build_info{`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
	if _, page := fetch(t, urls[0]+"symbols/"); !bytes.Contains(page, []byte("75 % were here already")) || !bytes.Contains(page, []byte(urls[0]+"symbols\n")) {
		t.Errorf("people see %s", page)
	}
	_, log := stop()
	count := func(what string) int { return strings.Count(log, what) }
	if count(`"result":"hit"`) != 3 || count(`"source":"upstream"`) != 1 || count(`"upstream":"127.0.0.1"`) != 2 || count(`"key":"`+absent) != 1 || count(`"bytes":143360`) != 4 {
		t.Errorf("the log: %s", log)
	}
}

// The admin listener forgets what is remembered of a key.
func TestRefresh(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	var there atomic.Bool
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !there.Load() {
			http.NotFound(w, r)
			return
		}
		w.Write(pdb)
	}))
	defer up.Close()
	urls, stop := startSaying(t, 2, "serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-proxy", up.URL, "-cache", t.TempDir())
	defer stop()
	ask := func() int {
		status, _ := fetch(t, urls[0]+"symbols/"+demo.PDBKey)
		return status
	}
	before := ask()
	there.Store(true)
	if remembered := ask(); before != http.StatusNotFound || remembered != http.StatusNotFound {
		t.Errorf("%d, %d", before, remembered)
	}
	for key, want := range map[string]int{"no/such": http.StatusBadRequest, demo.PDBKey: http.StatusNoContent} {
		r, err := http.Post(urls[1]+"refresh?key="+key, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d", key, r.StatusCode)
		}
	}
	if status := ask(); status != http.StatusOK {
		t.Errorf("afterwards %d", status)
	}
}

func TestByteSizes(t *testing.T) {
	for text, want := range map[string]byteSize{"1": 1, "20GiB": 20 << 30, "20g": 20 << 30, "500MB": 500 << 20, "3 KiB": 3 << 10, "2T": 2 << 40, "none": -1} {
		var b byteSize
		if err := b.Set(text); err != nil || b != want {
			t.Errorf("%s: %d, %v", text, b, err)
		}
		var again byteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%s is shown as %s: %v", text, &b, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "GiB", "1.5G", "20XB", "9999999T", "1 2"} {
		var b byteSize
		if err := b.Set(text); err == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

// A symbol path means to serve what it means to convert: stores are read, servers
// are asked, and the leftmost store keeps what they gave.
func TestServeAlongASymbolPath(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pdb) }))
	defer up.Close()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cache := filepath.Join(t.TempDir(), "cache")
	for _, path := range []string{
		"srv*" + cache + "*" + up.URL,
		cache, // what the first one kept
		filepath.Join(cache, filepath.FromSlash(demo.PDBKey)),
	} {
		url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-symbols", path)
		if status, body := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
			t.Errorf("%s: %d, %d bytes", path, status, len(body))
		}
		if code, complaints := stop(); code != exitDone || strings.Contains(complaints, "warning") {
			t.Errorf("%s: exit %d: %s", path, code, complaints)
		}
		if kept, err := os.ReadFile(filepath.Join(cache, filepath.FromSlash(demo.PDBKey))); err != nil || !bytes.Equal(kept, pdb) {
			t.Errorf("%s: kept: %d bytes, %v", path, len(kept), err)
		}
	}
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-symbols", "http://sym.example/s;bogus*x")
	if status, _ := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusNotFound {
		t.Errorf("nobody is left to ask: %d", status)
	}
	if _, complaints := stop(); !strings.Contains(complaints, "[plain-http]") || !strings.Contains(complaints, "[symbol-path]") {
		t.Errorf("no warnings: %s", complaints)
	}
}

// What an upstream sends behind its answer does not fill the log.
func TestGoOwnLogIsShort(t *testing.T) {
	var text strings.Builder
	l := slog.New(slog.NewJSONHandler(&text, nil))
	restore := leadStandardLog(l)
	log.Printf("Unsolicited response received: %q", strings.Repeat("\x1b]0;", 1000))
	restore()
	serverLog(l).Printf("http: TLS handshake error from 192.0.2.1:1: EOF")
	serverLog(l).Printf("http: panic serving: %s", strings.Repeat("x", 20_000))
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || len(lines[0]) > 3*clientText || len(lines[1]) > 2*serverText || strings.Contains(text.String(), "\x1b") || !strings.Contains(lines[0], "Unsolicited") || !strings.Contains(lines[1], "panic serving") {
		t.Errorf("%d lines: %.1000s", len(lines), &text)
	}
}

// endless is an upstream that gives nothing until its download is cut off.
type endless struct {
	asked chan bool
	ended *atomic.Bool
}

func (endless) Host() string { return "endless.example" }
func (e endless) Open(ctx context.Context, _ symstore.Key) (io.ReadCloser, int64, error) {
	close(e.asked)
	<-ctx.Done()
	e.ended.Store(true)
	return nil, 0, fault.Wrap(ctx.Err(), fault.Cancelled, "")
}

// The end cuts the downloads off and waits until they are.
func TestTheEndCutsDownloadsOff(t *testing.T) {
	c, err := cache.Open(cache.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	base, cut := context.WithCancel(t.Context())
	defer cut()
	up := endless{make(chan bool), new(atomic.Bool)}
	h := &symbols.Handler{Base: base, Cache: c, Upstreams: []symbols.Upstream{up}}
	answered := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+demo.PDBKey, nil))
		answered <- w.Code
	}()
	<-up.asked
	s := service{site: site{symbols: h}, drain: time.Millisecond, cut: cut}
	s.end(&http.Server{})
	if !up.ended.Load() {
		t.Error("a download is running after the end")
	}
	cut()
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("its client gets %d", status)
	}
}
