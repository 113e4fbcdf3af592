package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func handler(t *testing.T) http.Handler {
	t.Helper()
	h, err := New(fstest.MapFS{
		"placeholder":      {Data: []byte("x")},
		"index.html":       {Data: []byte("<!doctype html>")},
		"coredrop.wasm":    {Data: []byte("plain wasm")},
		"coredrop.wasm.br": {Data: []byte("brotli wasm")},
		"coredrop.wasm.gz": {Data: []byte("gzip wasm")},
		"web/app.js":       {Data: []byte("app")},
		"version.json":     {Data: []byte(`{"version":"v1","commit":"c","wasm":"abc"}`)},
	}, map[string][]byte{"demo/core.elf": []byte("core")})
	if err != nil {
		t.Fatal(err)
	}
	return Secure(h, Inline{})
}

func ask(h http.Handler, method, url string, header ...string) *http.Response {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(b.String(), "\r\n\r\n")
	return after
}

func TestTypesAndVariants(t *testing.T) {
	h := handler(t)
	for _, c := range []struct {
		url, accept, contentType, encoding, body string
	}{
		{"/", "gzip, br", "text/html; charset=utf-8", "", "<!doctype html>"},
		{"/index.html", "", "text/html; charset=utf-8", "", "<!doctype html>"},
		{"/web/app.js", "br", "text/javascript; charset=utf-8", "", "app"},
		{"/coredrop.wasm", "gzip, deflate, br", "application/wasm", "br", "brotli wasm"},
		{"/coredrop.wasm", "gzip", "application/wasm", "gzip", "gzip wasm"},
		{"/coredrop.wasm", "br;q=0, gzip;q=0.5", "application/wasm", "gzip", "gzip wasm"},
		{"/coredrop.wasm", "identity", "application/wasm", "", "plain wasm"},
		{"/coredrop.wasm", "brotli", "application/wasm", "", "plain wasm"},
		{"/demo/core.elf", "", "application/octet-stream", "", "core"},
	} {
		r := ask(h, "GET", c.url, "Accept-Encoding", c.accept)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != c.contentType || r.Header.Get("Content-Encoding") != c.encoding {
			t.Errorf("%s %q: %d %q %q", c.url, c.accept, r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"))
		}
		if got := body(t, r); !strings.Contains(got, c.body) {
			t.Errorf("%s %q: body %q", c.url, c.accept, got)
		}
	}
	if v := ask(h, "GET", "/coredrop.wasm").Header.Get("Vary"); v != "Accept-Encoding" {
		t.Errorf("Vary is %q", v)
	}
}

func TestCaching(t *testing.T) {
	h, err := New(fstest.MapFS{
		"index.html": {Data: []byte("page")}, "sw.js": {Data: []byte("worker")}, "application.js": {Data: []byte("x")},
		"app/0f/a.wasm": {Data: []byte("wasm")}, "app/0f/web/a.js": {Data: []byte("module")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"/":                  "no-cache",
		"/sw.js":             "no-cache",
		"/application.js":    "no-cache",
		"/app/0f/a.wasm":     "public, max-age=31536000, immutable",
		"/app/0f/web/a.js":   "public, max-age=31536000, immutable",
		"/app/0f/web/a.js?v": "public, max-age=31536000, immutable",
	} {
		if got := ask(h, "GET", url).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %q, not %q", url, got, want)
		}
	}
	tag := ask(h, "GET", "/app/0f/a.wasm").Header.Get("ETag")
	if r := ask(h, "GET", "/app/0f/a.wasm", "If-None-Match", tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("the same tag gives %d", r.StatusCode)
	}
}

func TestNoMethodWithABody(t *testing.T) {
	h := handler(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"} {
		if r := ask(h, method, "/"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, r.StatusCode)
		}
	}
}

func TestOddPathsAreNotFound(t *testing.T) {
	h := handler(t)
	for _, url := range []string{"/web", "/web/", "/../index.html", "/web/../index.html", "//index.html", "/web/%2e%2e/index.html", "/placeholder", "/coredrop.wasm.br", "/index.html/"} {
		if r := ask(h, "GET", url); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", url, r.StatusCode)
		}
	}
}

func TestWithoutTheBuiltPage(t *testing.T) {
	h, err := New(fstest.MapFS{"placeholder": {Data: []byte("x")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := ask(h, "GET", "/")
	if got := body(t, r); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got, "run make") {
		t.Errorf("%d %q", r.StatusCode, got)
	}
	if b := Version(fstest.MapFS{}); b != (Build{}) {
		t.Errorf("a build without a version file: %+v", b)
	}
}

func TestEmbeddedFilesServe(t *testing.T) {
	if _, err := New(Embedded(), nil); err != nil {
		t.Fatal(err)
	}
}

// The page's own scripts and styles are allowed by their hashes: those in the page,
// as they stand there, and nothing else.
func TestWhatStandsInThePageIsAllowed(t *testing.T) {
	h, err := New(fstest.MapFS{"index.html": {Data: []byte("<script type=\"application/json\" id=\"build\">{}</script><script>\nboot();\n</script><script src=\"x.js\"></script><style>\nboot();\n</style>")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// printf '\nboot();\n' | openssl sha256 -binary | base64
	want := "'sha256-RNvFDR9HqPVhIGMgz604ECZD7T+EFOdFtWjBMtLhNZU='"
	if got := h.Inline(); len(got.Scripts) != 1 || got.Scripts[0] != want || len(got.Styles) != 1 || got.Styles[0] != want {
		t.Errorf("allowed are %q, not %s", got, want)
	}
	policy := ask(Secure(h, h.Inline()), "GET", "/").Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self' "+want+" 'wasm-unsafe-eval'; ") || !strings.Contains(policy, "style-src 'self' "+want+"; ") {
		t.Errorf("the policy is %s", policy)
	}
}

// A server says in the page what it can do.
func TestAnnounce(t *testing.T) {
	page := `<head><script type="application/json" id="build">{"version":"v1","files":["a"]}</script></head>`
	got, err := Announce([]byte(page), Build{Version: "other", Symbols: true, Demo: "demo/</script>.elf"})
	want := `<head><script type="application/json" id="build">{"demo":"demo/\u003c/script\u003e.elf","files":["a"],"symbols":true,"version":"v1"}</script></head>`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	for _, page := range []string{"", "<head></head>", `<script type="application/json" id="build">{</script>`} {
		if _, err := Announce([]byte(page), Build{}); err == nil {
			t.Errorf("%q is taken", page)
		}
	}
}
