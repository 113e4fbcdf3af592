package symbols

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hack-pad/hackpadfs/mem"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

func pdbBytes(t *testing.T) []byte {
	t.Helper()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func key(t *testing.T) symstore.Key {
	t.Helper()
	k, err := symstore.ParseKey(demo.PDBKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// otherBuild is the PDB with another GUID.
func otherBuild(t *testing.T) []byte {
	t.Helper()
	data := pdbBytes(t)
	guid := binary.LittleEndian.AppendUint32(nil, 0xbb8fba4d)
	if !bytes.Contains(data, guid) {
		t.Fatal("the PDB does not hold its GUID")
	}
	return bytes.ReplaceAll(data, guid, []byte{1, 2, 3, 4})
}

func store(t *testing.T) symstore.Store {
	t.Helper()
	fs, err := mem.NewFS()
	if err != nil {
		t.Fatal(err)
	}
	return symstore.NewFS(fs)
}

func ask(h http.Handler, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	r.RemoteAddr = "127.0.0.1:1000"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// refusal reads the error of an answer.
func refusal(t *testing.T, w *httptest.ResponseRecorder) fault.Code {
	t.Helper()
	var said struct {
		Code   fault.Code
		Text   string
		Remedy []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said.Text == "" || said.Remedy == nil {
		t.Fatalf("%d %.80q: %v", w.Code, w.Body, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("ETag") != "" {
		t.Errorf("an error may be cached: %v", w.Header())
	}
	return said.Code
}

// fake is an upstream in the test's hands.
type fake func(ctx context.Context, k symstore.Key) ([]byte, error)

func (f fake) Open(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error) {
	data, err := f(ctx, k)
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), err
}

func (f fake) Host() string { return "fake.example" }

func TestLocalStore(t *testing.T) {
	s := store(t)
	if err := s.Put(t.Context(), key(t), bytes.NewReader(pdbBytes(t))); err != nil {
		t.Fatal(err)
	}
	h := &Handler{Stores: []Store{store(t), s}}
	url := "/" + demo.PDBKey
	w := ask(h, url)
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) {
		t.Fatalf("%d, %d bytes", w.Code, w.Body.Len())
	}
	if c := w.Header().Get("Content-Type"); c != "application/octet-stream" {
		t.Errorf("type %q", c)
	}
	if !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("cache %q", w.Header().Get("Cache-Control"))
	}
	if w := ask(h, url, "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("the same tag gives %d", w.Code)
	}
	if w := ask(h, url, "Range", "bytes=0-15"); w.Code != http.StatusPartialContent || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)[:16]) {
		t.Errorf("a range gives %d", w.Code)
	}
	if w := ask(h, strings.ToLower(url)); w.Code != 200 {
		t.Errorf("lower case gives %d", w.Code)
	}
}

func TestLocalStoreWithAnotherBuild(t *testing.T) {
	s := store(t)
	if err := s.Put(t.Context(), key(t), bytes.NewReader(otherBuild(t))); err != nil {
		t.Fatal(err)
	}
	w := ask(&Handler{Stores: []Store{s}}, "/"+demo.PDBKey)
	if code := refusal(t, w); w.Code != 404 || code != fault.SymbolsMismatch {
		t.Errorf("%d %s", w.Code, code)
	}
}

func TestZeroValue(t *testing.T) {
	var h Handler
	if w := ask(&h, "/"+demo.PDBKey); w.Code != 404 || refusal(t, w) != fault.SymbolsNotFound {
		t.Errorf("%d", w.Code)
	}
}

// What is no key never reaches a store or an upstream.
func TestKeysAreStrict(t *testing.T) {
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
		t.Errorf("asked for %v", k)
		return nil, nil
	})}}
	id := "BB8FBA4DBDC8EAF74C4C44205044422E1"
	for _, url := range []string{
		"/", "/a.pdb", "/a.pdb/" + id, "/a.pdb/" + id + "/b.pdb", "/a.pdb/" + id + "/a.pdb/x", "/a.pdb//a.pdb",
		"/a%2f..%2fb.pdb/" + id + "/a%2f..%2fb.pdb", "/..%2f/" + id + "/..%2f", "/../" + id + "/..", "/a.pdb/../a.pdb",
		"/a.pdb/" + id + "/a.pdb%00", "/%2e%2e/" + id + "/%2e%2e", "/a.pdb/XYZ/a.pdb", "/a.pdb/123/a.pdb",
		"/a.pdb/" + id + strings.Repeat("0", 40) + "/a.pdb", "/" + strings.Repeat("a", 300) + ".pdb/" + id + "/" + strings.Repeat("a", 300) + ".pdb",
		`/a\b.pdb/` + id + `/a\b.pdb`, "/a b.pdb/" + id + "/a b.pdb", "/.pdb/" + id + "/.pdb/", "/C:a.pdb/" + id + "/C:a.pdb",
		"/a.pdb/123456789/a.pdb", "/a.pdb/" + id[:32] + "/a.pdb", "/a.pdb/" + strings.Repeat("1", 40) + "0/a.pdb", // no GUID and age
		"/a.pdb/" + id + "/file.ptr", "/a.pdb/" + id + "/a.pd_", "/pingme.txt", "/index2.txt", "/a.exe/" + id + "/a.exe",
	} {
		r := httptest.NewRequest("GET", "/x", nil)
		parsed, err := r.URL.Parse(strings.ReplaceAll(url, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		r.URL = parsed
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		new(Handler).ServeHTTP(w, httptest.NewRequest(method, "/"+demo.PDBKey, strings.NewReader("x")))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// A real client against servers that behave and misbehave.
func TestUpstreams(t *testing.T) {
	good := pdbBytes(t)
	for _, c := range []struct {
		name string
		blob http.HandlerFunc
		code fault.Code
	}{
		{"302 to a second host", func(w http.ResponseWriter, _ *http.Request) { w.Write(good) }, ""},
		{"a web page", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<!doctype html>"+strings.Repeat("log in ", 1000))
		}, fault.SymbolsNotAPDB},
		{"a wrong GUID", func(w http.ResponseWriter, _ *http.Request) { w.Write(otherBuild(t)) }, fault.SymbolsMismatch},
		{"a cut-off body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "143360")
			w.Write(good[:70000])
		}, fault.SymbolsOffline},
		{"a short file", func(w http.ResponseWriter, _ *http.Request) { w.Write(good[:len(good)/2]) }, fault.PDBDamaged},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, fault.SymbolsNotFound},
		{"an empty body", func(http.ResponseWriter, *http.Request) {}, fault.SymbolsNotAPDB},
		{"a cabinet", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "MSCF"+strings.Repeat("\x00", 100)) }, fault.SymbolsCompressed},
		{"too many requests", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, fault.ServerBusy},
	} {
		t.Run(c.name, func(t *testing.T) {
			second := httptest.NewTLSServer(c.blob)
			defer second.Close()
			// The certificate of httptest is for example.com too.
			blob := strings.Replace(second.URL, "127.0.0.1", "localhost", 1)
			first := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, blob+"/x?signature=secret", http.StatusFound)
			}))
			defer first.Close()
			transport := first.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.InsecureSkipVerify = true // names do not matter here
			cache := cacheIn(t)
			h := &Handler{Cache: cache, Upstreams: []Upstream{&upstream.Client{URL: first.URL, Transport: transport, RedirectHosts: []string{"localhost"}}}}
			w := ask(h, "/"+demo.PDBKey)
			if c.code == "" {
				if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), good) {
					t.Fatalf("%d %.200q", w.Code, w.Body)
				}
				first.Close() // the second time it comes from the cache
				if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
					t.Errorf("again: %d", w.Code)
				}
				return
			}
			if code := refusal(t, w); code != c.code {
				t.Errorf("%d %s, not %s", w.Code, code, c.code)
			}
			if want := map[bool]int{true: 503, false: 404}[c.code == fault.ServerBusy]; w.Code != want {
				t.Errorf("status %d, not %d", w.Code, want)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the signed query is shown")
			}
			if _, err := cache.Get(t.Context(), key(t)); err == nil {
				t.Error("it was cached")
			}
		})
	}
}

// Many ask, one download; the one who began it leaves, the others get it.
func TestCoalescing(t *testing.T) {
	var calls atomic.Int32
	started, proceed := make(chan struct{}), make(chan struct{})
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(ctx context.Context, _ symstore.Key) ([]byte, error) {
		if calls.Add(1) == 1 {
			close(started)
		}
		select {
		case <-proceed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return pdbBytes(t), nil
	})}}
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+demo.PDBKey, nil).WithContext(ctx))
		close(gone)
	}()
	<-started
	var wait sync.WaitGroup
	codes := make([]int, 20)
	for i := range codes {
		wait.Go(func() { codes[i] = ask(h, "/"+demo.PDBKey).Code })
	}
	joined(h, key(t), len(codes)+1)
	leave()
	<-gone
	close(proceed)
	wait.Wait()
	for i, code := range codes {
		if code != 200 {
			t.Errorf("client %d got %d", i, code)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d downloads", n)
	}
}

// joined waits until so many want a download.
func joined(h *Handler, k symstore.Key, n int) {
	for wanted := -1; wanted != n; runtime.Gosched() {
		h.flights.mu.Lock()
		if f := h.flights.list[k]; f != nil {
			wanted = f.wanted
		}
		h.flights.mu.Unlock()
	}
}

// Past the deadline the client is told to come back, before SymSrv's 30 seconds
// are over, and the download goes on.
func TestDeadline(t *testing.T) {
	for _, set := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			proceed := make(chan struct{})
			h := &Handler{Deadline: set, Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
				<-proceed
				return pdbBytes(t), nil
			})}}
			began := time.Now()
			w := ask(h, "/"+demo.PDBKey)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || refusal(t, w) != fault.ServerBusy {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			if after := time.Since(began); after >= 30*time.Second || set != 0 && after != set {
				t.Errorf("answered after %v", after)
			}
			close(proceed)
			synctest.Wait()
			if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

// The first failure that says more than "not there" is the one shown.
func TestSeveralUpstreams(t *testing.T) {
	fails := func(code fault.Code) Upstream {
		return fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(code, "") })
	}
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fails(fault.SymbolsNotFound), fails(fault.SymbolsOffline), fails(fault.SymbolsNotFound)}}
	if code := refusal(t, ask(h, "/"+demo.PDBKey)); code != fault.SymbolsOffline {
		t.Errorf("%s", code)
	}
	h = &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fails(fault.SymbolsOffline), fake(func(context.Context, symstore.Key) ([]byte, error) { return pdbBytes(t), nil })}}
	if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}

// A store's own trouble is not told to strangers word for word.
func TestInternalErrorsAreNotShown(t *testing.T) {
	h := &Handler{Stores: []Store{failing{}}}
	w := ask(h, "/"+demo.PDBKey)
	if strings.Contains(w.Body.String(), "/srv/secret") || refusal(t, w) != fault.SymbolsUnreadable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type failing struct{}

func (failing) Get(context.Context, symstore.Key) (symstore.File, error) {
	return nil, errors.New("open /srv/secret: input/output error")
}
func (failing) Put(context.Context, symstore.Key, io.Reader) error { return nil }
