package upstream

import (
	"context"
	"errors"
	"io"
	"os"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

// Download fetches a key to a temporary file in dir ("" for the system's) and
// verifies it: MSF, GUID and age must be the key's. Closing the file removes
// it; it is meant to be copied into a store. Errors are those of Fetch, and
// symbols-mismatch or pdb-damaged of the verification.
func (c *Client) Download(ctx context.Context, k symstore.Key, dir string, report progress.Func) (symstore.File, error) {
	f, err := os.CreateTemp(dir, ".coredrop-*.tmp")
	if err != nil {
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "no place for the download: %v", err)
	}
	t := &temporary{File: f}
	if t.size, err = c.Fetch(ctx, k, f, report); err == nil {
		err = symstore.Verify(t, k)
	}
	if err != nil {
		t.Close() // the download's own error says more than that of cleaning up
		return nil, err
	}
	return t, nil
}

// Into downloads a key, verified, and publishes it in store.
func (c *Client) Into(ctx context.Context, store symstore.Store, k symstore.Key, report progress.Func) error {
	f, err := c.Download(ctx, k, "", report)
	if err != nil {
		return err
	}
	defer f.Close()
	return store.Put(ctx, k, io.NewSectionReader(f, 0, f.Size()))
}

// temporary is a file that goes away when it is closed.
type temporary struct {
	*os.File
	size int64
}

// Size gives the length in bytes.
func (t *temporary) Size() int64 { return t.size }

// Close closes the file and removes it.
func (t *temporary) Close() error {
	return errors.Join(t.File.Close(), os.Remove(t.Name()))
}
