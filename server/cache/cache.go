// Package cache keeps fetched symbol files in a directory, within a number of
// bytes: when there are more, those that were used last go first. It takes a
// file in under a temporary name, has it verified, and only then gives it its
// name; where the disk takes nothing, a limited amount is held in memory. Several
// programs may share a directory. It asks no server and knows no client.
package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/diskstore"
)

// What Options have where nothing is said, in bytes.
const (
	DefaultBudget = 20 << 30
	DefaultHeld   = 64 << 20
)

const (
	// keepOf is what stays of the budget when it is exceeded, in tenths: else
	// each file would push out another.
	keepOf = 9
	// refusal is how long a disk that took nothing is not tried again.
	refusal = time.Minute
	// recent is how exactly it is known over a restart when a file was used: its
	// time is set when the last is older.
	recent = time.Hour
	// marker is left in a directory that is the cache's own.
	marker = ".coredrop-cache"

	dirMode  = 0o755
	fileMode = 0o644
)

// Options say where a cache is and how large it may be.
type Options struct {
	Dir string
	// Budget is how many bytes of files are kept. 0: DefaultBudget; less: no limit.
	Budget int64
	// Held is how many bytes of files that the disk does not take are in memory,
	// all together. 0: DefaultHeld.
	Held int64
	// Owned says that the directory is for the cache alone. Without it, a
	// directory that the cache made or found empty is, and nothing is ever
	// removed from any other.
	Owned bool
}

// Cache is a directory of symbol files. Its methods may be called from several
// goroutines.
type Cache struct {
	o Options

	mu      sync.Mutex
	root    *os.Root // nil: the directory could not be opened
	owned   bool
	tiers   bool // the directory has the two tiers of a symbol store
	files   map[string]*list.Element
	order   list.List // of *file, the one used last in front
	bytes   int64
	evicted int64
	refused time.Time // until then nothing is written
	reason  string    // why
	held    int64
}

// file is a file that the cache is known to have.
type file struct {
	fold  string // its key in lower case, what files has it under
	path  string // where it is, as it is spelled there
	bytes int64
	used  time.Time
	noted time.Time // what of that is written on the disk
}

// Open opens a cache, and makes its directory if need be. A directory that takes
// no files is one nevertheless: what it has is given, and Stats says so.
func Open(o Options) (*Cache, error) {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Held == 0 {
		o.Held = DefaultHeld
	}
	c := &Cache{o: o}
	if info, err := os.Stat(o.Dir); err == nil && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: o.Dir, Err: errors.New("it is not a directory")}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reopen()
	if c.root != nil {
		c.sweep()
		c.probe()
	}
	return c, nil
}

// Warning gives what to tell when the cache is opened, "" if nothing.
func (c *Cache) Warning() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reason != "":
		return fmt.Sprintf("the cache %s takes no files (%s): what it has is served, and the rest is fetched each time", c.o.Dir, c.reason)
	case !c.owned && c.o.Budget > 0:
		return fmt.Sprintf("the cache %s had files in it before: nothing is ever removed there, and it may grow beyond %d bytes; name a directory of its own, or put an empty file %s into this one", c.o.Dir, c.o.Budget, marker)
	}
	return ""
}

// reopen opens the directory, which it makes if need be, and counts what is
// there, with the lock held.
func (c *Cache) reopen() {
	c.root = nil // not closed: others may be looking there; the collector does it
	err := os.MkdirAll(c.o.Dir, dirMode)
	root, openErr := os.OpenRoot(c.o.Dir)
	if openErr != nil {
		c.refuse(errors.Join(err, openErr))
		return
	}
	c.root = root
	c.own()
	c.count(scan(c.root, c.tiers))
}

// own finds out whether files may be removed here.
func (c *Cache) own() {
	c.owned = c.o.Owned
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return
	}
	empty := true
	c.tiers = false
	for _, e := range entries {
		switch name := e.Name(); {
		case name == marker:
			c.owned = true
		case strings.EqualFold(name, "index2.txt"):
			c.tiers, empty = true, false
		case !temporary(name) && name != "lost+found":
			empty = false
		}
	}
	if empty && !c.owned {
		f, err := c.root.OpenFile(marker, os.O_WRONLY|os.O_CREATE, fileMode)
		if err != nil {
			return
		}
		f.Close() // it is empty
		c.owned = true
	}
}

// path is where a key's file is put.
func (c *Cache) path(k symstore.Key) string {
	if c.tiers {
		return path.Join(k.Name[:2], k.String())
	}
	return k.String()
}

func fold(k symstore.Key) string { return strings.ToLower(k.Name + "/" + k.ID) }

// Get opens a key's file; what is in it is not looked at. The error is
// fs.ErrNotExist, or symbols-unreadable.
func (c *Cache) Get(_ context.Context, k symstore.Key) (symstore.File, error) {
	c.mu.Lock()
	root, places := c.root, []string{c.path(k)}
	if e := c.files[fold(k)]; e != nil {
		if at := e.Value.(*file).path; at != places[0] {
			places = append(places, at)
		}
	}
	c.mu.Unlock()
	if root == nil {
		return nil, fmt.Errorf("%s: %w", k, fs.ErrNotExist)
	}
	for _, at := range places {
		f, err := diskstore.Open(at, root.OpenFile)
		switch {
		case err == nil:
			c.use(k, at, f)
			return f, nil
		case !missing(err):
			return nil, fault.Wrap(err, fault.SymbolsUnreadable, "%s could not be read: %v", k, diskstore.Reason(err))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(fold(k)) // another program removed it
	return nil, fmt.Errorf("%s: %w", k, fs.ErrNotExist)
}

// use notes that a file is used.
func (c *Cache) use(k symstore.Key, at string, f *diskstore.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.add(&file{fold: fold(k), path: at, bytes: f.Size(), used: time.Now(), noted: f.ModTime()})
	if c.owned && e.used.Sub(e.noted) > recent {
		e.noted = e.used
		c.root.Chtimes(at, e.used, e.used) // else it goes earlier, after a restart
	}
}

// add puts a file in front of the others, with the lock held.
func (c *Cache) add(f *file) *file {
	if e := c.files[f.fold]; e != nil {
		old := e.Value.(*file)
		c.bytes += f.bytes - old.bytes
		if old.noted.After(f.noted) {
			f.noted = old.noted
		}
		*old = *f
		c.order.MoveToFront(e)
		return old
	}
	if c.files == nil {
		c.files = map[string]*list.Element{}
	}
	c.files[f.fold] = c.order.PushFront(f)
	c.bytes += f.bytes
	return f
}

// drop forgets a file, with the lock held.
func (c *Cache) drop(fold string) {
	if e := c.files[fold]; e != nil {
		c.bytes -= e.Value.(*file).bytes
		c.order.Remove(e)
		delete(c.files, fold)
	}
}

// Stats is what a cache has.
type Stats struct {
	Bytes   int64     // of all files
	Limit   int64     // less than 0: none
	Files   int       //
	Oldest  time.Time // when the file that goes next was used; zero: there is none
	Evicted int64     // files that were removed for want of room
	Held    int64     // bytes in memory that the disk did not take
	Takes   bool      // the disk takes files, as far as is known
}

// Stats gives what the cache has now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Bytes: c.bytes, Limit: c.o.Budget, Files: c.order.Len(), Evicted: c.evicted, Held: c.held, Takes: !c.refuses()}
	if !c.owned {
		s.Limit = -1
	}
	if last := c.order.Back(); last != nil {
		s.Oldest = last.Value.(*file).used
	}
	return s
}

// Ready reports whether the disk takes files, by trying.
func (c *Cache) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.refuses() {
		c.probe()
	}
	if c.refuses() {
		return fault.New(fault.SymbolsUnreadable, "the cache takes no files: %s", c.reason)
	}
	return nil
}
