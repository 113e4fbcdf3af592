package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"coredrop/core/symstore"
	"coredrop/server/diskstore"
)

// missing reports whether an error says that there is no such file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// full reports whether an error says that something must go first.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// refuse notes that the disk takes nothing, with the lock held.
func (c *Cache) refuse(err error) {
	c.refused, c.reason = time.Now().Add(refusal), diskstore.Reason(err).Error()
}

// refuses reports whether the disk is known to take nothing, with the lock held.
func (c *Cache) refuses() bool { return time.Now().Before(c.refused) }

// taken notes that the disk takes files, with the lock held.
func (c *Cache) taken() { c.refused, c.reason = time.Time{}, "" }

// probe writes a file and removes it, with the lock held: a full disk shows when
// something is written.
func (c *Cache) probe() {
	f, name, err := c.create()
	if err == nil {
		_, err = f.WriteString("a full disk shows when something is written\n")
		err = errors.Join(err, f.Close(), c.root.Remove(name))
	}
	if err != nil {
		c.refuse(err)
		return
	}
	c.taken()
}

// scan lists the files of a directory, those used longest ago last.
func scan(root *os.Root, tiers bool) []*file {
	var found []*file
	bases := []string{"."}
	if tiers {
		bases = children(root, ".")
	}
	for _, base := range bases {
		for _, name := range children(root, base) {
			for _, id := range children(root, path.Join(base, name)) {
				at := path.Join(base, name, id, name)
				k, err := symstore.ParseKey(name + "/" + id + "/" + name)
				if err != nil {
					continue
				}
				if info, err := root.Lstat(at); err == nil && info.Mode().IsRegular() {
					found = append(found, &file{fold: fold(k), path: at, bytes: info.Size(), used: info.ModTime(), noted: info.ModTime()})
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *file) int { return b.used.Compare(a.used) })
	return found
}

// children lists the directories in a directory; what cannot be read is empty.
func children(root *os.Root, dir string) []string {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// count takes over what a scan found, with the lock held. What came or went
// while it ran is looked at again.
func (c *Cache) count(found []*file) {
	was := map[string]*file{}
	for e := c.order.Back(); e != nil; e = e.Prev() {
		f := e.Value.(*file)
		was[f.fold] = f
	}
	for _, f := range found {
		if known := was[f.fold]; known != nil {
			delete(was, f.fold)
			c.bytes += f.bytes - known.bytes
			known.bytes = f.bytes
		} else if _, err := c.root.Lstat(f.path); err == nil {
			c.add(f)
			c.order.MoveToBack(c.files[f.fold])
		}
	}
	for _, f := range was {
		if _, err := c.root.Lstat(f.path); err != nil {
			c.drop(f.fold)
		}
	}
	c.shrink()
}

// shrink removes what was used longest ago until nine tenths of the budget are
// left, if there is more than all of it, with the lock held.
func (c *Cache) shrink() {
	if c.o.Budget < 0 || c.bytes <= c.o.Budget {
		return
	}
	c.evict(c.bytes - c.o.Budget/10*keepOf)
}

// evict removes files of so many bytes, those that were used longest ago first,
// and gives how many bytes it removed, with the lock held. A reader that has one
// open goes on reading.
func (c *Cache) evict(bytes int64) (removed int64) {
	if !c.owned {
		return 0
	}
	for e := c.order.Back(); e != nil && removed < bytes; {
		f, before := e.Value.(*file), e.Prev()
		if err := c.root.Remove(f.path); err == nil || missing(err) {
			removed += f.bytes
			c.evicted++
			c.drop(f.fold)
			dir := path.Dir(f.path)
			if c.root.Remove(dir) == nil { // an empty directory costs nothing where it stays
				c.root.Remove(path.Dir(dir))
			}
		}
		e = before
	}
	return removed
}

// Maintain removes dead temporaries and counts the files again every hour, until
// the context ends: other programs may use the directory too.
func (c *Cache) Maintain(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.maintain()
		}
	}
}

func (c *Cache) maintain() {
	c.mu.Lock()
	if c.moved() {
		c.reopen()
	}
	root, tiers := c.root, c.tiers
	c.mu.Unlock()
	if root == nil {
		return
	}
	found := scan(root, tiers) // a large directory takes long: nobody waits for it
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.root == root {
		c.count(found)
		c.sweep()
	}
}

// moved reports whether another directory is at the cache's place, or none, with
// the lock held.
func (c *Cache) moved() bool {
	if c.root == nil {
		return true
	}
	here, err := os.Stat(c.o.Dir)
	if err != nil {
		return true
	}
	open, err := c.root.Stat(".")
	return err != nil || !os.SameFile(here, open)
}

// temporary reports whether a name is one of the cache's temporaries.
func temporary(name string) bool {
	return strings.HasPrefix(name, temporaryPrefix) || symstore.Unfinished(name)
}
