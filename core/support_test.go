package core

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// symbolDir serves PDBs out of a directory in symbol-store layout; the demo's
// is built in.
type symbolDir struct{ dir string }

func (s symbolDir) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	key := cv.Name + "/" + cv.Key() + "/" + cv.Name
	data, err := demo.PDB()
	if key != demo.PDBKey {
		if s.dir == "" {
			return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
		}
		data, err = os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(key)))
	}
	if err != nil {
		return nil, pdb.Origin{}, fault.Wrap(err, fault.SymbolsNotFound, "")
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "test"}, err
}

// counted counts what is read of a file.
type counted struct {
	io.ReaderAt
	bytes, largest int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += int64(n)
	c.largest = max(c.largest, int64(len(p)))
	return n, err
}

// corpus finds the corpus of real cores, or skips.
func corpus(t testing.TB) string {
	t.Helper()
	if runtime.GOOS == "js" {
		t.Skip("the corpus is read by the native tests")
	}
	return corpustest.Dir(t, "windows")
}

func fileSource(t testing.TB, f *os.File) source.Source {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return source.Source{ReaderAt: f, Size: info.Size(), Name: filepath.Base(f.Name())}
}

// demoCore is the built-in core, unpacked once.
var demoCore = sync.OnceValues(demo.Core)

func demoSource(t testing.TB) source.Source {
	t.Helper()
	data, err := demoCore()
	if err != nil {
		t.Fatal(err)
	}
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: demo.CoreName}
}
