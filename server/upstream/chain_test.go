package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// Whose doing a failure is decides for how long it is believed.
func TestClasses(t *testing.T) {
	data, key := pdbBytes(t)
	status := func(n int, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(n)
		}
	}
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		class   Class
		after   time.Duration
		limited bool
	}{
		"not found":         {status(404, ""), Definite, 0, false},
		"busy":              {status(503, ""), Busy, 0, false},
		"busy for a while":  {status(503, "70"), Busy, 70 * time.Second, false},
		"too many":          {status(429, "5"), Busy, 5 * time.Second, true},
		"a bad Retry-After": {status(503, "soon; or -5"), Busy, 0, false},
		"refused":           {status(403, ""), Trouble, 0, false},
		"broken":            {status(500, "30"), Trouble, 0, false},
		"a page":            {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, Trouble, 0, false},
		"a cabinet":         {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "MSCF............................") }, Definite, 0, false},
		"short":             {func(w http.ResponseWriter, _ *http.Request) { w.Write(data[:5000]) }, Trouble, 0, false},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:5000])
		}, Trouble, 0, false},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, Trouble, 0, false},
	} {
		_, client := serve(t, c.answer)
		_, err := download(t.Context(), client, key)
		after, limited := RetryAfter(err)
		if got := ClassOf(err); got != c.class || after != c.after && c.class == Busy || limited != c.limited {
			t.Errorf("%s: class %d, after %v, %v: %v", name, got, after, limited, err)
		}
	}
	down := &Client{URL: "https://down.example", Transport: answers(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED })}
	if _, err := download(t.Context(), down, key); ClassOf(err) != Unreached {
		t.Errorf("down: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := download(ctx, down, key); ClassOf(err) != Own {
		t.Errorf("cancelled: %v", err)
	}
	for _, err := range []error{fault.New(fault.SymbolsUnreadable, ""), fault.New(fault.ServerBusy, ""), errors.New("x")} {
		if ClassOf(err) != Own {
			t.Errorf("our own: %v", err)
		}
	}
	patience := func(said string) time.Duration { return Patience(http.Header{"Retry-After": {said}}) }
	if at := time.Now().Add(time.Hour); patience(at.UTC().Format(http.TimeFormat)) < 59*time.Minute || patience("Mon, 02 Jan 2006 15:04:05 GMT") != 0 {
		t.Error("a date is not read")
	}
}

// The text of a refusal is read, so that the connection serves again; a long one
// is not, and a slow one not for long.
func TestConnectionsAreUsedAgain(t *testing.T) {
	_, key := pdbBytes(t)
	for _, c := range []struct {
		bytes, want int
	}{{0, 1}, {5000, 1}, {40 << 10, 1}, {4 << 20, 10}} {
		s, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(c.bytes))
			w.WriteHeader(404)
			w.Write(make([]byte, c.bytes))
		})
		client.AnyCase = true
		var made atomic.Int32
		transport := client.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			made.Add(1)
			return dial(ctx, network, address)
		}
		for range 10 {
			_, err := download(t.Context(), client, key)
			wantCode(t, err, fault.SymbolsNotFound)
		}
		if n := int(made.Load()); n != c.want {
			t.Errorf("%d bytes: %d connections", c.bytes, n)
		}
		s.Close()
	}
	_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	client.AnyCase = true
	_, err := download(t.Context(), client, key) // it would take 11 minutes
	wantCode(t, err, fault.SymbolsNotFound)
}

// A server gets so many connections and no more.
func TestConnectionsAreBounded(t *testing.T) {
	for _, c := range []*Client{{URL: "https://x.example"}, {URL: "https://x.example", Connections: 3}} {
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		want := max(c.Connections, DefaultConnections)
		if c.Connections > 0 {
			want = c.Connections
		}
		if tr := c.client.Transport.(*http.Transport); tr.MaxConnsPerHost != want || tr.MaxIdleConnsPerHost != want {
			t.Errorf("%d and %d idle", tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost)
		}
	}
}

// A declared proxy may take its 25 seconds before it says anything, and another
// server may not.
func TestProxyMayTakeItsTime(t *testing.T) {
	data, key := pdbBytes(t)
	for proxy, want := range map[bool]time.Duration{false: 15 * time.Second, true: 35 * time.Second} {
		c := &Client{URL: "https://x.example", Proxy: proxy}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if got := c.client.Transport.(*http.Transport).ResponseHeaderTimeout; got != want {
			t.Errorf("proxy %v: %v", proxy, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := &Client{URL: "https://x.example", Proxy: true, Transport: answers(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(34 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: int64(len(data)), Body: io.NopCloser(strings.NewReader(string(data)))}, nil
		})}
		if _, err := download(t.Context(), c, key); err != nil {
			t.Error(err)
		}
	})
}

// Keys are asked for as they are spelled, with the proxies that pass them on.
func TestSpellingAndVia(t *testing.T) {
	data, key := pdbBytes(t)
	var asked []string
	_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Via"))
		if strings.Contains(r.URL.Path, "ntkrnlmp") {
			w.Write(data)
			return
		}
		http.NotFound(w, r)
	})
	mixed := symstore.Key{Name: "NtKrnlMp.pdb", ID: key.ID}
	body, _, err := client.Open(WithVia(t.Context(), "1.1 a, 1.1 b"), mixed)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	want := []string{"/symbols/" + mixed.String() + " 1.1 a, 1.1 b", "/symbols/" + strings.ToLower(mixed.String()) + " 1.1 a, 1.1 b"}
	if len(asked) != 2 || asked[0] != want[0] || asked[1] != want[1] {
		t.Errorf("asked for %q", asked)
	}
	for address, folds := range map[string]bool{"https://msdl.microsoft.com/download/symbols": true, "https://microsoft.com.example": false, "https://sym.example": false} {
		c := &Client{URL: address}
		if err := c.Check(); err != nil || c.foldsCase() != folds {
			t.Errorf("%s: %v, %v", address, c.foldsCase(), err)
		}
	}
}
