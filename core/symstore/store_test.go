package symstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hack-pad/hackpadfs"
	"github.com/hack-pad/hackpadfs/mem"
	hackpados "github.com/hack-pad/hackpadfs/os"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/core/symstore/storetest"
)

func memFS(t *testing.T) hackpadfs.FS {
	t.Helper()
	f, err := mem.NewFS()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// dirFS gives a directory of the disk.
func dirFS(t *testing.T, dir string) hackpadfs.FS {
	t.Helper()
	root := hackpados.NewFS()
	name, err := root.FromOSPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := root.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestConformance(t *testing.T) {
	blocks := symstore.Blocks(64 << 10)
	t.Run("mem", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) symstore.Store { return symstore.NewFS(memFS(t)) })
	})
	t.Run("mem in blocks", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) symstore.Store { return symstore.NewFS(memFS(t), blocks) })
	})
	t.Run("os", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) symstore.Store { return symstore.NewFS(dirFS(t, t.TempDir())) })
	})
	t.Run("os in blocks", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) symstore.Store { return symstore.NewFS(dirFS(t, t.TempDir()), blocks) })
	})
	t.Run("two tiers", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) symstore.Store {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "index2.txt"), nil)
			return symstore.NewFS(dirFS(t, dir))
		})
	})
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// files lists all files under dir, slash-separated.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What Stage leaves when its program dies is known by its name, and nothing else.
func TestUnfinished(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	staged, err := symstore.NewFS(dirFS(t, dir)).Stage(context.Background(), k, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	if left := files(t, dir); len(left) != 1 || !symstore.Unfinished(left[0]) {
		t.Errorf("Stage makes %q", left)
	}
	image := ".a-b.exe-5F5E1000a1b000-999"
	if !symstore.Unfinished(image) {
		t.Errorf("%s is not known", image)
	}
	for _, name := range []string{"", ".", "..", ".-", ".--", ".--0", k.Name, "index2.txt", ".a.pdb", ".bashrc", k.Name + "-" + k.ID + "-0", "." + k.Name + "-" + k.ID,
		"." + k.Name + "-" + k.ID + "-", "." + k.Name + "-" + k.ID + "-x", "." + k.Name + "-" + k.ID + "-1000", "." + k.Name + "-" + k.ID + "--1", "." + k.Name + "-x-0", ".-" + k.ID + "-0"} {
		if symstore.Unfinished(name) {
			t.Errorf("%q is taken for one of ours", name)
		}
	}
}

// A directory where the file should go makes the rename fail; what a client of
// the proxy reads about it names no path.
func TestReasonsNameNoPath(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, k.Name, k.ID, k.Name, "x"), nil)
	err := symstore.NewFS(dirFS(t, dir)).Put(context.Background(), k, bytes.NewReader(data))
	text := fault.As(err).Text
	if !fault.Is(err, fault.SymbolsUnreadable) || strings.Contains(text, dir) || strings.Contains(text, "."+k.Name) {
		t.Errorf("rename: %v", err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestWritesUpperCase(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	if err := symstore.NewFS(dirFS(t, dir)).Put(context.Background(), k, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	want := "ntkrnlmp.pdb/" + strings.ToUpper(k.ID) + "/ntkrnlmp.pdb"
	if got := files(t, dir); len(got) != 1 || got[0] != want {
		t.Errorf("%q instead of %q", got, want)
	}
	write(t, filepath.Join(dir, "index2.txt"), nil)
	k2, data := storetest.PDB(2, 100)
	if err := symstore.NewFS(dirFS(t, dir)).Put(context.Background(), k2, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nt", k2.Name, k2.ID, k2.Name)); err != nil {
		t.Error("a store of two tiers stays one: ", err)
	}
}

func TestFailuresLeaveNothing(t *testing.T) {
	k, data := storetest.PDB(1, 1<<20)
	for name, option := range map[string][]symstore.Option{"whole": nil, "blocks": {symstore.Blocks(64 << 10)}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := symstore.NewFS(dirFS(t, dir), option...)
			ctx, cancel := context.WithCancel(context.Background())
			err := s.Put(ctx, k, readerFunc(func(p []byte) (int, error) {
				if len(data) < 1<<19 {
					cancel()
				}
				n := copy(p, data)
				data = data[n:]
				return n, nil
			}))
			if !fault.Is(err, fault.Cancelled) {
				t.Error(err)
			}
			if got := files(t, dir); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A program that died while it stored leaves a temporary file; it does not stand
// in the way of the next.
func TestUnfinishedFilesDoNotMatter(t *testing.T) {
	k, data := storetest.PDB(1, 1<<18)
	for name, c := range map[string]struct {
		left   []string
		option []symstore.Option
		after  int // files that stay
	}{
		"whole":  {[]string{"." + k.Name + "-" + k.ID + "-0"}, nil, 1},
		"blocks": {[]string{k.Name + "/" + k.ID + "/blocks-0/000000"}, []symstore.Option{symstore.Blocks(64 << 10)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, l := range c.left {
				write(t, filepath.Join(dir, l), []byte("half"))
			}
			s := symstore.NewFS(dirFS(t, dir), c.option...)
			if _, err := s.Get(context.Background(), k); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if err := s.Put(context.Background(), k, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			f, err := s.Get(context.Background(), k)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := symstore.Verify(f, k); err != nil {
				t.Error(err)
			}
			left := 0
			for _, l := range c.left {
				if _, err := os.Stat(filepath.Join(dir, l)); err == nil {
					left++
				}
			}
			if left != c.after {
				t.Errorf("%d unfinished files stay", left)
			}
		})
	}
}

func TestDamagedBlocks(t *testing.T) {
	k, data := storetest.PDB(1, 1<<18)
	where := k.Name + "/" + k.ID + "/"
	put := func(t *testing.T) (string, symstore.Store) {
		dir := t.TempDir()
		s := symstore.NewFS(dirFS(t, dir), symstore.Blocks(64<<10))
		if err := s.Put(context.Background(), k, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		return dir, s
	}
	for name, damage := range map[string]func(dir string) error{
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, where, "blocks-0/000002")) },
		"short":   func(dir string) error { return os.Truncate(filepath.Join(dir, where, "blocks-0/000002"), 100) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := put(t)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			f, err := s.Get(context.Background(), k)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := make([]byte, len(data))
			n, err := f.ReadAt(p, 0)
			if n != 2*64<<10 || !fault.Is(err, fault.SymbolsUnreadable) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	for _, text := range []string{"", "coredrop blocks 1\n", "coredrop blocks 1\nsize -1\nblock 65536\ngeneration 0\n",
		"coredrop blocks 1\nsize 1\nblock 0\ngeneration 0\n", "coredrop blocks 1\nsize 99999999999999\nblock 65536\ngeneration 0\n",
		"coredrop blocks 1\nsize 1\nblock 65536\ngeneration 0\nmore", "coredrop blocks 1\nsize 1\nblock 65536\ngeneration -1\n"} {
		dir, s := put(t)
		write(t, filepath.Join(dir, where, k.Name+".blocks"), []byte(text))
		if f, err := s.Get(context.Background(), k); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("description %q: %v, %v", text, f, err)
		}
	}
}

// openCounter counts which files are opened.
type openCounter struct {
	hackpadfs.FS
	opened map[string]int
}

func (o openCounter) Open(name string) (hackpadfs.File, error) {
	o.opened[filepath.Base(name)]++
	return o.FS.Open(name)
}

func TestReadsOnlyTheBlocksNeeded(t *testing.T) {
	k, data := storetest.PDB(1, 1<<20)
	under := memFS(t)
	if err := symstore.NewFS(under, symstore.Blocks(64<<10)).Put(context.Background(), k, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	o := openCounter{under, map[string]int{}}
	f, err := symstore.NewFS(o, symstore.Blocks(64<<10)).Get(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 10)
	for range 5 {
		for _, off := range []int64{3<<16 - 5, 3<<16 + 70} {
			if _, err := f.ReadAt(p, off); err != nil || !bytes.Equal(p, data[off:][:10]) {
				t.Fatal(err)
			}
		}
	}
	delete(o.opened, k.Name+".blocks")
	if len(o.opened) != 2 || o.opened["000002"] != 1 || o.opened["000003"] != 1 {
		t.Errorf("opened %v", o.opened)
	}
}

func TestCompressedOnly(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	s := symstore.NewFS(dirFS(t, dir))
	write(t, filepath.Join(dir, k.Name, k.ID, "ntkrnlmp.pd_"), []byte("MSCF"))
	if _, err := s.Get(context.Background(), k); !fault.Is(err, fault.SymbolsCompressed) {
		t.Errorf("a store with the compressed file only: %v", err)
	}
	write(t, filepath.Join(dir, k.Name, strings.ToLower(k.ID), k.Name), data)
	f, err := s.Get(context.Background(), k)
	if err != nil {
		t.Fatal("both are there: ", err)
	}
	f.Close()
}

func TestPointersAreNotFollowed(t *testing.T) {
	k, _ := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, k.Name, k.ID, "file.ptr"), []byte(`PATH:\\server\share\x.pdb`))
	if _, err := symstore.NewFS(dirFS(t, dir)).Get(context.Background(), k); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestDirectoryInPlaceOfTheFile(t *testing.T) {
	k, _ := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, k.Name, k.ID, k.Name, "x"), nil)
	if _, err := symstore.NewFS(dirFS(t, dir)).Get(context.Background(), k); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A PDB that lies loose in the directory has the name of a directory of the store.
func TestLooseFileInPlaceOfADirectory(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, k.Name), data)
	for _, option := range [][]symstore.Option{nil, {symstore.Blocks(1 << 16)}} {
		if _, err := symstore.NewFS(dirFS(t, dir), option...).Get(context.Background(), k); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := symstore.NewFS(dirFS(t, dir), option...).Put(context.Background(), k, bytes.NewReader(data)); !fault.Is(err, fault.SymbolsUnreadable) {
			t.Errorf("Put: %v", err)
		}
		if got := files(t, dir); len(got) != 1 {
			t.Errorf("files %q", got)
		}
	}
}

// readOnly has no way to write.
type readOnly struct{ fs.FS }

func TestReadOnlyFileSystem(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, k.Name, k.ID, k.Name), data)
	for _, option := range [][]symstore.Option{nil, {symstore.Blocks(1 << 16)}} {
		s := symstore.NewFS(readOnly{os.DirFS(dir)}, option...)
		f, err := s.Get(context.Background(), k)
		if err != nil {
			t.Fatal(err)
		}
		if err := symstore.Verify(f, k); err != nil {
			t.Error(err)
		}
		f.Close()
		if err := s.Put(context.Background(), k, bytes.NewReader(data)); !fault.Is(err, fault.SymbolsUnreadable) {
			t.Errorf("Put: %v", err)
		}
	}
}
