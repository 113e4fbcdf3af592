package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"coredrop/server/admin"
	"coredrop/server/lobby"
	"coredrop/server/metrics"
	"coredrop/server/page"
	"coredrop/server/symbols"
)

// site is everything that is served: the page, symbols/, healthz and version,
// below a base path. All addresses are relative, so that it works under any.
type site struct {
	base    string                // "/" or "/dump/"
	symbols *symbols.Handler      // nil: no symbol proxy
	demo    []byte                // the demo core; nil: no demo
	ready   *admin.Readiness      // nil: always ready
	totals  func() metrics.Totals // what symbols/ shows to people; nil: no numbers
}

// handler builds the site's one handler; a test can do it too.
func (s site) handler() (http.Handler, error) {
	files := page.Embedded()
	about := page.Version(files)
	if about.Version == "" {
		about.Version, about.Commit = buildVersion()
	}
	// A proxy that has nothing and asks nobody is not announced: the page would
	// send the visitor there.
	about.Symbols = s.symbols != nil && s.symbols.HasFiles()
	extra := map[string][]byte{}
	if s.demo != nil {
		about.Demo = "demo/" + demoFile
		extra[about.Demo] = s.demo
	}
	text, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	extra[page.VersionFile] = append(text, '\n')
	if index, err := fs.ReadFile(files, "index.html"); err == nil { // else it was built without the page
		if extra["index.html"], err = page.Announce(index, about); err != nil {
			return nil, err
		}
	}
	pages, err := page.New(files, extra)
	if err != nil {
		return nil, err
	}
	people := &lobby.Page{Base: s.base, Totals: s.totals}
	routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := r.URL.Path; {
		case name == "/healthz":
			admin.Alive(w, r)
		case name == "/readyz":
			s.ready.ServeHTTP(w, r)
		case name == "/version":
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "application/json")
			w.Write(extra[page.VersionFile]) // the client is gone if this fails
		case (name == "/symbols/" || name == "/symbols/"+lobby.StyleFile) && s.symbols != nil:
			people.ServeHTTP(w, r)
		case strings.HasPrefix(name, "/symbols/") && s.symbols != nil:
			http.StripPrefix("/symbols", s.symbols).ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
	return page.Secure(mount(s.base, routes), pages.Inline()), nil
}

// mount puts a handler below a base path. The base without its last slash leads
// there by a relative address: a proxy in front may know it by another name.
func mount(base string, h http.Handler) http.Handler {
	if base == "/" {
		return h
	}
	prefix := strings.TrimSuffix(base, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == prefix:
			to := path.Base(prefix) + "/"
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			w.Header().Set("Location", to)
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.Path, base):
			http.StripPrefix(prefix, h).ServeHTTP(w, r)
		default:
			page.Refuse(w, http.StatusNotFound, "there is nothing at this address")
		}
	})
}

// cleanBase checks a base path.
func cleanBase(base string) (string, error) {
	if base == "" {
		return "/", nil
	}
	if !strings.HasPrefix(base, "/") || strings.ContainsAny(base, "?#%\\") || strings.Contains(base, "//") || path.Clean(base) != strings.TrimSuffix(base, "/") && base != "/" {
		return "", fmt.Errorf("the base %q is not a path such as /dump/", base)
	}
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base, nil
}
