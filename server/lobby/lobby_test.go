package lobby

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coredrop/server/metrics"
)

func shown(p *Page, change func(*http.Request)) string {
	r := httptest.NewRequest("GET", "/symbols/", nil)
	r.Host = "sym.example:8080"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Body.String()
}

// The line is the one that leads here, whoever is in front.
func TestTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		base   string
		change func(*http.Request)
		want   string
	}{
		"plain":          {"", nil, `http://sym.example:8080/symbols`},
		"below a base":   {"/a/dump/", nil, `http://sym.example:8080/a/dump/symbols`},
		"TLS":            {"/", func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, `https://sym.example:8080/symbols`},
		"behind a proxy": {"/", func(r *http.Request) { r.Host = "sym.example"; r.Header.Set("X-Forwarded-Proto", "https") }, `https://sym.example/symbols`},
		"a lie":          {"/", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "javascript") }, `http://sym.example:8080/symbols`},
		"IPv6":           {"/", func(r *http.Request) { r.Host = "[::1]:80" }, `http://[::1]:80/symbols`},
		"no host":        {"/", func(r *http.Request) { r.Host = "" }, `http://HOST/symbols`},
		"a command":      {"/", func(r *http.Request) { r.Host = "x&del" }, `http://HOST/symbols`},
		"a tag":          {"/", func(r *http.Request) { r.Host = "<script>" }, `http://HOST/symbols`},
	} {
		text := shown(&Page{Base: c.base}, c.change)
		if !strings.Contains(text, `.sympath srv*C:\sym*`+c.want+"\n") || !strings.Contains(text, `_NT_SYMBOL_PATH srv*C:\sym*`+c.want+"<") {
			t.Errorf("%s: no %s in %s", name, c.want, text)
		}
		if strings.Contains(text, "<script") || strings.Contains(text, "style=") {
			t.Errorf("%s: what the policy refuses: %s", name, text)
		}
	}
}

func TestTheNumbers(t *testing.T) {
	totals := metrics.Totals{Since: time.Unix(0, 0), Hits: 3, Misses: 1, Other: 7, Bytes: 5 << 20, Snapshot: metrics.Snapshot{CacheBytes: 3 << 30, CacheLimit: 20 << 30}}
	p := &Page{Totals: func() metrics.Totals { return totals }}
	text := shown(p, nil)
	for _, want := range []string{"Since 1970-01-01 00:00 UTC", "75 % were here already", "<dd>4, ", "<dd>7</dd>", " of "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	totals = metrics.Totals{}
	if text := shown(p, nil); strings.Contains(text, "Hit rate") || strings.Contains(text, "Cache") {
		t.Errorf("numbers of nothing: %s", text)
	}
	if text := shown(&Page{}, nil); strings.Contains(text, "Since") {
		t.Errorf("numbers of nobody: %s", text)
	}
}

func TestTheStyle(t *testing.T) {
	w := httptest.NewRecorder()
	(&Page{}).ServeHTTP(w, httptest.NewRequest("GET", "/symbols/"+StyleFile, nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(w.Body.String(), "main {") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
