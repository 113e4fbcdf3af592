// Package lobby is the page at /symbols/ for people: what to tell a debugger, and
// how the cache does. Debuggers never ask for it. It has no script, and its style
// is a file of its own, as the site's policy wants it.
package lobby

import (
	"embed"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"

	"coredrop/core/words"
	"coredrop/server/metrics"
)

// StyleFile is the name of the style beside the page.
const StyleFile = "style.css"

//go:embed style.css
var files embed.FS

// Page is the page. Its zero value shows the debugger's line only.
type Page struct {
	// Base is the path the site is served under; empty: "/".
	Base string
	// Totals gives the numbers. If nil, none are shown.
	Totals func() metrics.Totals
}

// ServeHTTP answers with the page, or with its style where that is asked for.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/"+StyleFile) {
		style, err := files.ReadFile(StyleFile)
		if err != nil {
			http.Error(w, "the style is missing", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(style) // the client is gone if this fails
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, p.text(r))
}

func (p *Page) text(r *http.Request) string {
	var b strings.Builder
	put := func(format string, texts ...any) {
		for i, t := range texts {
			texts[i] = html.EscapeString(fmt.Sprint(t))
		}
		fmt.Fprintf(&b, format, texts...)
	}
	path := `srv*C:\sym*` + p.address(r)
	put(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Coredrop: symbols</title>
<link rel="stylesheet" href="%s">
<main>
<h1>Symbols</h1>
<p>This is a symbol server. In WinDbg:</p>
<pre>.sympath %s
.reload</pre>
<p>For every debugger of a user, in a command prompt:</p>
<pre>setx _NT_SYMBOL_PATH %s</pre>
<p><code>C:\sym</code> is where the debugger keeps what it got; any directory will do.
Every file is verified before it is handed out.</p>
`, StyleFile, path, path)
	if p.Totals != nil {
		t := p.Totals()
		put("<h2>Since %s</h2>\n<dl>\n", t.Since.UTC().Format("2006-01-02 15:04 UTC"))
		row := func(name, format string, texts ...any) {
			put("<dt>%s</dt><dd>%s</dd>\n", name, fmt.Sprintf(format, texts...))
		}
		row("Files handed out", "%d, %s", t.Hits+t.Misses, words.Bytes(t.Bytes))
		if rate, ok := t.HitRate(); ok {
			row("Hit rate", "%.0f %% were here already", rate)
		}
		row("Not had", "%d", t.Other)
		switch s := t.Snapshot; {
		case s.CacheLimit > 0:
			row("Cache", "%s of %s", words.Bytes(s.CacheBytes), words.Bytes(s.CacheLimit))
		case s.CacheBytes > 0:
			row("Cache", "%s", words.Bytes(s.CacheBytes))
		}
		put("</dl>\n")
	}
	put(`<p><a href="../">Open a core</a></p>
</main>
`)
	return b.String()
}

// hostForm is what a name or an address with its port looks like. The Host
// header may hold anything, and people paste the line into a prompt.
var hostForm = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?$`)

// address is that of the symbol server as the client knows it: a proxy in front
// says so with X-Forwarded-Proto and leaves the Host as it was.
func (p *Page) address(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	host := r.Host
	if !hostForm.MatchString(host) {
		host = "HOST"
	}
	base := p.Base
	if base == "" {
		base = "/"
	}
	return scheme + "://" + host + base + "symbols"
}
