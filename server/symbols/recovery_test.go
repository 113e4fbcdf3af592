package symbols

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// hijacked writes raw bytes where the server of net/http would not.
func hijacked(w http.ResponseWriter, text string, more []byte) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, text)
	conn.Write(more) // the client may be gone
}

// hostile are the ways in which an upstream can go wrong, with what a client is
// told, and a proxy.
func hostile(good, other []byte) []struct {
	name           string
	answer         http.HandlerFunc
	code           fault.Code
	status, proxys int
} {
	half := good[:len(good)/2]
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	return []struct {
		name           string
		answer         http.HandlerFunc
		code           fault.Code
		status, proxys int
	}{
		{"a portal's page", text(200, "<!doctype html><title>log in</title>"+strings.Repeat(" ", 5000)), fault.SymbolsNotAPDB, 404, 503},
		{"an empty body", text(200, ""), fault.SymbolsNotAPDB, 404, 503},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			hijacked(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(good)), half)
		}, fault.SymbolsOffline, 404, 503},
		{"cut in its first bytes", func(w http.ResponseWriter, _ *http.Request) {
			hijacked(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(good)), half[:7])
		}, fault.SymbolsOffline, 404, 503},
		{"short", func(w http.ResponseWriter, _ *http.Request) { w.Write(half) }, fault.PDBDamaged, 404, 503},
		{"long", func(w http.ResponseWriter, _ *http.Request) {
			hijacked(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(half)), good)
		}, fault.PDBDamaged, 404, 503},
		{"packed unasked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(good)
		}, fault.SymbolsNotAPDB, 404, 503},
		{"500", text(500, "oops"), fault.SymbolsOffline, 404, 503},
		{"502", text(502, "oops"), fault.SymbolsOffline, 404, 503},
		{"403", text(403, "no"), fault.SymbolsOffline, 404, 503},
		{"503", text(503, "later"), fault.ServerBusy, 503, 503},
		{"429", text(429, "later"), fault.ServerBusy, 503, 503},
		{"a redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/login", http.StatusFound)
		}, fault.SymbolsOffline, 404, 503},
		{"a redirect to itself", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, fault.SymbolsOffline, 404, 503},
		{"a broken answer", func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "HTTP/9 what\r\n\r\n", nil) }, fault.SymbolsOffline, 404, 503},
		{"a header without end", func(w http.ResponseWriter, _ *http.Request) {
			hijacked(w, "HTTP/1.1 200 OK\r\nX: ", bytes.Repeat([]byte("x"), 11<<20))
		}, fault.SymbolsOffline, 404, 503},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, fault.SymbolsOffline, 404, 503},
		{"silent in its middle", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Write(half)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, fault.SymbolsOffline, 404, 503},
		{"down", func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "", nil) }, fault.SymbolsOffline, 404, 503},
		// These say something of the file, and are believed.
		{"another build", func(w http.ResponseWriter, _ *http.Request) { w.Write(other) }, fault.SymbolsMismatch, 404, 404},
		{"a cabinet", text(200, "MSCF"+strings.Repeat("\x00", 100)), fault.SymbolsCompressed, 404, 404},
		{"not there", text(404, "not here"), fault.SymbolsNotFound, 404, 404},
		{"gone", text(410, "not here"), fault.SymbolsNotFound, 404, 404},
	}
}

// rig is a proxy in front of one upstream, with a clock of its own.
type rig struct {
	*Handler
	now    time.Time
	client *upstream.Client
	asked  atomic.Int32
	answer atomic.Pointer[http.HandlerFunc]
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: time.Unix(1e9, 0)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		(*r.answer.Load())(w, q)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it is meant to be left
	s.StartTLS()
	t.Cleanup(s.Close)
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &upstream.Client{URL: s.URL, Transport: transport, AnyCase: true}
	r.Handler = &Handler{Cache: cacheIn(t), Now: func() time.Time { return r.now },
		Upstreams: []Upstream{r.client}}
	return r
}

func (r *rig) set(h http.HandlerFunc) { r.answer.Store(&h) }

// invented is a key that nobody has asked for yet.
func invented(n int) string {
	return fmt.Sprintf("/a%d.pdb/%032X1/a%[1]d.pdb", n, n)
}

// Each way of going wrong has its answer, nothing of it is kept, and it is over
// within a minute of being mended; however long it lasted, and whatever else was
// asked for meanwhile.
func TestHostileUpstreams(t *testing.T) {
	good, other := pdbBytes(t), otherBuild(t)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+demo.PDBKey {
			http.NotFound(w, r)
			return
		}
		w.Write(good)
	})
	for _, c := range hostile(good, other) {
		for _, lasting := range []int{1, 12} {
			t.Run(fmt.Sprintf("%s %d", c.name, lasting), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.set(c.answer)
				if strings.HasPrefix(c.name, "silent") {
					r.client.IdleTimeout = 100 * time.Millisecond
				}
				for i := range lasting { // six minutes of it
					if i > 0 {
						r.now = r.now.Add(31 * time.Second)
						ask(r, invented(i))
					}
					w := ask(r, "/"+demo.PDBKey)
					if code := refusal(t, w); w.Code != c.status || code != c.code {
						t.Fatalf("%d: %d %s", i, w.Code, code)
					}
					if after := w.Header().Get("Retry-After"); (after != "") != (c.status == 503) {
						t.Errorf("Retry-After %q", after)
					}
					if w := ask(r, "/"+demo.PDBKey, "Via", "1.1 other"); w.Code != c.proxys {
						t.Errorf("a proxy is told %d", w.Code)
					}
				}
				if s := r.Stats(); s.Cache.Files != 0 {
					t.Errorf("it was kept: %+v", s.Cache)
				}
				r.set(serve)
				r.client.IdleTimeout = 0
				asked := r.asked.Load()
				if w := ask(r, "/"+demo.PDBKey); w.Code != c.status || r.asked.Load() != asked {
					t.Errorf("asked again at once, with %d", w.Code)
				}
				r.now = r.now.Add(59 * time.Second)
				w := ask(r, "/"+demo.PDBKey)
				believed := map[fault.Code]bool{fault.SymbolsMismatch: true, fault.SymbolsCompressed: true, fault.SymbolsNotFound: true}[c.code]
				switch {
				case believed && (w.Code != 404 || r.asked.Load() != asked):
					t.Errorf("what was believed is asked again within the minute: %d", w.Code)
				case !believed && (w.Code != 200 || !bytes.Equal(w.Body.Bytes(), good)):
					t.Errorf("a minute after it was mended: %d %.200s", w.Code, w.Body)
				}
			})
		}
	}
}

// One wrong answer may be the file's: others are asked for at once. After two the
// upstream rests, ever longer, and one request each half a minute is let through.
func TestUpstreamRests(t *testing.T) {
	r := newRig(t)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	r.set(page)
	step := func(d time.Duration, n int, want int32) {
		t.Helper()
		r.now = r.now.Add(d)
		ask(r, invented(n))
		if got := r.asked.Load(); got != want {
			t.Errorf("asked %d times, not %d", got, want)
		}
	}
	step(0, 1, 1)
	step(0, 2, 2)
	step(0, 3, 2)              // it rests: 30 s
	step(29*time.Second, 4, 2) //
	step(2*time.Second, 5, 3)  // over; wrong again: 60 s
	step(31*time.Second, 6, 4) // the probe of that minute; wrong again: 120 s
	step(time.Second, 7, 4)    //
	step(60*time.Second, 8, 5) // a probe
	if u := r.Stats().Upstreams[0]; u.BreakerOpen || u.RestingUntil.Sub(r.now) != 4*time.Minute {
		t.Errorf("%+v", u)
	}
	r.set(func(w http.ResponseWriter, q *http.Request) { http.NotFound(w, q) })
	step(31*time.Second, 9, 6) // right: it is well
	step(0, 10, 7)
	step(0, 11, 8)
	r.set(page)
	step(0, 12, 9)
	step(0, 13, 10)
	step(0, 14, 10)
	if err := r.Refresh(demo.PDBKey); err != nil {
		t.Fatal(err)
	}
	step(0, 15, 11) // whoever runs the server says that it is mended
}

// The rest of an upstream does not outgrow ten minutes.
func TestRestIsBounded(t *testing.T) {
	var h health
	now := time.Unix(1e9, 0)
	for range 100 {
		h.record(fault.New(fault.SymbolsNotAPDB, ""), now)
	}
	if until, _ := h.resting(now); until.Sub(now) != restLast {
		t.Errorf("%v", until.Sub(now))
	}
}

// Five times unreachable within ten minutes: fifteen minutes off, but for the
// probes; four times, or five in a longer time, are not.
func TestBreaker(t *testing.T) {
	for _, c := range []struct {
		times int
		apart time.Duration
		open  bool
	}{{4, time.Minute, false}, {5, time.Minute, true}, {5, 3 * time.Minute, false}, {9, 149 * time.Second, true}} {
		calls, now, down := 0, time.Unix(1e9, 0), true
		h := &Handler{Now: func() time.Time { return now }, Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
			calls++
			if down {
				return nil, fault.Wrap(syscall.ECONNREFUSED, fault.SymbolsOffline, "")
			}
			return nil, fault.New(fault.SymbolsNotFound, "")
		})}}
		for i := range c.times {
			if i > 0 {
				now = now.Add(c.apart)
			}
			ask(h, invented(i))
		}
		if u := h.Stats().Upstreams[0]; u.BreakerOpen != c.open || c.open && u.RestingUntil.Sub(now) != restBroken {
			t.Errorf("%+v: %+v", c, u)
		}
		before := calls
		for i := range 5 {
			ask(h, invented(100+i))
		}
		if c.open && calls != before {
			t.Errorf("%+v: %d more were asked", c, calls-before)
		}
		if !c.open {
			continue
		}
		// After its time one is let through; if that fails it is off again.
		now = now.Add(restBroken + time.Second)
		before = calls
		for i := range 5 {
			ask(h, invented(200+i))
		}
		if u := h.Stats().Upstreams[0]; calls != before+1 || !u.BreakerOpen || !u.RestingUntil.After(now) {
			t.Errorf("half open: %d asked, %+v", calls-before, u)
		}
		down = false
		now = now.Add(probeEach)
		before = calls
		for i := range 5 {
			ask(h, invented(300+i))
		}
		if u := h.Stats().Upstreams[0]; calls != before+5 || u.BreakerOpen {
			t.Errorf("mended: %d asked, %+v", calls-before, u)
		}
	}
}

// Retry-After is honoured, and passed on: of a 503 for the file, which a proxy
// gives that fetches it, of a 429 for all.
func TestRetryAfterIsHonoured(t *testing.T) {
	for status, all := range map[int]bool{503: false, 429: true} {
		r := newRig(t)
		r.set(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(status)
		})
		if w := ask(r, invented(1)); w.Code != 503 || w.Header().Get("Retry-After") != "120" {
			t.Errorf("%d: %d %q", status, w.Code, w.Header().Get("Retry-After"))
		}
		r.now = r.now.Add(20 * time.Second)
		if w := ask(r, invented(1)); w.Code != 503 || w.Header().Get("Retry-After") != "100" || r.asked.Load() != 1 {
			t.Errorf("%d: later %d %q", status, w.Code, w.Header().Get("Retry-After"))
		}
		if w := ask(r, invented(2)); w.Code != 503 || (r.asked.Load() == 1) != all {
			t.Errorf("%d: another file: %d, asked %d times", status, w.Code, r.asked.Load())
		}
		asked := r.asked.Load()
		r.now = r.now.Add(99 * time.Second)
		ask(r, invented(1))
		if all {
			ask(r, invented(3))
		}
		if r.asked.Load() != asked {
			t.Errorf("%d: asked before its time", status)
		}
		r.now = r.now.Add(2 * time.Second)
		if ask(r, invented(1)); r.asked.Load() != asked+1 {
			t.Errorf("%d: not asked when it is over", status)
		}
	}
}

// A short-lived failure of one upstream does not become a day's of another.
func TestLifetimeOfSeveralFailures(t *testing.T) {
	other, none, offline := fault.New(fault.SymbolsMismatch, ""), fault.New(fault.SymbolsNotFound, ""), fault.New(fault.SymbolsOffline, "")
	for _, c := range []struct {
		all  []error
		want time.Duration
	}{
		{[]error{other}, missOther},
		{[]error{none, other}, missOther},
		{[]error{other, offline}, holdTrouble},
		{[]error{none, fault.New(fault.PDBDamaged, "")}, holdTrouble},
		{[]error{none, &resting{offline, time.Hour}}, 0},
		{[]error{fault.New(fault.SymbolsUnreadable, "")}, 0}, // our own disk
		{[]error{fault.New(fault.ServerBusy, "")}, 0},        // our own memory
	} {
		if got := lifetime(c.all, 1); got != c.want {
			t.Errorf("%v: %v, not %v", c.all, got, c.want)
		}
	}
}
