// Package diskstore reads the symbol stores in directories of this machine. A
// hit costs the opening of a file, a miss a few of them: what other spellings a
// store has is known from its listings, which are read again in the background
// when a directory has changed, and never while a request waits. It follows
// symbolic links, writes nothing and does not look at what is in a file.
package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

const (
	// twoTiers is the file that says that a store has a level more: the first
	// two letters of the name.
	twoTiers = "index2.txt"
	// maxListings bounds the listings that are kept.
	maxListings = 1000
	guidDigits  = 32
)

// Store is a symbol store in a directory.
type Store struct {
	dir string

	mu       sync.Mutex
	listings map[string]*listing // by path relative to dir
}

// New opens the store in a directory and reads what names it has.
func New(dir string) (*Store, error) {
	s := &Store{dir: dir, listings: map[string]*listing{}}
	_, err := s.names(".")
	return s, err
}

// Get opens the file of a key, whose name and ID may be in any case in the
// store. When the store does not have it errors.Is(err, fs.ErrNotExist); when it
// has it only compressed, the code is symbols-compressed; when it cannot be read,
// symbols-unreadable.
func (s *Store) Get(_ context.Context, k symstore.Key) (symstore.File, error) {
	f, err := s.find(k)
	var said *fault.Error
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrNotExist) || errors.As(err, &said):
		return nil, err
	}
	return nil, fault.Wrap(err, fault.SymbolsUnreadable, "%s could not be read: %v", k, Reason(err))
}

// find tries the spellings that are usual, then those that are there. The first
// needs no listing: what was just put there is found.
func (s *Store) find(k symstore.Key) (*File, error) {
	if f, err := s.open(filepath.FromSlash(k.String())); !missing(err) {
		return f, err
	}
	dirs, err := s.dirs(k.Name)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		for _, id := range spellings(k) {
			f, err := s.open(filepath.Join(dir, id, filepath.Base(dir)))
			if !missing(err) {
				return f, err
			}
		}
	}
	for _, name := range dirs {
		if f, err := s.open(name); !missing(err) {
			return f, err // a PDB that lies loose beside the store
		}
	}
	packed := false
	for _, dir := range dirs {
		ids, err := s.spelled(dir, k.ID)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			f, compressed, err := s.inside(filepath.Join(dir, id), k.Name)
			if !missing(err) {
				return f, err
			}
			packed = packed || compressed
		}
	}
	if packed {
		return nil, fault.New(fault.SymbolsCompressed, "the symbol store has %s only compressed", k.Name)
	}
	return nil, fmt.Errorf("%s: %w", k, fs.ErrNotExist)
}

// spellings are the ways in which programs write an ID: symstore in upper case,
// SSQP in lower case, symsrv with only the age in lower case.
func spellings(k symstore.Key) []string {
	list := []string{k.ID}
	for _, other := range []string{strings.ToLower(k.ID), k.ID[:min(guidDigits, len(k.ID))] + strings.ToLower(k.ID[min(guidDigits, len(k.ID)):])} {
		if other != k.ID {
			list = append(list, other)
		}
	}
	return list
}

// dirs gives the directories that have a name, in any case.
func (s *Store) dirs(name string) ([]string, error) {
	root, err := s.names(".")
	if err != nil {
		return nil, err
	}
	dirs := root[strings.ToLower(name)]
	if len(root[twoTiers]) == 0 {
		return dirs, nil
	}
	dirs = dirs[:len(dirs):len(dirs)]
	for _, tier := range root[strings.ToLower(name[:2])] {
		list, err := s.spelled(tier, name)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			dirs = append(dirs, filepath.Join(tier, d))
		}
	}
	return dirs, nil
}

// spelled gives what a directory has under a name in any case.
func (s *Store) spelled(dir, name string) ([]string, error) {
	names, err := s.names(dir)
	return names[strings.ToLower(name)], err
}

// inside looks into the directory of one ID, which has a file or two.
func (s *Store) inside(dir, name string) (f *File, compressed bool, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		return nil, false, err
	}
	err = fs.ErrNotExist
	for _, e := range entries {
		switch {
		case strings.EqualFold(e.Name(), name):
			if f, err = s.open(filepath.Join(dir, e.Name())); !missing(err) {
				return f, false, err
			}
		case strings.EqualFold(e.Name(), name[:len(name)-1]+"_"):
			compressed = true
		}
	}
	return nil, compressed, err
}

func (s *Store) open(name string) (*File, error) {
	return Open(filepath.Join(s.dir, name), os.OpenFile)
}

// missing reports whether an error says that there is no such file; a file where
// a directory should be is none either.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Reason is what the operating system says, without the path: the sentence names
// the file, and the proxy's clients are not to see where it is.
func Reason(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// names gives what is in a directory, by the names in lower case.
func (s *Store) names(dir string) (map[string][]string, error) {
	s.mu.Lock()
	l := s.listings[dir]
	if l == nil {
		for other := range s.listings {
			if len(s.listings) < maxListings {
				break
			}
			if other != "." {
				delete(s.listings, other)
			}
		}
		l = &listing{path: filepath.Join(s.dir, dir)}
		s.listings[dir] = l
	}
	s.mu.Unlock()
	names, err := l.names()
	if missing(err) && dir != "." {
		err = nil // gone since it was listed, or a file
	}
	return names, err
}
