package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// noSymbols is the symbol path that means: ask nobody.
const noSymbols = "none"

// defaultSymbolPath is what the debuggers use, else a cache of our own in front
// of Microsoft's server.
func defaultSymbolPath() string {
	if p := os.Getenv("_NT_SYMBOL_PATH"); p != "" {
		return p
	}
	return "srv*" + defaultStore() + "*" + upstream.Microsoft
}

// defaultStore is the symbol store in the user's cache directory.
func defaultStore() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "coredrop", "symbols")
}

// resolver finds PDBs along a symbol path; it implements windows.Symbols. It
// keeps the PDBs it gave open until it is closed.
type resolver struct {
	chain    symstore.Chain
	warnings []fault.Warning // of the path's text; the chain has its own
	client   func(url string) *upstream.Client
	open     []io.Closer
}

// newResolver reads a symbol path; parts of it that are not understood are
// warnings.
func newResolver(text string, sink progress.Sink) *resolver {
	r := &resolver{client: func(url string) *upstream.Client {
		return &upstream.Client{URL: url, UserAgent: userAgent()}
	}}
	path, warnings := symstore.ParsePath(text)
	r.warnings = warnings
	r.chain = symstore.Chain{Fetcher: r, Sink: sink}
	for _, e := range path.Elements {
		link := symstore.Link{URL: e.URL}
		for _, dir := range e.Stores {
			if dir == "" { // srv**URL: the default store
				dir = defaultStore()
			}
			link.Places = append(link.Places, symstore.Place{Name: dir, Store: place(dir), Kind: kindOf(dir)})
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

// userAgent says honestly who asks.
func userAgent() string {
	v, _ := buildVersion()
	return "coredrop/" + v
}

// Fetch implements symstore.Fetcher.
func (r *resolver) Fetch(ctx context.Context, url string, k symstore.Key) (io.ReadCloser, int64, error) {
	c := r.client(url)
	r.chain.Logf("symbols: asking %s", c.KeyURL(k))
	return c.Open(ctx, k)
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
