package symstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/hack-pad/hackpadfs"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/core/symstore/storetest"
)

// servers answers for servers by URL.
type servers struct {
	asked   []string
	content map[string]func() (io.ReadCloser, int64, error)
}

func (s *servers) Fetch(_ context.Context, url string, k symstore.Key) (io.ReadCloser, int64, error) {
	s.asked = append(s.asked, url)
	if c := s.content[url]; c != nil {
		return c()
	}
	return nil, 0, fault.New(fault.SymbolsNotFound, "%s does not have it", url)
}

func gives(data []byte, size int64) func() (io.ReadCloser, int64, error) {
	return func() (io.ReadCloser, int64, error) { return io.NopCloser(bytes.NewReader(data)), size, nil }
}

func place(t *testing.T, name string, k symstore.Key, data []byte) symstore.Place {
	t.Helper()
	s := symstore.NewFS(memFS(t))
	if data != nil {
		if err := s.Put(context.Background(), k, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	return symstore.Place{Name: name, Store: s}
}

// has reports whether a store has the right file.
func has(t *testing.T, p symstore.Place, k symstore.Key) bool {
	t.Helper()
	f, err := p.Store.Get(context.Background(), k)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := symstore.Verify(f, k); err != nil {
		t.Fatal(err)
	}
	return true
}

const (
	one = "https://one.example/symbols"
	two = "https://two.example"
)

func TestChainOrderAndCopies(t *testing.T) {
	k, data := storetest.PDB(1, 300000)
	p := make([]symstore.Place, 5)
	for i := range p {
		p[i] = place(t, fmt.Sprint("place", i), k, nil)
	}
	p[2] = place(t, "place2", k, data)
	p[4] = place(t, "place4", k, data)
	net := &servers{content: map[string]func() (io.ReadCloser, int64, error){one: gives(data, -1)}}
	var lines []string
	c := symstore.Chain{Fetcher: net, Sink: progress.Sink{OnLine: func(s string) { lines = append(lines, s) }},
		Links: []symstore.Link{{Places: p[:1]}, {Places: p[1:4], URL: one}, {Places: p[4:]}}}
	f, from, err := c.Find(context.Background(), k)
	if err != nil || from.Name != "place2" {
		t.Fatalf("%q, %v", from, err)
	}
	f.Close()
	// Copied to the left inside its element, and nowhere else.
	for i, want := range []bool{false, true, true, false, true} {
		if has(t, p[i], k) != want {
			t.Errorf("place%d", i)
		}
	}
	if len(net.asked) != 0 {
		t.Errorf("servers asked though a store had it: %v", net.asked)
	}
	if len(c.Warnings) != 0 || len(lines) < 3 {
		t.Errorf("%v, %q", c.Warnings, lines)
	}
}

func TestChainFetches(t *testing.T) {
	k, data := storetest.PDB(1, 300000)
	for _, stores := range []int{0, 1, 3} {
		for _, size := range []int64{-1, int64(len(data))} {
			var p []symstore.Place
			for i := range stores {
				p = append(p, place(t, fmt.Sprint("place", i), k, nil))
			}
			var done, total int64
			net := &servers{content: map[string]func() (io.ReadCloser, int64, error){two: gives(data, size)}}
			c := symstore.Chain{Fetcher: net, Links: []symstore.Link{{URL: one}, {Places: p, URL: two}},
				Sink: progress.Sink{OnProgress: func(_ string, d, n int64) { done, total = d, n }}}
			f, from, err := c.Find(context.Background(), k)
			if err != nil || from.Name != two {
				t.Fatalf("%q, %v", from, err)
			}
			if err := symstore.Verify(f, k); err != nil {
				t.Error(err)
			}
			f.Close()
			for i := range p {
				if !has(t, p[i], k) {
					t.Errorf("%d stores: place%d does not have it", stores, i)
				}
			}
			if got := strings.Join(net.asked, " "); got != one+" "+two {
				t.Errorf("asked %s", got)
			}
			if done != int64(len(data)) || total != max(size, 0) {
				t.Errorf("progress %d of %d", done, total)
			}
			if stores > 0 {
				if _, from, err := c.Find(context.Background(), k); err != nil || from.Name != "place0" || len(net.asked) != 3 {
					t.Errorf("the second time from %q, %v", from, err)
				}
			}
		}
	}
}

// What is not the file is never used, never stored, named, and the search goes on.
func TestChainRefuses(t *testing.T) {
	k, right := storetest.PDB(1, 300000)
	_, foreign := storetest.PDB(2, 300000)
	html := []byte("<html>please log in</html>")
	for name, c := range map[string]struct {
		data []byte
		size int64
		code fault.Code
	}{
		"foreign":    {foreign, -1, fault.SymbolsMismatch},
		"page":       {html, int64(len(html)), fault.SymbolsNotAPDB},
		"nothing":    {[]byte{}, -1, fault.SymbolsNotAPDB},
		"compressed": {[]byte("MSCF\x00\x00\x00\x00"), -1, fault.SymbolsCompressed},
		"ends early": {right[:200000], -1, fault.PDBDamaged},
		"shorter":    {right[:200000], int64(len(right)), fault.SymbolsOffline},
		"longer":     {right, 200000, fault.SymbolsOffline},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stores := range []int{0, 2} {
				var p []symstore.Place
				for i := range stores {
					p = append(p, place(t, fmt.Sprint("place", i), k, nil))
				}
				net := &servers{content: map[string]func() (io.ReadCloser, int64, error){one: gives(c.data, c.size)}}
				chain := symstore.Chain{Fetcher: net, Links: []symstore.Link{{Places: p, URL: one}, {URL: two}}}
				f, _, err := chain.Find(context.Background(), k)
				if f != nil || !fault.Is(err, c.code) {
					t.Errorf("%d stores: %v", stores, err)
				}
				if hints := fault.As(err).Hints; len(hints) == 0 || !strings.Contains(hints[0].Text, one) {
					t.Errorf("the server is not named: %q", hints)
				}
				for i := range p {
					if has(t, p[i], k) {
						t.Error("it was stored")
					}
				}
				net.content[two] = gives(right, -1)
				f, from, err := chain.Find(context.Background(), k)
				if err != nil || from.Name != two {
					t.Fatalf("the search did not go on: %q, %v", from, err)
				}
				f.Close()
			}
			if c.size >= 0 && c.size != int64(len(c.data)) {
				return // a store has no length to compare with
			}
			wrong := place(t, "wrong", k, c.data)
			chain := symstore.Chain{Links: []symstore.Link{{Places: []symstore.Place{wrong}}}}
			if f, _, err := chain.Find(context.Background(), k); f != nil || !fault.Is(err, c.code) {
				t.Errorf("in a store: %v", err)
			}
			chain.Links = append(chain.Links, symstore.Link{Places: []symstore.Place{place(t, "right", k, right)}})
			if _, from, err := chain.Find(context.Background(), k); err != nil || from.Name != "right" {
				t.Errorf("the search did not go on: %q, %v", from, err)
			}
		})
	}
}

func TestChainFailures(t *testing.T) {
	k, data := storetest.PDB(1, 1000)
	offline := func() (io.ReadCloser, int64, error) {
		return nil, 0, fault.New(fault.SymbolsOffline, "no way there")
	}
	breaks := func() (io.ReadCloser, int64, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:500]), readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))), -1, nil
	}
	empty := place(t, "empty", k, nil)
	for name, c := range map[string]struct {
		first, second func() (io.ReadCloser, int64, error)
		code          fault.Code
	}{
		"nobody has it":       {nil, nil, fault.SymbolsNotFound},
		"one offline":         {nil, offline, fault.SymbolsOffline},
		"offline, then not":   {offline, nil, fault.SymbolsOffline},
		"breaks off":          {breaks, nil, fault.SymbolsOffline},
		"foreign and offline": {gives([]byte("<html>"), -1), offline, fault.SymbolsNotAPDB},
	} {
		for _, p := range [][]symstore.Place{nil, {empty}} {
			net := &servers{content: map[string]func() (io.ReadCloser, int64, error){one: c.first, two: c.second}}
			chain := symstore.Chain{Fetcher: net, Links: []symstore.Link{{Places: p, URL: one}, {Places: p, URL: two}}}
			f, _, err := chain.Find(context.Background(), k)
			if f != nil || !fault.Is(err, c.code) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	chain := symstore.Chain{Links: []symstore.Link{{Places: []symstore.Place{empty}, URL: one}}}
	_, _, err := chain.Find(context.Background(), k)
	if !fault.Is(err, fault.SymbolsNotFound) || !strings.Contains(fmt.Sprint(fault.As(err).Remedy()), "asked empty") {
		t.Errorf("without a fetcher: %v, %q", err, fault.As(err).Remedy())
	}
	if f, _, err := (&symstore.Chain{}).Find(context.Background(), k); f != nil || !fault.Is(err, fault.SymbolsNotFound) {
		t.Errorf("an empty path: %v", err)
	}
}

func TestChainCancelled(t *testing.T) {
	k, data := storetest.PDB(1, 1<<20)
	for _, p := range [][]symstore.Place{nil, {place(t, "place", k, nil)}} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		net := &servers{content: map[string]func() (io.ReadCloser, int64, error){one: func() (io.ReadCloser, int64, error) {
			return io.NopCloser(readerFunc(func(p []byte) (int, error) { cancel(); return copy(p, data), nil })), -1, nil
		}}}
		c := symstore.Chain{Fetcher: net, Links: []symstore.Link{{Places: p, URL: one}, {URL: two}}}
		if f, _, err := c.Find(ctx, k); f != nil || !fault.Is(err, fault.Cancelled) || len(net.asked) != 1 {
			t.Errorf("%v, asked %v", err, net.asked)
		}
	}
}

// fullFS fails once so many bytes were written to it.
type fullFS struct {
	hackpadfs.FS
	room int
}

func (f *fullFS) OpenFile(name string, flag int, perm hackpadfs.FileMode) (hackpadfs.File, error) {
	file, err := hackpadfs.OpenFile(f.FS, name, flag, perm)
	return &fullFile{file, f}, err
}
func (f *fullFS) MkdirAll(name string, perm hackpadfs.FileMode) error {
	return hackpadfs.MkdirAll(f.FS, name, perm)
}
func (f *fullFS) Mkdir(name string, perm hackpadfs.FileMode) error {
	return hackpadfs.Mkdir(f.FS, name, perm)
}
func (f *fullFS) Remove(name string) error     { return hackpadfs.Remove(f.FS, name) }
func (f *fullFS) Rename(name, to string) error { return hackpadfs.Rename(f.FS, name, to) }

type fullFile struct {
	hackpadfs.File
	fs *fullFS
}

var errFull = errors.New("no space left")

func (f *fullFile) Write(p []byte) (int, error) {
	if f.fs.room -= len(p); f.fs.room < 0 {
		return 0, errFull
	}
	return hackpadfs.WriteFile(f.File, p)
}

// A store that takes nothing does not keep the file from being used.
func TestChainFullStore(t *testing.T) {
	k, data := storetest.PDB(1, 1<<20)
	for _, option := range [][]symstore.Option{nil, {symstore.Blocks(1 << 16)}} {
		for _, room := range []int{0, 1 << 19} {
			dir := t.TempDir()
			full := symstore.NewFS(&fullFS{dirFS(t, dir), room}, option...)
			if err := full.Put(context.Background(), k, bytes.NewReader(data)); !errors.Is(err, errFull) || !fault.Is(err, fault.SymbolsUnreadable) {
				t.Errorf("Put: %v", err)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %q", left)
			}
			second := place(t, "second", k, nil)
			c := symstore.Chain{Fetcher: &servers{content: map[string]func() (io.ReadCloser, int64, error){one: gives(data, -1)}},
				Links: []symstore.Link{{Places: []symstore.Place{{Name: "full", Store: full}, second}, URL: one}}}
			f, from, err := c.Find(context.Background(), k)
			if err != nil || from.Name != one || !has(t, second, k) {
				t.Fatalf("%q, %v", from, err)
			}
			f.Close()
			if len(c.Warnings) == 0 || !strings.Contains(c.Warnings[0].Text, "full") {
				t.Errorf("warnings %v", c.Warnings)
			}
			f, _, err = (&symstore.Chain{Fetcher: c.Fetcher, Links: []symstore.Link{{Places: c.Links[0].Places[:1], URL: one}}}).Find(context.Background(), k)
			if err != nil {
				t.Fatal("no other store: ", err)
			}
			f.Close()
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	k, data := storetest.PDB(1, 1<<20)
	c := symstore.Chain{FetchBytes: 1 << 20, Fetcher: &servers{content: map[string]func() (io.ReadCloser, int64, error){one: gives(data, -1)}},
		Links: []symstore.Link{{URL: one}}}
	if _, _, err := c.Find(context.Background(), k); !fault.Is(err, fault.SymbolsUnreadable) {
		t.Error(err)
	}
	c.FetchBytes = int64(len(data))
	if _, _, err := c.Find(context.Background(), k); err != nil {
		t.Error(err)
	}
}
