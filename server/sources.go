package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/server/diskstore"
	"coredrop/server/symbols"
)

// sources is what a symbol path means to the proxy.
type sources struct {
	stores    []symbols.Store
	upstreams []string // their addresses
	cache     string   // the store left of the first server; "": none was named
	warnings  []fault.Warning
}

// sourcesOf reads a symbol path as convert and get do. The proxy fills one store,
// the leftmost of the first server; it reads the others.
func sourcesOf(path string, allowHTTP []string) sources {
	var s sources
	if isNoSymbols(path) {
		return s
	}
	r := newResolver(path, allowHTTP, progress.Sink{})
	for _, link := range r.chain.Links {
		places := link.Places
		if link.URL != "" {
			s.upstreams = append(s.upstreams, link.URL)
			if s.cache == "" && len(places) > 0 {
				s.cache, places = places[0].Name, places[1:]
			}
		}
		for _, p := range places {
			store, err := storeAt(p.Name)
			if err != nil {
				r.warn("the symbol path's %s was left out: %s", p.Name, reasonOf(err))
				continue
			}
			s.stores = append(s.stores, store)
		}
	}
	s.warnings = r.allWarnings()
	return s
}

// storeAt opens an element of a symbol path to be read.
func storeAt(path string) (symbols.Store, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		return single(path), nil
	}
	return diskstore.New(path)
}

// single is a PDB that was named by its path.
type single string

// Get opens it for a key of its name; which build it is, is not looked at.
func (s single) Get(_ context.Context, k symstore.Key) (symstore.File, error) {
	if !strings.EqualFold(filepath.Base(string(s)), k.Name) {
		return nil, fs.ErrNotExist
	}
	return diskstore.Open(string(s), os.OpenFile)
}
