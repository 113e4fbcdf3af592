//go:build js && wasm

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

// symbols finds PDBs without asking the network: those that were given, and
// those in the browser's cache. It implements windows.Symbols.
type symbols struct {
	store  symstore.Store // nil: not opened yet, or the browser keeps none
	failed bool           // the browser keeps none
	given  []givenPDB
	state  int // counts what came, so that a case is judged with it once
	sink   progress.Sink
}

// givenPDB is a PDB that was dropped or fetched; it stays for the next core.
type givenPDB struct {
	earlier bool // given for a core that was open before: no word if it does not fit
	name    string
	from    pdb.Origin
	file    *blobReader
	pdb     *pdb.File
}

// next is the same symbols for another core.
func (s *symbols) next(sink progress.Sink) *symbols {
	if s == nil {
		s = &symbols{state: 1}
	}
	s.sink = sink
	for i := range s.given {
		s.given[i].earlier = true
	}
	return s
}

// open opens the browser's cache once.
func (s *symbols) open(ctx context.Context) {
	if s.store != nil || s.failed {
		return
	}
	store, err := openStore(ctx)
	if err != nil {
		s.failed = true
		s.sink.Logf("symbols: this browser keeps no cache here: %v", err)
		return
	}
	s.store = store
	s.state++
}

// give takes a PDB; it fails with the PDB's own code where it is none.
func (s *symbols) give(r *blobReader, name string) error {
	f, err := pdb.Open(r, r.Size())
	if err != nil {
		return err
	}
	s.sink.Logf("symbols: %s is a PDB, %s", name, identity(f))
	s.state++
	s.given = append(s.given, givenPDB{name: name, from: pdb.Origin{Kind: pdb.FromFile, Name: name}, file: r, pdb: f})
	return nil
}

// identity writes a PDB's GUID and age as a symbol store does.
func identity(f *pdb.File) string {
	key, err := symstore.PDBKey("x.pdb", f.GUID(), f.Age())
	if err != nil {
		return "with an odd identity"
	}
	return key.ID
}

// concerns reports whether PDB has something to say of a key but that nothing
// is here: the file itself, or one that was given and is another's.
func (s *symbols) concerns(ctx context.Context, name string) bool {
	key, err := symstore.ParseKey(name)
	guid, age, named := key.GUIDAge()
	if slices.ContainsFunc(s.given, func(g givenPDB) bool { return !g.earlier || named && g.pdb.Matches(guid, age) }) {
		return true
	}
	if err != nil || s.store == nil {
		return false
	}
	f, err := s.store.Get(ctx, key)
	if err != nil {
		return false
	}
	f.Close() // only read
	return true
}

// PDB gives the PDB of a CodeView record and where it is from.
func (s *symbols) PDB(ctx context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	key, err := symstore.PDBKey(cv.Name, cv.GUID, cv.Age)
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	for _, g := range s.given {
		if g.pdb.Matches(cv.GUID, cv.Age) {
			s.keep(ctx, key, g.file)
			return g.pdb, g.from, nil
		}
	}
	if s.store != nil {
		f, err := s.cached(ctx, key)
		if err == nil {
			return f, pdb.Origin{Kind: pdb.FromCache}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.sink.Logf("symbols: the browser's cache: %v", err)
		}
	}
	if n := len(s.given); n > 0 && !s.given[n-1].earlier {
		g := s.given[n-1]
		return nil, pdb.Origin{}, fault.New(fault.SymbolsMismatch, "the PDB %s belongs to another build: it is %s, the kernel asks for %s", g.name, identity(g.pdb), key.ID)
	}
	return nil, pdb.Origin{}, fault.New(fault.SymbolsOffline, "the kernel's PDB %s is not here", key)
}

// cached opens a PDB of the browser's cache, verified.
func (s *symbols) cached(ctx context.Context, key symstore.Key) (*pdb.File, error) {
	f, err := symstore.Verified(ctx, s.store, key)
	if err != nil {
		return nil, err
	}
	return pdb.Open(f, f.Size())
}

// keep puts a PDB that matched into the browser's cache. That it cannot be kept
// does not keep it from being used.
func (s *symbols) keep(ctx context.Context, key symstore.Key, r *blobReader) {
	if s.store == nil {
		return
	}
	switch f, err := symstore.Verified(ctx, s.store, key); {
	case err == nil:
		f.Close() // only read
		return
	case !errors.Is(err, fs.ErrNotExist):
		s.sink.Logf("symbols: what the browser kept of %s is damaged: %v", key, err)
	}
	if err := s.store.Put(ctx, key, io.NewSectionReader(r, 0, r.Size())); err != nil {
		s.sink.Logf("symbols: the browser could not keep %s: %v", key, err)
		return
	}
	s.sink.Logf("symbols: kept %s in this browser", key)
}

// fetch gets a PDB from the page's own server and gives it, once it is verified.
func (s *symbols) fetch(ctx context.Context, base, name string) error {
	key, err := symstore.ParseKey(name)
	if err != nil {
		return fault.Wrap(err, fault.BadOption, "%q is not the key of a PDB", name)
	}
	url := fmt.Sprintf("%s/%s", base, key)
	s.sink.Logf("symbols: asking %s", url)
	blob, err := download(ctx, url, key.Name, s.sink)
	if err != nil {
		return err
	}
	r := newBlobReader(blob)
	if err := symstore.Verify(r, key); err != nil {
		return err
	}
	f, err := pdb.Open(r, r.Size())
	if err != nil {
		return err
	}
	s.state++
	s.given = append(s.given, givenPDB{name: key.Name, from: pdb.Origin{Kind: pdb.FromServer, Name: base}, file: r, pdb: f})
	return nil
}
