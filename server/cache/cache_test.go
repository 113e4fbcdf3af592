package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// key makes the key of an invented PDB.
func key(t testing.TB, n int) symstore.Key {
	t.Helper()
	k, err := symstore.ParseKey(fmt.Sprintf("a%d.pdb/%032X1/a%[1]d.pdb", n, n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, o Options) *Cache {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fine(symstore.File) error { return nil }

// take puts a file of n bytes into a cache and gives why it was not kept.
func take(t testing.TB, c *Cache, k symstore.Key, n int) string {
	t.Helper()
	data := content(k, n)
	taken, err := c.Take(k, bytes.NewReader(data), int64(n), fine)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	whole(t, taken, data)
	return taken.Unkept
}

// content is what the file of a key has: no other file has it.
func content(k symstore.Key, n int) []byte {
	return bytes.Repeat([]byte(k.ID+"\n"), n/34+1)[:n]
}

func whole(t testing.TB, f symstore.File, want []byte) {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || !bytes.Equal(data, want) {
		t.Fatalf("%d bytes of %d are others: %v", len(data), len(want), err)
	}
}

// has reports whether the cache has a key's file, whole.
func has(t testing.TB, c *Cache, k symstore.Key, n int) bool {
	t.Helper()
	f, err := c.Get(t.Context(), k)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole(t, f, content(k, n))
	return true
}

// visible lists what is in the directory of a cache, but for its mark.
func visible(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != marker {
			names = append(names, e.Name())
		}
	}
	return names
}

// Beyond the budget the files used last stay, of nine tenths of it.
func TestBudget(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Dir: dir, Budget: 100_000})
	for i := range 10 {
		if why := take(t, c, key(t, i), 10_000); why != "" {
			t.Fatal(why)
		}
	}
	if s := c.Stats(); s.Bytes != 100_000 || s.Files != 10 || s.Evicted != 0 || s.Limit != 100_000 || !s.Takes {
		t.Errorf("%+v", s)
	}
	if !has(t, c, key(t, 0), 10_000) { // and it is used
		t.Fatal("it is gone before the budget is")
	}
	take(t, c, key(t, 10), 10_000)
	if s := c.Stats(); s.Bytes != 90_000 || s.Files != 9 || s.Evicted != 2 {
		t.Errorf("%+v", s)
	}
	for i, want := range map[int]bool{0: true, 1: false, 2: false, 3: true, 10: true} {
		if has(t, c, key(t, i), 10_000) != want {
			t.Errorf("%d: %v", i, !want)
		}
	}
	if list := visible(t, dir); len(list) != 9 {
		t.Errorf("the directory has %q", list)
	}
	// A file that would push out all others is passed on, and not kept.
	if why := take(t, c, key(t, 11), 95_000); !strings.Contains(why, "larger") || has(t, c, key(t, 11), 0) || c.Stats().Files != 9 {
		t.Errorf("%q", why)
	}
}

// After a restart the order is that of the last use, to the hour.
func TestBudgetAfterRestart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Dir: dir, Budget: 100_000})
	for i := range 3 {
		take(t, c, key(t, i), 10_000)
		old := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, key(t, i).String()), old, old); err != nil {
			t.Fatal(err)
		}
	}
	c = open(t, Options{Dir: dir, Budget: 100_000})
	if s := c.Stats(); s.Files != 3 || s.Bytes != 30_000 || time.Since(s.Oldest) < 99*time.Hour {
		t.Errorf("%+v", s)
	}
	if !has(t, c, key(t, 0), 10_000) {
		t.Fatal("not there")
	}
	c = open(t, Options{Dir: dir, Budget: 25_000})
	if s := c.Stats(); s.Files != 2 || s.Bytes != 20_000 {
		t.Errorf("a smaller budget: %+v", s)
	}
	if has(t, c, key(t, 1), 10_000) || !has(t, c, key(t, 0), 10_000) || !has(t, c, key(t, 2), 10_000) {
		t.Error("the wrong one went")
	}
}

// In a directory that had files of others nothing is ever removed.
func TestNothingOfOthersIsRemoved(t *testing.T) {
	dir := t.TempDir()
	theirs := key(t, 1000)
	if err := os.MkdirAll(filepath.Join(dir, theirs.Name, theirs.ID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, theirs.String()), content(theirs, 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	c := open(t, Options{Dir: dir, Budget: 20_000})
	if !strings.Contains(c.Warning(), "nothing is ever removed") || !strings.Contains(c.Warning(), marker) {
		t.Errorf("it says %q", c.Warning())
	}
	for i := range 5 {
		take(t, c, key(t, i), 10_000)
	}
	if s := c.Stats(); s.Files != 6 || s.Evicted != 0 || s.Limit != -1 {
		t.Errorf("%+v", s)
	}
	if !has(t, c, theirs, 10_000) {
		t.Error("it is gone")
	}
	// Who says that it is the cache's has it kept small.
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if c = open(t, Options{Dir: dir, Budget: 20_000}); c.Stats().Bytes > 20_000 || c.Warning() != "" {
		t.Errorf("%+v, %q", c.Stats(), c.Warning())
	}
}

// What is not right, or does not come whole, leaves nothing; an error is the
// source's or the verifier's own.
func TestNothingBadIsKept(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Dir: dir})
	mine := errors.New("mine")
	for name, err := range map[string]error{
		"source": func() error {
			_, err := c.Take(key(t, 0), io.MultiReader(strings.NewReader("half"), failing{mine}), 8, fine)
			return err
		}(),
		"verifier": func() error {
			_, err := c.Take(key(t, 0), strings.NewReader("whole"), 5, func(symstore.File) error { return mine })
			return err
		}(),
	} {
		if !errors.Is(err, mine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := visible(t, dir); len(list) != 0 || has(t, c, key(t, 0), 0) || c.Stats().Files != 0 {
		t.Errorf("left: %q", list)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A directory that vanished is made again, and what was in it is not missed.
func TestDirectoryThatVanishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	c := open(t, Options{Dir: dir})
	take(t, c, key(t, 0), 1000)
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if has(t, c, key(t, 0), 1000) {
		t.Error("it is still there")
	}
	if why := take(t, c, key(t, 1), 1000); why != "" || !has(t, c, key(t, 1), 1000) {
		t.Errorf("%q", why)
	}
	if s := c.Stats(); s.Files != 1 || s.Bytes != 1000 {
		t.Errorf("%+v", s)
	}
	// Moved away, and another one there: known after the next look at it.
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	c.maintain()
	take(t, c, key(t, 2), 1000)
	if list := visible(t, dir); len(list) != 1 {
		t.Errorf("%q", list)
	}
}

// Two programs may share a directory: each finds what the other put there, and
// loses what the other removed.
func TestTwoInOneDirectory(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Options{Dir: dir, Budget: 100_000})
	b := open(t, Options{Dir: dir, Budget: 100_000})
	take(t, a, key(t, 0), 10_000)
	if !has(t, b, key(t, 0), 10_000) || b.Stats().Bytes != 10_000 {
		t.Errorf("%+v", b.Stats())
	}
	for i := 1; i < 10; i++ {
		take(t, a, key(t, i), 10_000)
	}
	if s := b.Stats(); s.Files != 1 {
		t.Errorf("%+v", s)
	}
	b.maintain()
	if s := b.Stats(); s.Files != 10 {
		t.Errorf("counted again: %+v", s)
	}
	take(t, a, key(t, 10), 10_000)
	b.maintain()
	if s, other := b.Stats(), a.Stats(); s.Bytes != other.Bytes || s.Files != 9 {
		t.Errorf("%+v, %+v", s, other)
	}
}

// What takes no lock is swept by its age, forward and backward: the clock that
// wrote it may have been wrong. What is locked is not, whatever its date.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	k := key(t, 0)
	c := open(t, Options{Dir: dir})
	living, err := c.Take(k, &slow{then: func() {
		for name, age := range map[string]time.Duration{
			".hidden": time.Hour * 24, "notes.txt": time.Hour * 24,
			"." + k.Name + "-" + k.ID + "-0": time.Hour, "." + k.Name + "-" + k.ID + "-1": -time.Hour, "." + k.Name + "-" + k.ID + "-2": 0,
			temporaryPrefix + "00": time.Minute, temporaryPrefix + "01": -1000 * time.Hour,
		} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(-age)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		open(t, Options{Dir: dir}) // as a second program does
		c.maintain()
		list := strings.Join(visible(t, dir), " ")
		if want := ".a0.pdb-" + k.ID + "-2 " + c.temporaryOf(t, dir) + " .hidden notes.txt"; list != want {
			t.Errorf("%q stay, not %q", list, want)
		}
	}}, -1, fine)
	if err != nil {
		t.Fatal(err)
	}
	living.Close()
	if living.Unkept != "" {
		t.Error(living.Unkept)
	}
}

// temporaryOf gives the name of the one file that is being written.
func (c *Cache) temporaryOf(t *testing.T, dir string) string {
	for _, name := range visible(t, dir) {
		if strings.HasPrefix(name, temporaryPrefix) {
			return name
		}
	}
	return "none"
}

// slow is a source that lets something happen in its middle.
type slow struct {
	step int
	then func()
}

func (s *slow) Read(p []byte) (int, error) {
	s.step++
	switch s.step {
	case 1:
		return copy(p, "first"), nil
	case 2:
		s.then()
		return copy(p, "second"), nil
	}
	return 0, io.EOF
}

// A file in the cache's place can never be one.
func TestFileInItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); err == nil {
		t.Error("it was taken for a cache")
	}
}

// refusing is a cache whose directory cannot be made, whoever tries.
func refusing(t *testing.T, held int64) *Cache {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return open(t, Options{Dir: filepath.Join(file, "cache"), Held: held})
}

// Memory holds what the disk does not take, within a budget for all together,
// and gives it back.
func TestMemoryIsBudgeted(t *testing.T) {
	c := refusing(t, 3*pieceBytes)
	if !strings.Contains(c.Warning(), "takes no files") || c.Stats().Takes || c.Ready() == nil {
		t.Errorf("it says %q, %+v", c.Warning(), c.Stats())
	}
	first, err := c.Take(key(t, 0), bytes.NewReader(content(key(t, 0), 2*pieceBytes)), -1, fine)
	if err != nil || first.Unkept == "" {
		t.Fatal(first.Unkept, err)
	}
	whole(t, first, content(key(t, 0), 2*pieceBytes))
	if s := c.Stats(); s.Held != 2*pieceBytes {
		t.Errorf("%+v", s)
	}
	if _, err := c.Take(key(t, 1), bytes.NewReader(content(key(t, 1), 2*pieceBytes)), -1, fine); !fault.Is(err, fault.ServerBusy) {
		t.Errorf("no memory left: %v", err)
	}
	if s := c.Stats(); s.Held != 2*pieceBytes {
		t.Errorf("what was refused is held: %+v", s)
	}
	first.Close()
	first.Close() // once more costs nothing
	if _, err := c.Take(key(t, 2), bytes.NewReader(content(key(t, 2), 4*pieceBytes)), -1, fine); !fault.Is(err, fault.SymbolsUnreadable) {
		t.Errorf("more than there ever is: %v", err)
	}
	unread := failing{errors.New("it was read")}
	if _, err := c.Take(key(t, 2), unread, 4*pieceBytes, fine); !fault.Is(err, fault.SymbolsUnreadable) {
		t.Errorf("more is announced than there ever is: %v", err)
	}
	if why := take(t, c, key(t, 3), 3*pieceBytes-1); why == "" {
		t.Error("it was kept")
	}
	if s := c.Stats(); s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

// Keys are paths, but only inside: a link out of the directory is not followed.
func TestLinksAreNotFollowedOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	k := key(t, 0)
	c := open(t, Options{Dir: dir})
	if err := os.Symlink(outside, filepath.Join(dir, k.Name)); err != nil {
		t.Skip("no links here: ", err)
	}
	if err := os.MkdirAll(filepath.Join(outside, k.ID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, k.ID, k.Name), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Get(context.Background(), k); err == nil {
		f.Close()
		t.Error("it was opened")
	}
	if why := take(t, c, k, 100); why == "" {
		t.Error("it was written there")
	}
}
