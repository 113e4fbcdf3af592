package symstore

import (
	"context"
	"errors"
	"io/fs"

	"github.com/hack-pad/hackpadfs"
)

// Entry is a file that a store holds.
type Entry struct {
	Key   Key
	Bytes int64
}

// Inventory is a store that tells what it holds and can let go of it.
type Inventory interface {
	// List gives the files under the names that Put gives them, in the order of
	// the store's names; what others put there in their own way is left out.
	List(ctx context.Context) ([]Entry, error)
	// Remove deletes a file; one that is not there is no error. A reader that has
	// it open may fail.
	Remove(ctx context.Context, k Key) error
}

// List implements Inventory.
func (s *fsStore) List(ctx context.Context) ([]Entry, error) {
	var found []Entry
	names, err := s.list(".")
	if err != nil {
		return nil, unreadable(err, "the symbol store could not be listed")
	}
	for _, name := range names {
		ids, err := s.list(name)
		if err != nil {
			return nil, unreadable(err, "the symbol store could not be listed")
		}
		for _, id := range ids {
			k, err := ParseKey(name + "/" + id + "/" + name)
			if err != nil || k.ID != id {
				continue
			}
			if err := cancelled(ctx); err != nil {
				return nil, err
			}
			f, err := s.open(name+"/"+id, k, name)
			if missing(err) {
				continue
			}
			if err != nil {
				return nil, unreadable(err, "%s could not be read", k)
			}
			found = append(found, Entry{k, f.Size()})
			f.Close() // only read
		}
	}
	return found, nil
}

// Remove implements Inventory.
func (s *fsStore) Remove(ctx context.Context, k Key) error {
	if err := cancelled(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := k.Name + "/" + k.ID
	// The description goes first: without it the blocks are no file.
	var failed error
	for _, name := range []string{metaName(k), k.Name} {
		if err := hackpadfs.Remove(s.fs, dir+"/"+name); err != nil && !missing(err) {
			failed = errors.Join(failed, err)
		}
	}
	names, err := s.list(dir)
	if failed = errors.Join(failed, err); failed != nil {
		return unreadable(failed, "%s could not be removed", k)
	}
	for _, name := range names {
		s.removeGeneration(dir + "/" + name)
	}
	// Empty directories cost nothing where they cannot be removed.
	if err := hackpadfs.Remove(s.fs, dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		hackpadfs.Remove(s.fs, k.Name)
	}
	return nil
}
