package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"io/fs"

	"coredrop/core/demo"
	"coredrop/core/symstore"
	"coredrop/server/symbols"
)

const demoUsage = `usage: coredrop demo [flags]

Serves the page with the built-in demo guest and its PDB. It needs no network
and asks nobody.

`

// demoFile is the name the demo core is offered under.
const demoFile = demo.CoreName

// runDemo is `coredrop demo`.
func runDemo(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	addr := set.String("addr", defaultAddress, "the `address` to listen on")
	base := set.String("base", "/", "the `path` the site is served under")
	files, code, done := parse(set, args, demoUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) > 0 {
		return usageError(stderr, "demo", "demo takes no files")
	}
	path, err := cleanBase(*base)
	if err != nil {
		return usageError(stderr, "demo", "%v", err)
	}
	core, err := demo.Core()
	if err != nil {
		return fail(stderr, err)
	}
	store, err := newDemoStore()
	if err != nil {
		return fail(stderr, err)
	}
	h := &symbols.Handler{Stores: []symbols.Store{store}}
	s := service{addr: *addr, site: site{base: path, symbols: h, demo: core}}
	return s.run(ctx, stdout, stderr)
}

// demoStore is a symbol store that holds the PDBs of the examples' kernels and
// nothing else.
type demoStore map[symstore.Key][]byte

func newDemoStore() (demoStore, error) {
	s := demoStore{}
	for _, e := range demo.All {
		key, err := symstore.ParseKey(e.PDBKey)
		if err != nil {
			return nil, err
		}
		if s[key], err = e.PDB(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Get gives a PDB under its key.
func (s demoStore) Get(_ context.Context, key symstore.Key) (symstore.File, error) {
	data, ok := s[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return memoryFile{bytes.NewReader(data)}, nil
}

// memoryFile is a file in memory.
type memoryFile struct{ *bytes.Reader }

// Close does nothing.
func (memoryFile) Close() error { return nil }
