package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/pdb"
	"coredrop/core/pe"
)

// symbolDir serves PDBs out of a directory in symbol-store layout; the demo's
// is built in.
type symbolDir struct{ dir string }

func (s symbolDir) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, string, error) {
	key := cv.Name + "/" + cv.Key() + "/" + cv.Name
	data, err := demo.PDB()
	if key != demo.PDBKey {
		if s.dir == "" {
			return nil, "", fault.New(fault.SymbolsNotFound, "")
		}
		data, err = os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(key)))
	}
	if err != nil {
		return nil, "", fault.Wrap(err, fault.SymbolsNotFound, "")
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, "test", err
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
	dir := os.Getenv("COREDROP_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if runtime.GOOS == "js" {
		t.Skip("the corpus is read by the native tests")
	}
	if _, err := os.Stat(filepath.Join(dir, "windows")); err != nil {
		t.Skipf("no corpus: %v", err)
	}
	return dir
}

// unpack writes a .zst file out sparse, so that 4.8 GB of zeros cost nothing.
func unpack(t testing.TB, path string) *os.File {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "core.elf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	buf, zero, off := make([]byte, 64<<10), make([]byte, 64<<10), int64(0)
	for {
		n, err := io.ReadFull(z, buf)
		if !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				t.Fatal(err)
			}
		}
		off += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Truncate(off); err != nil {
		t.Fatal(err)
	}
	return out
}

func fileSource(t testing.TB, f *os.File) machine.Source {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return machine.Source{ReaderAt: f, Size: info.Size(), Name: filepath.Base(f.Name())}
}

// demoCore is the built-in core, unpacked once.
var demoCore = sync.OnceValues(demo.Core)

func demoSource(t testing.TB) machine.Source {
	t.Helper()
	data, err := demoCore()
	if err != nil {
		t.Fatal(err)
	}
	return machine.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: demo.CoreName}
}
