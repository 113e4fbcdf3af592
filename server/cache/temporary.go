package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"coredrop/server/filelock"
)

const (
	temporaryPrefix = ".coredrop-tmp-"
	// unlocked is how old, or how far in the future, the last change of a
	// temporary file is that can be dead without a lock to prove it: nobody
	// writes to a file for longer, and clocks of two machines may differ.
	unlocked = 15 * time.Minute
)

// create makes a temporary file in the root and holds its lock; a directory that
// vanished is made again. It is called with the lock of the cache held.
func (c *Cache) create() (*os.File, string, error) {
	for try := 0; ; try++ {
		if c.root == nil {
			c.reopen()
		}
		if c.root == nil {
			return nil, "", errors.New(c.reason)
		}
		name := fmt.Sprintf("%s%016x", temporaryPrefix, rand.Uint64())
		f, err := c.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrNotExist) && try == 0 {
			c.root = nil
			continue
		}
		if err != nil {
			return nil, "", err
		}
		filelock.Try(f) // without a lock it is swept by its age
		return f, name, nil
	}
}

// sweep removes the temporary files of programs that died, with the lock held.
// A file whose lock can be had is dead, whatever its date says; those of programs
// that take no lock are judged by it.
func (c *Cache) sweep() {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || !temporary(name) {
			continue
		}
		f, err := c.root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue // another user's
		}
		info, err := f.Stat()
		if err == nil && c.dead(f, info) {
			c.root.Remove(name) // else it stays, which only costs space
		}
		f.Close() // nothing was written
	}
}

// dead reports whether nobody writes to a temporary file any more.
func (c *Cache) dead(f *os.File, info fs.FileInfo) bool {
	age := time.Since(info.ModTime())
	quiet := age > unlocked || age < -unlocked
	if !filelock.Works || !strings.HasPrefix(info.Name(), temporaryPrefix) {
		return quiet
	}
	// A file is locked a moment after it is made: one that is empty may be at
	// that moment.
	return (info.Size() > 0 || quiet) && filelock.Try(f)
}
