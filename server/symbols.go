package main

import (
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/server/cache"
	"coredrop/server/upstream"
)

// noSymbols is the symbol path that means: ask nobody.
const noSymbols = "none"

// defaultSymbolPath is what the debuggers use, else a cache of our own in front
// of Microsoft's server; without a place for one, that server alone.
func defaultSymbolPath() string {
	if p := os.Getenv("_NT_SYMBOL_PATH"); p != "" {
		return p
	}
	if dir, err := defaultStore(); err == nil {
		return "srv*" + dir + "*" + upstream.Microsoft
	}
	return upstream.Microsoft
}

// defaultStore is the symbol store in the user's cache directory. Who has none
// gets no place below /tmp instead: others could have put anything there.
func defaultStore() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "coredrop", "symbols"), err
}

// cacheDirectory gives the directory of the proxy's cache, and whether it is for
// that alone: the one that was named, or systemd's, or the user's.
func cacheDirectory(named string) (dir string, owned bool, err error) {
	if named != "" {
		return named, false, nil
	}
	if dir, _, _ := strings.Cut(os.Getenv("CACHE_DIRECTORY"), ":"); dir != "" { // systemd.exec(5): there may be several
		return dir, true, nil
	}
	dir, err = defaultStore()
	if err != nil {
		return "", false, fault.Wrap(err, fault.BadOption, "there is no place for the cache: neither HOME nor CACHE_DIRECTORY is set").Hint("name a directory: -cache DIR")
	}
	return dir, true, nil
}

// openCache opens the proxy's cache. Where nobody is asked nothing is written:
// what it has is served, if it is there.
func openCache(o cache.Options, asks bool) (*cache.Cache, error) {
	dir, owned, err := cacheDirectory(o.Dir)
	if err != nil {
		if !asks {
			return nil, nil
		}
		return nil, err
	}
	o.Dir, o.Owned = dir, owned
	if _, err := os.Stat(dir); err != nil && !asks {
		return nil, nil
	}
	c, err := cache.Open(o)
	if err != nil {
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not use the cache %s: %v", dir, reasonOf(err))
	}
	return c, nil
}

// resolver finds PDBs along a symbol path; it implements windows.Symbols. It
// keeps the PDBs it gave open until it is closed.
type resolver struct {
	chain    symstore.Chain
	warnings []fault.Warning // of the path's text; the chain has its own
	client   func(url string) *upstream.Client
	open     []io.Closer
}

// isNoSymbols reports whether a symbol path is the word that means: ask nobody.
func isNoSymbols(path string) bool { return strings.EqualFold(strings.TrimSpace(path), noSymbols) }

// newResolver reads a symbol path; parts of it that are not understood, or that
// cannot be right, are warnings. allowHTTP names hosts that may be asked over
// plain http.
func newResolver(text string, allowHTTP []string, sink progress.Sink) *resolver {
	r := &resolver{client: func(url string) *upstream.Client {
		return &upstream.Client{URL: url, AllowHTTP: allowHTTP, UserAgent: userAgent()}
	}}
	path, warnings := symstore.ParsePath(text)
	r.warnings = warnings
	r.chain = symstore.Chain{Fetcher: r, Sink: sink}
	for _, e := range path.Elements {
		link := symstore.Link{URL: e.URL}
		if e.Plain && !plainAllowed(e.URL, allowHTTP) {
			refusal := upstream.PlainHTTP("the symbol server", e.URL)
			r.warnings = append(r.warnings, fault.Warn(refusal.Code, "%s; %s", refusal.Text, strings.Join(refusal.Remedy(fault.CLI), "; ")))
			link.URL = ""
		}
		for i, dir := range e.Stores {
			filled := e.URL != "" || i < len(e.Stores)-1 // what is found further right is kept here
			for _, dir := range r.directories(dir, filled) {
				link.Places = append(link.Places, symstore.Place{Name: dir, Store: place{dir, r.foundNear}, Kind: kindOf(dir)})
			}
		}
		r.chain.Links = append(r.chain.Links, link)
	}
	return r
}

// kindOf tells a PDB given by its path from a symbol store.
func kindOf(path string) pdb.OriginKind {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return pdb.FromFile
	}
	return pdb.FromStore
}

func plainAllowed(address string, allowHTTP []string) bool {
	u, err := url.Parse(address)
	return err == nil && upstream.HTTPAllowed(u, allowHTTP)
}

// warn adds a warning of the path's text.
func (r *resolver) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fault.Warn(fault.SymbolPath, format, args...))
}

// foundNear warns that a directory of the path is not the store, but near it.
func (r *resolver) foundNear(dir, in string) {
	r.warn("the symbol path's %s is no symbol store; the PDB was found in %s", dir, in)
}

// userAgent says honestly who asks.
func userAgent() string {
	v, _ := buildVersion()
	return "coredrop/" + v
}

// Fetch implements symstore.Fetcher.
func (r *resolver) Fetch(ctx context.Context, url string, k symstore.Key) (io.ReadCloser, int64, error) {
	c := r.client(url)
	r.chain.Logf("symbols: asking %s", c.KeyURL(k))
	return c.OpenResuming(ctx, k)
}

// find gives the verified file of a key and where it was found.
func (r *resolver) find(ctx context.Context, k symstore.Key) (symstore.File, pdb.Origin, error) {
	return r.chain.Find(ctx, k)
}

// PDB gives the PDB of a CodeView record.
func (r *resolver) PDB(ctx context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	key, err := symstore.PDBKey(cv.Name, cv.GUID, cv.Age)
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	f, from, err := r.find(ctx, key)
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	p, err := pdb.Open(f, f.Size())
	if err != nil {
		f.Close()
		return nil, pdb.Origin{}, err
	}
	r.open = append(r.open, f)
	return p, from, nil
}

// allWarnings gives what was not understood of the path, and what could not be
// kept; each once, though a store may have been tried twice.
func (r *resolver) allWarnings() []fault.Warning {
	var list []fault.Warning
	for _, w := range slices.Concat(r.warnings, r.chain.Warnings) {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// close closes the PDBs that were given.
func (r *resolver) close() {
	for _, f := range r.open {
		f.Close() // only read
	}
	r.open = nil
}
