//go:build js && wasm

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

// symbols finds PDBs without asking the network: those that were given, and
// those in the browser's cache. It implements windows.Symbols.
type symbols struct {
	opening sync.Mutex
	store   store // nil: not opened yet, or the browser keeps none
	failed  bool  // the browser keeps none
	given   []givenPDB
	sink    progress.Sink
}

// givenPDB is a PDB that was given or fetched, and found to be the kernel's of a
// core; it stays for the next core.
type givenPDB struct {
	from pdb.Origin
	file *blobReader
	pdb  *pdb.File
}

// open opens the browser's cache once.
func (s *symbols) open(ctx context.Context) {
	s.opening.Lock()
	defer s.opening.Unlock()
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
}

// give takes a PDB for the kernel that asks for a key. It fails with the PDB's own
// code where it is none, and with symbols-mismatch where it is another's.
func (s *symbols) give(r *blobReader, name, wanted string) error {
	f, err := pdb.Open(r, r.Size())
	if err != nil {
		return err
	}
	key, err := symstore.ParseKey(wanted)
	if err != nil {
		return fault.New(fault.SymbolsMismatch, "the kernel of this core names no PDB, so this one is not used")
	}
	if guid, age, ok := key.GUIDAge(); !ok || !f.Matches(guid, age) {
		return fault.New(fault.SymbolsMismatch, "this PDB belongs to another build: it is %s, the kernel asks for %s", identity(f), key.ID)
	}
	s.sink.Logf("symbols: %s is the kernel's PDB, %s", name, identity(f))
	s.given = append(s.given, givenPDB{from: pdb.Origin{Kind: pdb.FromFile, Name: name}, file: r, pdb: f})
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

// have reports whether the PDB of a key is here.
func (s *symbols) have(ctx context.Context, name string) bool {
	key, err := symstore.ParseKey(name)
	if err != nil {
		return false
	}
	guid, age, named := key.GUIDAge()
	if slices.ContainsFunc(s.given, func(g givenPDB) bool { return named && g.pdb.Matches(guid, age) }) {
		return true
	}
	if s.store == nil {
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
	s.given = append(s.given, givenPDB{from: pdb.Origin{Kind: pdb.FromServer, Name: base}, file: r, pdb: f})
	return nil
}
