// Package sharedstore is a symbol store in a bucket, which several servers share: each
// file is the object NAME/ID/NAME below a prefix, where other tools find it too. It does
// not look into files: who reads one verifies it.
package sharedstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/bucket"
)

// Store implements symstore.Store, but that a file that is there stays: its key says
// what is in it, so whoever was first stored the same.
type Store struct {
	objects *bucket.Store
	below   bucket.Name
}

// New gives the store below a prefix of a bucket. It asks nobody.
func New(objects *bucket.Store, below bucket.Name) *Store { return &Store{objects, below} }

// name is where a key's object is. Keys that differ in case are one file, and the
// objects' names tell cases apart.
func (s *Store) name(k symstore.Key) bucket.Name {
	return s.below.Join(symstore.Key{Name: strings.ToLower(k.Name), ID: k.ID}.String())
}

// Get looks for a file. What is read of it, until ctx ends, is of the version that was
// there then: one that is replaced or removed meanwhile is file-changed.
func (s *Store) Get(ctx context.Context, k symstore.Key) (symstore.File, error) {
	o, err := s.objects.Stat(ctx, s.name(k))
	switch {
	case err == nil:
		return &file{ctx, o}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", k, fs.ErrNotExist)
	case fault.Is(err, fault.Cancelled):
		return nil, cancelled(ctx)
	}
	return nil, fault.Wrap(err, fault.SymbolsUnreadable, "%s", fault.As(err).Text)
}

// cancelled is the error of a context that has ended, with its cause.
func cancelled(ctx context.Context) error {
	return fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
}

// file is one version of an object.
type file struct {
	ctx context.Context
	o   *bucket.Object
}

// Size gives the length in bytes.
func (f *file) Size() int64 { return f.o.Size }

// Close has nothing to let go of.
func (f *file) Close() error { return nil }

// ReadAt asks the store, each time.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	n := min(int64(len(p)), f.o.Size-off)
	if n <= 0 {
		return 0, io.EOF
	}
	body, err := f.o.Range(f.ctx, off, n)
	if err != nil {
		return 0, err
	}
	defer body.Close() // it was read to its end
	done, err := io.ReadFull(body, p[:n])
	if err == nil && n < int64(len(p)) {
		err = io.EOF
	}
	return done, err
}

// Stream gives the whole file, which it asks for once. Who reads it compares the length.
func (f *file) Stream() (io.ReadCloser, error) {
	if f.o.Size == 0 { // there is no range of nothing
		return io.NopCloser(strings.NewReader("")), nil
	}
	return f.o.Range(f.ctx, 0, f.o.Size)
}
