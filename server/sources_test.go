package main

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/server/cache"
)

// homeless takes away all places that a cache could be in by itself.
func homeless(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other variables")
	}
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "CACHE_DIRECTORY", "_NT_SYMBOL_PATH"} {
		t.Setenv(name, "")
	}
}

// Where the cache is: what was named, what systemd gives, what the user has. No
// folder that all users share is taken instead.
func TestCacheDirectory(t *testing.T) {
	homeless(t)
	if dir, _, err := cacheDirectory(""); !fault.Is(err, fault.BadOption) || !strings.Contains(strings.Join(fault.As(err).Remedy(fault.CLI), ""), "-cache") {
		t.Errorf("%s, %v", dir, err)
	}
	if c, err := openCache(cache.Options{}, false); c != nil || err != nil {
		t.Errorf("nobody is asked, and nothing is kept: %v", err)
	}
	if p := defaultSymbolPath(); p != "https://msdl.microsoft.com/download/symbols" {
		t.Errorf("the symbol path is %s", p)
	}
	check := func(named, want string, wantOwned bool) {
		t.Helper()
		if dir, owned, err := cacheDirectory(named); dir != want || owned != wantOwned || err != nil {
			t.Errorf("%s, %v, %v", dir, owned, err)
		}
	}
	t.Setenv("HOME", "/home/somebody")
	check("", filepath.FromSlash("/home/somebody/.cache/coredrop/symbols"), true)
	t.Setenv("CACHE_DIRECTORY", "/var/cache/coredrop:/var/cache/more")
	check("", "/var/cache/coredrop", true)
	check("here", "here", false)
}

// Without a place for its cache the server says which flag names one, and with
// nobody to ask it needs none.
func TestServeWithoutAHome(t *testing.T) {
	homeless(t)
	var out, complaints strings.Builder
	if code := run(t.Context(), []string{"serve", "-addr", "127.0.0.1:0"}, nil, &out, &complaints); code == exitDone || !strings.Contains(complaints.String(), "-cache DIR") {
		t.Errorf("exit %d: %s", code, &complaints)
	}
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none")
	defer stop()
	if status, _ := fetch(t, url+"healthz"); status != http.StatusNoContent {
		t.Errorf("healthz: %d", status)
	}
}

// With nobody to ask, what the cache has is served.
func TestServeFromItsCacheAlone(t *testing.T) {
	b := builds(t, 1, 0)[0]
	dir := t.TempDir()
	if err := putFile(dir, b.key.String(), b.data); err != nil {
		t.Fatal(err)
	}
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-cache", dir)
	defer stop()
	if status, body := fetch(t, url+"symbols/"+b.key.String()); status != http.StatusOK || string(body) != string(b.data) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if _, about := fetch(t, url+"version.json"); !strings.Contains(string(about), `"symbols":true`) {
		t.Errorf("the page is not told: %s", about)
	}
}

// A symbol path means to the proxy what it means to convert: stores that are
// read, servers that are asked, and the leftmost store of the first for what they
// give.
func TestSourcesOfASymbolPath(t *testing.T) {
	dir := t.TempDir()
	b := builds(t, 1, 0)[0]
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := putFile(dir, "b/"+b.key.String(), b.data); err != nil {
		t.Fatal(err)
	}
	if err := putFile(dir, b.key.Name, b.data); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		path      string
		allow     []string
		stores    int
		upstreams string
		cache     string
		warnings  int
	}{
		{"none", nil, 0, "", "", 0},
		{at("b"), nil, 1, "", "", 0},
		{at("b") + ";" + at(b.key.Name), nil, 2, "", "", 0},
		{"srv*" + at("a") + "*" + at("b") + "*https://x.example/s", nil, 1, "https://x.example/s", at("a"), 0},
		{"srv*" + at("a") + "*https://x.example;srv*" + at("c") + "*https://y.example", nil, 1, "https://x.example https://y.example", at("a"), 0},
		{"srv*" + at("a") + "*http://x.example", nil, 1, "", "", 1},
		{"srv*" + at("a") + "*http://x.example", []string{"x.example"}, 0, "http://x.example", at("a"), 0},
		{at("missing") + ";" + at("b"), nil, 1, "", "", 1},
	} {
		s := sourcesOf(c.path, c.allow)
		if len(s.stores) != c.stores || strings.Join(s.upstreams, " ") != c.upstreams || s.cache != c.cache || len(s.warnings) < c.warnings || c.warnings == 0 && len(s.warnings) > 0 {
			t.Errorf("%s: %d stores, %q, cache %s, %v", c.path, len(s.stores), s.upstreams, s.cache, s.warnings)
		}
		for _, store := range s.stores {
			if f, err := store.Get(t.Context(), b.key); err == nil {
				f.Close()
			} else if c.stores == 1 && strings.Contains(c.path, at("b")) {
				t.Errorf("%s: %v", c.path, err)
			}
		}
	}
}
