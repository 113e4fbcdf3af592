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
	"coredrop/core/symstore"
)

// place is an element of a symbol path on disk: the directory of a symbol store,
// a directory with PDBs in it, or a PDB itself. It implements symstore.Stager;
// what is stored makes it a store.
type place struct {
	dir   string
	found func(dir, in string) // told when a directory near by had the file; nil: nobody is
}

// Get looks for a key; what it finds is not verified.
func (p place) Get(ctx context.Context, k symstore.Key) (symstore.File, error) {
	info, err := os.Stat(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, unreadable(p.dir, err)
	case !info.IsDir():
		return openPlain(p.dir)
	}
	f, err := lookIn(ctx, p.dir, k)
	if !errors.Is(err, fs.ErrNotExist) || p.found == nil {
		return f, err
	}
	// People name a directory inside the store, or the one around it.
	for _, near := range nearby(p.dir) {
		if f, nearErr := lookIn(ctx, near, k); nearErr == nil {
			p.found(p.dir, near)
			return f, nil
		}
	}
	return nil, err
}

// lookIn looks in one directory: as in a symbol store, then for the PDB itself.
func lookIn(ctx context.Context, dir string, k symstore.Key) (symstore.File, error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	f, err := store.Get(ctx, k)
	// Where the directory holds the PDB itself, the store's path NAME/ID/NAME
	// runs into a file.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return openPlain(filepath.Join(dir, k.Name))
	}
	return f, err
}

// maxNearby is how many directories below one are tried.
const maxNearby = 64

// nearby lists the directories one level up, two where the name is that of an
// inner folder NAME/ID, and one level down.
func nearby(dir string) []string {
	var list []string
	if abs, err := filepath.Abs(dir); err == nil {
		up := filepath.Dir(abs)
		list = append(list, up)
		if strings.EqualFold(filepath.Ext(up), ".pdb") {
			list = append(list, filepath.Dir(up))
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return list
	}
	defer d.Close() // only read
	entries, _ := d.ReadDir(maxNearby)
	for _, e := range entries {
		if e.IsDir() {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

// Put stores a verified file; the directory is made if need be.
func (p place) Put(ctx context.Context, k symstore.Key, r io.Reader) error {
	store, err := p.make()
	if err != nil {
		return err
	}
	return store.Put(ctx, k, r)
}

// Stage takes a file in before it is verified.
func (p place) Stage(ctx context.Context, k symstore.Key, r io.Reader) (symstore.Staged, error) {
	store, err := p.make()
	if err != nil {
		return nil, err
	}
	return store.(symstore.Stager).Stage(ctx, k, r)
}

// make opens the store for writing. Its errors leave the place's name to the
// caller, whose sentence has it.
func (p place) make() (symstore.Store, error) {
	err := os.MkdirAll(p.dir, 0o777)
	if err == nil {
		var store symstore.Store
		if store, err = openStore(p.dir); err == nil {
			return store, nil
		}
	}
	return nil, fault.Wrap(err, fault.SymbolsUnreadable, "%s", reasonOf(err))
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

// plainFile is a PDB by its path.
type plainFile struct {
	*os.File
	size int64
}

// Size gives the length in bytes.
func (f plainFile) Size() int64 { return f.size }

// openPlain opens a PDB by its path.
func openPlain(path string) (symstore.File, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, unreadable(path, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = unreadable(path, err)
	case !info.Mode().IsRegular():
		err = fs.ErrNotExist // a directory of that name is a store's
	default:
		return plainFile{f, info.Size()}, nil
	}
	f.Close()
	return nil, err
}

// unreadable names a place that cannot be used.
func unreadable(path string, err error) error {
	return fault.Wrap(err, fault.SymbolsUnreadable, "%s: %v", path, reasonOf(err))
}

// reasonOf is the operating system's reason without the path, which the sentence
// names already.
func reasonOf(err error) string {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err.Error()
	case errors.As(err, &l):
		return l.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}
