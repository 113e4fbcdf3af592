package diskstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

func key(t testing.TB) symstore.Key {
	t.Helper()
	k, err := symstore.ParseKey(demo.PDBKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func put(t testing.TB, elements ...string) string {
	t.Helper()
	path := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// got gives what the store has for a key: its path, or "".
func got(t testing.TB, s *Store, k symstore.Key) string {
	t.Helper()
	f, err := s.Get(t.Context(), k)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, f.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Stores come from systems and programs that spell differently.
func TestSpellings(t *testing.T) {
	k := key(t)
	low := strings.ToLower(k.ID)
	mixed := low[:8] + k.ID[8:]
	for _, c := range []struct {
		path []string
		two  bool
		ok   bool
	}{
		{[]string{k.Name, k.ID, k.Name}, false, true},
		{[]string{k.Name, low, k.Name}, false, true},
		{[]string{k.Name, mixed, k.Name}, false, true},
		{[]string{"NTKRNLMP.PDB", k.ID, "ntkrnlmp.pdb"}, false, true},
		{[]string{"NtKrnlMp.pdb", mixed, "NTKRNLMP.pdb"}, false, true},
		{[]string{"nt", k.Name, k.ID, k.Name}, true, true},
		{[]string{"NT", "NtKrnlMp.pdb", low, "NtKrnlMp.pdb"}, true, true},
		{[]string{"nt", k.Name, k.ID, k.Name}, false, false}, // no index2.txt
		{[]string{"NtKrnlMp.pdb"}, false, true},              // loose
		{[]string{k.Name, k.ID[1:], k.Name}, false, false},
		{[]string{k.Name, k.ID, "other.pdb"}, false, false},
	} {
		dir := t.TempDir()
		path := put(t, append([]string{dir}, c.path...)...)
		if c.two {
			put(t, dir, "Index2.txt")
		}
		want := map[bool]string{true: path}[c.ok]
		if text := got(t, open(t, dir), k); text != want {
			t.Errorf("%v: %q", c.path, text)
		}
	}
	dir := t.TempDir()
	put(t, dir, k.Name, k.ID, "ntkrnlmp.pd_")
	if _, err := open(t, dir).Get(t.Context(), k); !fault.Is(err, fault.SymbolsCompressed) {
		t.Errorf("compressed: %v", err)
	}
	if _, err := New(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// What is put into a store while it is open is there: at once under the usual
// names, under others after the listing was read again.
func TestStoreThatChanges(t *testing.T) {
	k, dir := key(t), t.TempDir()
	s := open(t, dir)
	if text := got(t, s, k); text != "" {
		t.Fatal(text)
	}
	path := put(t, dir, k.Name, k.ID, k.Name)
	if text := got(t, s, k); text != path {
		t.Errorf("%q", text)
	}
	if err := os.RemoveAll(filepath.Join(dir, k.Name)); err != nil {
		t.Fatal(err)
	}
	if text := got(t, s, k); text != "" {
		t.Errorf("removed: %q", text)
	}
	path = put(t, dir, "NTKRNLMP.PDB", strings.ToLower(k.ID), "ntkrnlmp.pdb")
	for got(t, s, k) != path { // the test's own time limit ends it
		time.Sleep(time.Millisecond)
	}
}

// A directory that did not change is read once, however many ask for what it
// does not have.
func TestMissesReadNoDirectory(t *testing.T) {
	k, dir := key(t), t.TempDir()
	put(t, dir, k.Name, "x")
	old := time.Now().Add(-time.Hour)
	for _, d := range []string{dir, filepath.Join(dir, k.Name)} {
		if err := os.Chtimes(d, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	got(t, s, k)
	var read []time.Time
	for _, l := range s.listings {
		read = append(read, l.began)
	}
	for range 1000 {
		got(t, s, k)
	}
	if len(read) != 2 || len(s.listings) != 2 {
		t.Fatalf("%d listings", len(s.listings))
	}
	for _, l := range s.listings {
		l.mu.Lock()
		if l.began != read[0] && l.began != read[1] || l.reading {
			t.Errorf("%s was read again", l.path)
		}
		l.mu.Unlock()
	}
}

// How many listings are kept has a bound.
func TestListingsAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range maxListings + 50 {
		if _, err := s.names(filepath.Join("n", string(rune('a'+i%26)), strings.Repeat("x", i/26+1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.listings); n > maxListings+1 || s.listings["."] == nil {
		t.Errorf("%d listings", n)
	}
}

// BenchmarkMiss asks stores of no names and of 50,000 for one they do not have.
func BenchmarkMiss(b *testing.B) {
	for _, n := range []int{0, 50_000} {
		dir := b.TempDir()
		for i := range n {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("name%d.pdb", i)), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		s, k := open(b, dir), key(b)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				got(b, s, k)
			}
		})
	}
}
