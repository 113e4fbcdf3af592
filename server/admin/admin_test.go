package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ask(h http.Handler, method, url string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	r.Host = "127.0.0.1:9090"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	var refreshed []string
	h := &Handler{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a_metric 1\n") }),
		Refresh: func(key string) error {
			if key == "" {
				return errors.New("no key")
			}
			refreshed = append(refreshed, key)
			return nil
		},
	}
	for _, c := range []struct {
		h           *Handler
		method, url string
		status      int
		body        string
	}{
		{h, "GET", "/", 200, "/metrics"},
		{h, "GET", "/healthz", 204, ""},
		{h, "HEAD", "/healthz", 204, ""},
		{h, "GET", "/readyz", 204, ""},
		{h, "GET", "/metrics", 200, "a_metric 1"},
		{&Handler{}, "GET", "/metrics", 404, ""},
		{h, "GET", "/debug/pprof/", 200, "goroutine"},
		{h, "GET", "/debug/pprof/heap", 200, ""},
		{h, "GET", "/debug/pprof/cmdline", 200, ""},
		{h, "GET", "/debug/pprof/nothing", 404, ""},
		{h, "GET", "/debug", 404, ""},
		{h, "POST", "/healthz", 405, ""},
		{h, "GET", "/refresh?key=a", 405, ""},
		{h, "POST", "/refresh?key=a", 204, ""},
		{h, "POST", "/refresh", 400, "no key"},
		{&Handler{}, "POST", "/refresh?key=a", 404, ""},
	} {
		w := ask(c.h, c.method, c.url, nil)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %v %.200q", c.method, c.url, w.Code, w.Header(), w.Body)
		}
	}
	if len(refreshed) != 1 || refreshed[0] != "a" {
		t.Errorf("refreshed: %q", refreshed)
	}
}

// A page of another site, in a browser of this machine, gets nothing: neither
// under its own name for this address nor by way of the real one.
func TestOtherSitesGetNothing(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a name that leads here": func(r *http.Request) { r.Host = "evil.example:9090" },
		"no host":                func(r *http.Request) { r.Host = "" },
		"another address":        func(r *http.Request) { r.Host = "192.0.2.1" },
		"another site's script":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sister's":             func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	} {
		for _, url := range []string{"/healthz", "/metrics", "/debug/pprof/heap"} {
			if w := ask(&Handler{}, "GET", url, change); w.Code != http.StatusForbidden {
				t.Errorf("%s: %s: %d", name, url, w.Code)
			}
		}
		if w := ask(&Handler{Refresh: func(string) error { t.Error("refreshed"); return nil }}, "POST", "/refresh?key=a", change); w.Code != http.StatusForbidden {
			t.Errorf("%s: refresh: %d", name, w.Code)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"localhost":      func(r *http.Request) { r.Host = "localhost:1" },
		"IPv6":           func(r *http.Request) { r.Host = "[::1]:1" },
		"IPv6, no port":  func(r *http.Request) { r.Host = "[::1]" },
		"the address":    func(r *http.Request) { r.Host = "127.0.0.1" },
		"typed":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"its own script": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") },
		"a socket": func(r *http.Request) {
			r.Host = "any"
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/s", Net: "unix"}))
		},
	} {
		if w := ask(&Handler{}, "GET", "/healthz", change); w.Code != http.StatusNoContent {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// Not ready is 503; the reason is for the one who runs the server.
func TestReadiness(t *testing.T) {
	var reason error
	ready := &Readiness{Check: func() error { return reason }}
	h := &Handler{Ready: ready}
	state := func() (public, private *httptest.ResponseRecorder) {
		return ask(ready, "GET", "/readyz", nil), ask(h, "GET", "/readyz", nil)
	}
	if public, private := state(); public.Code != 204 || private.Code != 204 {
		t.Errorf("ready: %d, %d", public.Code, private.Code)
	}
	reason = errors.New("/secret/cache: no space")
	public, private := state()
	if public.Code != 503 || private.Code != 503 || strings.Contains(public.Body.String(), "secret") || !strings.Contains(private.Body.String(), "no space") {
		t.Errorf("a full cache: %d %s, %d %s", public.Code, public.Body, private.Code, private.Body)
	}
	reason = nil
	ready.Drain()
	if public, private := state(); public.Code != 503 || private.Code != 503 || !strings.Contains(private.Body.String(), "stopped") {
		t.Errorf("draining: %d, %d %s", public.Code, private.Code, private.Body)
	}
	if w := ask(h, "GET", "/healthz", nil); w.Code != 204 {
		t.Errorf("draining is not dead: %d", w.Code)
	}
}

func TestListen(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0", "example.com:80", "nothing", ""} {
		if l, err := Listen(address); err == nil {
			l.Close()
			t.Errorf("%q is taken", address)
		}
	}
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// A Unix socket is its user's alone; a dead one is replaced, nothing else is.
func TestListenOnASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Skip(err) // no such sockets here
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "answers") {
		t.Errorf("a socket in use: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as if it was killed
	l.Close()
	if l, err = Listen("unix:" + path); err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	l.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "mine" {
		t.Errorf("the file: %q, %v", data, err)
	}
}
