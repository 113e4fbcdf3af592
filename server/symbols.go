package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	hackpados "github.com/hack-pad/hackpadfs/os"

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
	path     symstore.Path
	sink     progress.Sink
	warnings []fault.Warning
	agent    string
	client   func(url string) *upstream.Client // tests replace it
	open     []io.Closer
}

// newResolver reads a symbol path; parts of it that are not understood are
// warnings.
func newResolver(path string, sink progress.Sink) *resolver {
	r := &resolver{sink: sink, agent: userAgent()}
	r.path, r.warnings = symstore.ParsePath(path)
	for i := range r.path.Elements {
		for j, s := range r.path.Elements[i].Stores {
			if s == "" { // srv**URL: the default store
				r.path.Elements[i].Stores[j] = defaultStore()
			}
		}
	}
	r.client = func(url string) *upstream.Client {
		return &upstream.Client{URL: url, UserAgent: r.agent}
	}
	return r
}

// userAgent says honestly who asks.
func userAgent() string {
	v, _ := buildVersion()
	return "coredrop/" + v
}

// PDB gives the PDB of a CodeView record.
func (r *resolver) PDB(ctx context.Context, cv pe.CodeView) (*pdb.File, string, error) {
	key, err := symstore.PDBKey(cv.Name, cv.GUID, cv.Age)
	if err != nil {
		return nil, "", err
	}
	f, from, err := r.find(ctx, key)
	if err != nil {
		return nil, "", err
	}
	p, err := pdb.Open(f, f.Size())
	if err != nil {
		f.Close()
		return nil, "", err
	}
	r.open = append(r.open, f)
	return p, from, nil
}

// close closes the PDBs that were given.
func (r *resolver) close() {
	for _, f := range r.open {
		f.Close() // only read
	}
	r.open = nil
}

// find gives the verified file of a key and where it was found: the first place
// on the path that has it. A place that has something else under that name is
// passed over, and is the error when nobody has the right one.
func (r *resolver) find(ctx context.Context, key symstore.Key) (symstore.File, string, error) {
	var first error // the one that says most: not merely "not there"
	var asked []string
	for _, e := range r.path.Elements {
		f, from, err := r.findIn(ctx, e, key, &asked)
		if err == nil {
			return f, from, nil
		}
		if fault.Is(err, fault.Cancelled) || ctx.Err() != nil {
			return nil, "", err
		}
		if !errors.Is(err, fs.ErrNotExist) && !fault.Is(err, fault.SymbolsNotFound) && first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, "", first
	}
	err := fault.New(fault.SymbolsNotFound, "no symbol store or server has %s", key)
	for _, a := range asked {
		err.Hint("asked %s", a)
	}
	return nil, "", err
}

// findIn looks in one element of the path: its stores from left to right, then
// its server. What comes from further right is kept in the leftmost store.
func (r *resolver) findIn(ctx context.Context, e symstore.Element, key symstore.Key, asked *[]string) (symstore.File, string, error) {
	var first error = fs.ErrNotExist
	for i, dir := range e.Stores {
		*asked = append(*asked, dir)
		f, err := openFrom(ctx, dir, key)
		if err == nil {
			r.sink.Logf("symbols: found in %s", dir)
			if i > 0 {
				r.keep(ctx, e.Stores[0], key, f)
			}
			return f, dir, nil
		}
		r.sink.Logf("symbols: %s: %v", dir, err)
		if !errors.Is(err, fs.ErrNotExist) && errors.Is(first, fs.ErrNotExist) {
			first = err
		}
	}
	if e.URL == "" {
		return nil, "", first
	}
	c := r.client(e.URL)
	*asked = append(*asked, c.KeyURL(key))
	r.sink.Logf("symbols: asking %s", c.KeyURL(key))
	f, err := c.Download(ctx, key, "", r.sink.OnProgress)
	if err != nil {
		r.sink.Logf("symbols: %v", err)
		if errors.Is(first, fs.ErrNotExist) || !fault.Is(err, fault.SymbolsNotFound) {
			first = err
		}
		return nil, "", first
	}
	r.sink.Logf("symbols: fetched %d bytes", f.Size())
	if len(e.Stores) > 0 {
		r.keep(ctx, e.Stores[0], key, f)
	}
	return f, e.URL, nil
}

// keep copies a verified file into a store. That it cannot be kept does not
// keep it from being used.
func (r *resolver) keep(ctx context.Context, dir string, key symstore.Key, f symstore.File) {
	if err := putInto(ctx, dir, key, f); err != nil {
		r.warnings = append(r.warnings, fault.Warn(fault.SymbolsUnreadable, "the PDB could not be kept in %s: %v", dir, reasonOf(err)))
		return
	}
	r.sink.Logf("symbols: kept in %s", dir)
}

// putInto stores a verified file in a directory, which is made if need be.
func putInto(ctx context.Context, dir string, key symstore.Key, f symstore.File) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	return s.Put(ctx, key, io.NewSectionReader(f, 0, f.Size()))
}

// openStore gives the symbol store in a directory.
func openStore(dir string) (symstore.Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root := hackpados.NewFS()
	name, err := root.FromOSPath(abs)
	if err != nil {
		return nil, err
	}
	sub, err := root.Sub(name)
	if err != nil {
		return nil, err
	}
	return symstore.NewFS(sub), nil
}

// openFrom looks for a key in a place on disk: a symbol store, a plain directory
// with the PDB in it, or the PDB itself. The file is verified. fs.ErrNotExist
// (errors.Is) says that the place does not have it.
func openFrom(ctx context.Context, place string, key symstore.Key) (symstore.File, error) {
	info, err := os.Stat(place)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not read %s: %v", place, reasonOf(err))
	}
	if !info.IsDir() {
		return openPlain(place, key)
	}
	store, err := openStore(place)
	if err != nil {
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not read %s: %v", place, reasonOf(err))
	}
	f, err := store.Get(ctx, key)
	if err == nil {
		if err := symstore.Verify(f, key); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	// Where the directory holds the PDB itself, the store's path NAME/ID/NAME
	// runs into a file.
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil, err
	}
	return openPlain(filepath.Join(place, key.Name), key)
}

// plainFile is a PDB by its path.
type plainFile struct {
	*os.File
	size int64
}

// Size gives the length in bytes.
func (f plainFile) Size() int64 { return f.size }

func openPlain(path string, key symstore.Key) (symstore.File, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not read %s: %v", path, reasonOf(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist // a directory of that name is a store's
	}
	if err == nil {
		err = symstore.Verify(plainFile{f, info.Size()}, key)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return plainFile{f, info.Size()}, nil
}

// reasonOf leaves the path away that the sentence names already.
func reasonOf(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}
