//go:build js && wasm

package main

import (
	"context"
	"syscall/js"

	"coredrop/core/identify"
	"coredrop/core/pdb"
	"coredrop/core/source"
	"coredrop/core/symstore"
)

// identify takes a File and says what it is by its first bytes, whatever is open:
// {id, class, noun, error}. The id and the class are those of package identify;
// the error says why it is no core to open, null where it is one.
func (s *session) identify(args []js.Value) (any, error) {
	return s.job(func(ctx context.Context) (any, error) {
		r, name := newBlobReader(args[0]), args[0].Get("name").String()
		r.ctx = ctx
		f, err := identify.Look(source.Source{ReaderAt: r, Size: r.size, Name: name})
		if r.changed != nil {
			return nil, r.changed
		}
		if err != nil {
			return nil, err
		}
		out := map[string]any{"id": f.ID, "class": string(f.Class), "noun": f.Noun, "error": nil}
		if refusal := f.Fault(); refusal != nil {
			out["error"] = errorValue(refusal, name)
		}
		return js.ValueOf(out), nil
	})
}

// readPDB takes the File of a PDB and gives its identity {id}, or fails with what
// is wrong with it.
func (s *session) readPDB(args []js.Value) (any, error) {
	return s.job(func(context.Context) (any, error) {
		r := newBlobReader(args[0])
		f, err := pdb.Open(r, r.Size())
		if err != nil {
			return nil, err
		}
		return js.ValueOf(map[string]any{"id": identity(f)}), nil
	})
}

// cached lists the PDBs that this browser keeps: [{key, bytes}]. It is no job: the
// page may ask for it whatever runs.
func (s *session) cached([]js.Value) (any, error) {
	ctx, list := context.Background(), []any{}
	s.symbols.open(ctx)
	if s.symbols.store == nil {
		return js.ValueOf(list), nil
	}
	entries, err := s.symbols.store.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		list = append(list, map[string]any{"key": e.Key.String(), "bytes": float64(e.Bytes)})
	}
	return js.ValueOf(list), nil
}

// forget deletes the PDB of a key from this browser's cache.
func (s *session) forget(args []js.Value) (any, error) {
	return s.job(func(ctx context.Context) (any, error) {
		key, err := symstore.ParseKey(args[0].String())
		if err != nil {
			return nil, err
		}
		s.symbols.open(ctx)
		if s.symbols.store == nil {
			return nil, nil
		}
		return nil, s.symbols.store.Remove(ctx, key)
	})
}
