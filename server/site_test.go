package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/server/page"
	"coredrop/server/symbols"
	"coredrop/server/upstream"
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
	h, err := site{base: base, symbols: &symbols.Handler{Stores: []symbols.Store{store}}, demo: core}.handler()
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
			base + "readyz":                 http.StatusNoContent,
			base + "symbols/":               http.StatusOK,
			base + "symbols/style.css":      http.StatusOK,
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
	h := demoSite(t, "/a/dump/")
	for url, want := range map[string]string{"/a/dump": "dump/", "/a/dump?x=1&y=%2F": "dump/?x=1&y=%2F"} {
		w := get(h, url)
		if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", url, w.Code, w.Header())
		}
	}
	if w := get(h, "/a"); w.Code != http.StatusNotFound || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("outside the base: %d %v", w.Code, w.Header())
	}
}

// The page is told of a symbol proxy only where there is something behind it.
func TestSymbolsAreAnnouncedWhereThereAreAny(t *testing.T) {
	store, err := newDemoStore()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		symbols *symbols.Handler
		want    bool
	}{
		"no proxy":     {nil, false},
		"an empty one": {&symbols.Handler{}, false},
		"a store":      {&symbols.Handler{Stores: []symbols.Store{store}}, true},
		"an upstream":  {&symbols.Handler{Upstreams: []symbols.Upstream{&upstream.Client{}}}, true},
	} {
		h, err := site{base: "/", symbols: c.symbols}.handler()
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{"/version", "/version.json"} {
			var about page.Build
			if err := json.Unmarshal(get(h, url).Body.Bytes(), &about); err != nil || about.Symbols != c.want {
				t.Errorf("%s: %s: %+v, %v", name, url, about, err)
			}
		}
	}
}

// The demo core is 12 MB, of which nearly all is empty memory.
func TestDemoCoreGoesOutCompressed(t *testing.T) {
	r := httptest.NewRequest("GET", "/demo/"+demoFile, nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	w := httptest.NewRecorder()
	demoSite(t, "/").ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 100_000 {
		t.Errorf("%d %v, %d bytes", w.Code, w.Header(), w.Body.Len())
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
