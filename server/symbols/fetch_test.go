package symbols

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	hackpados "github.com/hack-pad/hackpadfs/os"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/cache"
	"coredrop/server/upstream"
)

// dirStore is the store in a directory of the disk.
func dirStore(t *testing.T, dir string) symstore.Store {
	t.Helper()
	root := hackpados.NewFS()
	name, err := root.FromOSPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := root.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	return symstore.NewFS(sub)
}

// cacheIn is a cache in a directory of the test's.
func cacheIn(t *testing.T) *cache.Cache {
	t.Helper()
	return cacheAt(t, t.TempDir())
}

func cacheAt(t *testing.T, dir string) *cache.Cache {
	t.Helper()
	c, err := cache.Open(cache.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// names lists a directory, but for what says that it is a cache.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if e.Name() != ".coredrop-cache" {
			list = append(list, e.Name())
		}
	}
	return list
}

// slow is an upstream whose body is at its half until its context ends.
type slow struct {
	half    []byte
	reached chan struct{}
}

func (s slow) Host() string { return "slow.example" }
func (s slow) Open(ctx context.Context, _ symstore.Key) (io.ReadCloser, int64, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(s.half), reader(func([]byte) (int, error) {
		close(s.reached)
		<-ctx.Done()
		return 0, fault.Wrap(ctx.Err(), fault.Cancelled, "")
	}))), -1, nil
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// A program that is told to end leaves no half of a file, and its clients are
// told to come again.
func TestShutdownLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	base, stop := context.WithCancel(t.Context())
	up := slow{half: pdbBytes(t)[:70000], reached: make(chan struct{})}
	h := &Handler{Base: base, Cache: cacheAt(t, dir), Upstreams: []Upstream{up}}
	answer := make(chan *httptest.ResponseRecorder)
	go func() { answer <- ask(h, "/"+demo.PDBKey) }()
	<-up.reached
	if list := names(t, dir); len(list) != 1 || !strings.HasPrefix(list[0], ".coredrop-tmp-") {
		t.Errorf("while it is fetched the cache holds %q", list)
	}
	stop()
	h.Wait(time.Hour)
	if list := names(t, dir); len(list) != 0 {
		t.Errorf("left behind: %q", list)
	}
	w := <-answer
	if w.Code != http.StatusServiceUnavailable || refusal(t, w) != fault.ServerBusy {
		t.Errorf("the client got %d %s", w.Code, w.Body)
	}
	if len(h.misses.list) != 0 {
		t.Error("it counts as a miss")
	}
	// up would close a closed channel if it were asked again
	if w := ask(h, "/"+demo.PDBKey); w.Code != http.StatusServiceUnavailable {
		t.Errorf("afterwards: %d", w.Code)
	}
}

// The wait for a download that does not end is bounded.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
			<-proceed
			return nil, fault.New(fault.SymbolsOffline, "")
		})}}
		go ask(h, "/"+demo.PDBKey)
		synctest.Wait()
		began := time.Now()
		h.Wait(time.Second)
		if after := time.Since(began); after != time.Second {
			t.Errorf("it waited %v", after)
		}
		close(proceed)
		h.Wait(time.Hour)
		if after := time.Since(began); after != time.Second {
			t.Errorf("with nothing running it waited until %v", after)
		}
		h.misses.forget(key(t))
		if w := ask(h, "/"+demo.PDBKey); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a download after the wait: %d", w.Code)
		}
	})
}

// takesNothing is a cache whose directory cannot be there: root or not.
func takesNothing(t *testing.T) *cache.Cache {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return cacheAt(t, filepath.Join(file, "cache"))
}

// A full cache does not keep the file from the clients, and the log says why
// each of them waits for it.
func TestCacheThatTakesNothing(t *testing.T) {
	var lines strings.Builder
	h := &Handler{Cache: takesNothing(t), Log: slog.New(slog.NewTextHandler(&lines, nil)),
		Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return pdbBytes(t), nil })}}
	w := ask(h, "/"+demo.PDBKey)
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) {
		t.Fatalf("%d %.200q", w.Code, w.Body)
	}
	for _, want := range []string{"level=WARN", "result=ok", "not a directory", "upstream=fake.example", "source=memory", "status=200"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log has no %s: %s", want, &lines)
		}
	}
}

// A directory that vanished is a cache that takes nothing; where it was is not
// told. Neither is a place for temporary files needed, nor shown.
func TestPathsAreNotShown(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	for name, body := range map[string][]byte{"good": pdbBytes(t), "other": otherBuild(t)} {
		dir := filepath.Join(t.TempDir(), "gone")
		var lines strings.Builder
		gone := cacheAt(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o644); err != nil { // nor can it be made again
			t.Fatal(err)
		}
		h := &Handler{Stores: []Store{dirStore(t, dir)}, Cache: gone, Log: slog.New(slog.NewTextHandler(&lines, nil)),
			Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return body, nil })}}
		w := ask(h, "/"+demo.PDBKey)
		if (w.Code == 200) != (name == "good") {
			t.Errorf("%s: %d %.200q", name, w.Code, w.Body)
		}
		for _, secret := range []string{filepath.Dir(dir), "missing", ".coredrop", "/."} {
			if w.Code != 200 && strings.Contains(w.Body.String(), secret) || strings.Contains(lines.String(), secret) {
				t.Errorf("%s is told: %.300q %s", secret, w.Body, &lines)
			}
		}
	}
}

// One line for each request, whatever became of it, and no query in it.
func TestLog(t *testing.T) {
	first := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://localhost:bad port/?sig=SECRET")
		w.WriteHeader(http.StatusFound)
	}))
	defer first.Close()
	var lines strings.Builder
	full := store(t)
	if err := full.Put(t.Context(), key(t), bytes.NewReader(pdbBytes(t))); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&lines, nil))
	has := &Handler{Log: log, Stores: []Store{full}}
	fails := &Handler{Log: log, Cache: cacheIn(t), Upstreams: []Upstream{&upstream.Client{URL: first.URL, Transport: first.Client().Transport}}}
	for _, test := range []struct {
		h           *Handler
		method, url string
		want        []string
	}{
		{has, "GET", "/" + demo.PDBKey + "?token=SECRET", []string{"level=INFO", "method=GET", "result=ok", "bytes=143360", demo.PDBKey}},
		{has, "HEAD", "/" + demo.PDBKey, []string{"method=HEAD", "result=ok"}},
		{has, "GET", "/SECRET/index2.txt?SECRET", []string{"result=symbols-not-found", `key=""`}},
		{has, "POST", "/" + demo.PDBKey + "?SECRET", []string{"method=POST", "result=method"}},
		{fails, "GET", "/" + demo.PDBKey + "?SECRET", []string{"result=symbols-offline", "upstream=127.0.0.1", "could not get ntkrnlmp.pdb from 127.0.0.1"}},
		{fails, "GET", "/" + demo.PDBKey, []string{"result=symbols-offline"}}, // remembered
		{&Handler{Log: log, Stores: []Store{failing{}}}, "GET", "/" + demo.PDBKey, []string{"level=WARN", "input/output error"}},
	} {
		lines.Reset()
		w := httptest.NewRecorder()
		test.h.ServeHTTP(w, httptest.NewRequest(test.method, test.url, nil))
		line := lines.String()
		if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "?") || strings.Contains(line, "SECRET") || strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%s %s: %q", test.method, test.url, line)
		}
		for _, want := range test.want {
			if !strings.Contains(line, want) {
				t.Errorf("%s %s: no %s in %q", test.method, test.url, want, line)
			}
		}
	}
}
