package symbols

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// toHandler is a transport that leads to a handler, without a network. A timeout
// like that of the transport's header is the test's.
type toHandler struct {
	h       http.Handler
	asked   atomic.Int32
	last    atomic.Pointer[http.Request]
	headers time.Duration
}

func (to *toHandler) RoundTrip(r *http.Request) (*http.Response, error) {
	to.asked.Add(1)
	to.last.Store(r)
	ctx, cancel := context.WithTimeout(r.Context(), to.headers)
	defer cancel()
	done := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		in := r.Clone(ctx)
		in.RequestURI, in.Host = "", "proxy.example"
		to.h.ServeHTTP(w, in)
		done <- w.Result()
	}()
	select {
	case response := <-done:
		return response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// chained puts a proxy in front of a handler.
func chained(t *testing.T, name string, behind http.Handler) (*Handler, *toHandler) {
	to := &toHandler{h: behind, headers: 35 * time.Second}
	c := &upstream.Client{URL: "https://" + name + ".example", Transport: to, Proxy: true}
	return &Handler{Instance: "front-of-" + name, Cache: cacheIn(t), Upstreams: []Upstream{c}}, to
}

// A proxy behind a proxy has 25 seconds: the file comes on the first try, if it
// takes longer on the second, and a 503 is passed on, not remembered as a miss.
func TestProxyBehindProxy(t *testing.T) {
	for _, takes := range []time.Duration{20 * time.Second, 30 * time.Second, 45 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{opens: make(chan struct{}), flows: make(chan struct{}), data: pdbBytes(t)}
			close(g.opens)
			time.AfterFunc(takes, func() { close(g.flows) })
			b := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{g}}
			a, to := chained(t, "b", b)
			tries := 0
			for began := time.Now(); time.Since(began) < 2*time.Minute; tries++ {
				w := ask(a, "/"+demo.PDBKey)
				if w.Code == 200 {
					if !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) {
						t.Error("it is another file")
					}
					break
				}
				if w.Code != 503 || w.Header().Get("Retry-After") == "" {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				time.Sleep(15 * time.Second)
			}
			if want := map[bool]int{true: 0, false: 1}[takes < 25*time.Second]; tries != want || g.asked.Load() != 1 {
				t.Errorf("%v: on try %d, asked %d times", takes, tries+1, g.asked.Load())
			}
			if via := to.last.Load().Header.Get("Via"); via != "1.1 front-of-b" {
				t.Errorf("Via %q", via)
			}
			synctest.Wait()
		})
	}
}

// Two proxies that ask each other find out at once, and neither believes for long
// that nobody has the file.
func TestProxiesInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Handler
		a, toB := chained(t, "b", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) }))
		b, toA := chained(t, "a", a)
		began := time.Now()
		if w := ask(a, "/"+demo.PDBKey); w.Code != 404 || refusal(t, w) != fault.SymbolsNotFound {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if took := time.Since(began); took != 0 || toA.asked.Load() != 1 || toB.asked.Load() != 1 {
			t.Errorf("after %v, %d and %d requests", took, toA.asked.Load(), toB.asked.Load())
		}
		if via := toA.last.Load().Header.Get("Via"); via != "1.1 front-of-b, 1.1 front-of-a" {
			t.Errorf("Via %q", via)
		}
		// What one of them has the other gets, around the corner.
		taken, err := b.Cache.Take(key(t), bytes.NewReader(pdbBytes(t)), -1, func(symstore.File) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		taken.Close()
		a.misses.forget(key(t))
		if w := ask(a, "/"+demo.PDBKey); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// One that asks itself, whatever it is called.
func TestProxyThatAsksItself(t *testing.T) {
	var a *Handler
	a, to := chained(t, "self", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.ServeHTTP(w, r) }))
	a.Instance = ""
	if w := ask(a, "/"+demo.PDBKey); w.Code != 404 || to.asked.Load() != 1 {
		t.Errorf("%d, asked %d times", w.Code, to.asked.Load())
	}
	if via := to.last.Load().Header.Get("Via"); !strings.HasPrefix(via, "1.1 coredrop-") || len(via) != len("1.1 coredrop-12345678") {
		t.Errorf("Via %q", via)
	}
}

// An upstream that tells cases apart is asked as the client spells, then in lower
// case; one that is a proxy, or Microsoft's, once.
func TestUpstreamIsAskedInTheClientsSpelling(t *testing.T) {
	k := key(t)
	asked := "NtKrnlMp.PDB/" + k.ID[:32] + strings.ToLower(k.ID[32:]) + "/NtKrnlMp.PDB"
	low := strings.ToLower(asked)
	for _, c := range []struct {
		has   string
		proxy bool
		want  []string
	}{
		{asked, false, []string{asked}},
		{low, false, []string{asked, low}},
		{"", false, []string{asked, low}},
		{"", true, []string{asked}},
	} {
		var got []string
		to := &toHandler{headers: time.Hour, h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, strings.TrimPrefix(r.URL.Path, "/"))
			if r.URL.Path != "/"+c.has {
				http.NotFound(w, r)
				return
			}
			w.Write(pdbBytes(t))
		})}
		h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{&upstream.Client{URL: "https://u.example", Transport: to, Proxy: c.proxy}}}
		if w := ask(h, "/"+asked); (w.Code == 200) != (c.has != "") {
			t.Errorf("%+v: %d", c, w.Code)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%+v: asked for %q", c, got)
		}
	}
}
