package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/symstore"
	"coredrop/server/page"
	"coredrop/server/symbols"
)

func demoSite(t *testing.T, base string) http.Handler {
	t.Helper()
	store, err := newDemoStore()
	if err != nil {
		t.Fatal(err)
	}
	core, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	h, err := site{base: base, symbols: &symbols.Handler{Stores: []symstore.Store{store}}, demo: core}.handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, url string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	return w
}

func TestSiteRoutes(t *testing.T) {
	for _, base := range []string{"/", "/dump/", "/a/b/"} {
		h := demoSite(t, base)
		for url, want := range map[string]int{
			base + "healthz":                http.StatusNoContent,
			base + "version":                http.StatusOK,
			base + "version.json":           http.StatusOK,
			base + "demo/" + demoFile:       http.StatusOK,
			base + "symbols/" + demo.PDBKey: http.StatusOK,
			base + "symbols/index2.txt":     http.StatusNotFound,
			base + "symbols":                http.StatusNotFound,
			base + "etc/passwd":             http.StatusNotFound,
			"/elsewhere":                    http.StatusNotFound,
		} {
			w := get(h, url)
			if w.Code != want {
				t.Errorf("%s: %d, not %d", url, w.Code, want)
			}
			if w.Header().Get("Content-Security-Policy") == "" {
				t.Errorf("%s: no policy", url)
			}
		}
		var about page.Build
		if err := json.Unmarshal(get(h, base+"version").Body.Bytes(), &about); err != nil || !about.Symbols || about.Demo != "demo/"+demoFile || about.Version == "" {
			t.Errorf("version: %+v, %v", about, err)
		}
	}
}

// The way to the page is relative: a proxy in front may use another name.
func TestBaseWithoutItsSlash(t *testing.T) {
	w := get(demoSite(t, "/a/dump/"), "/a/dump")
	if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "dump/" {
		t.Errorf("%d %q", w.Code, w.Header().Get("Location"))
	}
}

func TestCleanBase(t *testing.T) {
	for base, want := range map[string]string{"": "/", "/": "/", "/dump": "/dump/", "/dump/": "/dump/", "/a/b": "/a/b/"} {
		if got, err := cleanBase(base); err != nil || got != want {
			t.Errorf("%q: %q, %v", base, got, err)
		}
	}
	for _, base := range []string{"dump", "//", "/a//b", "/../x", "/a/..", "/a?b", "/%2e", `/a\b`, "http://x/"} {
		if got, err := cleanBase(base); err == nil {
			t.Errorf("%q is taken for %q", base, got)
		}
	}
}

// No method and no header brings a body past the door.
func TestNoBodyReachesTheSite(t *testing.T) {
	h := demoSite(t, "/")
	for _, method := range []string{"GET", "POST", "PUT"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/symbols/"+demo.PDBKey, strings.NewReader("a core")))
		if w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// The commands serve on loopback, say where, and end with their context.
func TestServeAndDemoCommands(t *testing.T) {
	for name, args := range map[string][]string{
		"demo":  {"-addr", "127.0.0.1:0", "-base", "/x/"},
		"serve": {"-addr", "127.0.0.1:0", "-base", "/x/", "-cache", t.TempDir(), "-upstream", "https://symbols.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			out, in := io.Pipe()
			ended := make(chan int, 1)
			var complaints strings.Builder
			go func() { ended <- run(ctx, append([]string{name}, args...), nil, in, &complaints) }()
			line := make([]byte, 200)
			n, err := out.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			url, found := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "coredrop: serving on ")
			if !found || !strings.HasSuffix(url, "/x/") {
				t.Fatalf("it says %q", line[:n])
			}
			r, err := http.Get(url + "healthz")
			if err != nil || r.StatusCode != http.StatusNoContent {
				t.Errorf("%v %v", r, err)
			}
			stop()
			if code := <-ended; code != exitDone {
				t.Errorf("exit %d: %s", code, complaints.String())
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"serve", "core.elf"}, exitUsage, "takes no files"},
		{[]string{"serve", "-base", "dump"}, exitUsage, "is not a path"},
		{[]string{"serve", "-upstream", "http://symbols.invalid", "-cache", t.TempDir()}, exitFailed, "https"},
		{[]string{"serve", "-upstream", "none", "-store", "/nowhere/at/all"}, exitFailed, "/nowhere/at/all"},
		{[]string{"serve", "-upstream", "none", "-addr", taken.Addr().String()}, exitFailed, "could not listen"},
		{[]string{"demo", "x"}, exitUsage, "takes no files"},
	} {
		var out, complaints strings.Builder
		if code := run(t.Context(), c.args, nil, &out, &complaints); code != c.code || !strings.Contains(complaints.String(), c.says) {
			t.Errorf("%v: exit %d: %s", c.args, code, complaints.String())
		}
	}
}
