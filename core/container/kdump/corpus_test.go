package kdump

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// truth is what a fixture's truth.json says of it.
type truth struct {
	Runs  [][2]any `json:"runs"` // first page in hex, count
	Pages uint64   `json:"pages"`
	Hash  string   `json:"content_sha256"`
}

func (tr *truth) runs(t *testing.T) (list []mem.Run) {
	for _, r := range tr.Runs {
		first, err := strconv.ParseUint(fmt.Sprint(r[0]), 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, mem.Run{Start: mem.PA(first * mem.PageSize), Pages: uint64(r[1].(float64))})
	}
	return list
}

func fileSource(t testing.TB, f *os.File) source.Source {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return source.Source{ReaderAt: f, Size: info.Size(), Name: "core"}
}

// streamed is the same source with a stream, as a browser has one.
func streamed(s source.Source) source.Source {
	plain := s
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		return plain.Scan(off, n, buf, visit)
	}
	return s
}

// hash is the SHA-256 of all pages of a memory, read by a pass and page by page.
func hash(t testing.TB, m mem.Physical) (scanned, read string) {
	t.Helper()
	h := sha256.New()
	if err := mem.ScanPages(context.Background(), m, func(_ mem.PA, p []byte, _, _ int64) error { h.Write(p); return nil }); err != nil {
		t.Fatal(err)
	}
	scanned = hex.EncodeToString(h.Sum(nil))
	h.Reset()
	page := make([]byte, mem.PageSize)
	for _, e := range m.Extents() {
		for pa := e.Start; pa < e.End(); pa += mem.PageSize {
			if err := m.ReadAt(page, pa); err != nil {
				t.Fatal(err)
			}
			h.Write(page)
		}
	}
	return scanned, hex.EncodeToString(h.Sum(nil))
}

// TestFixtures and TestCorpus: every kdump file, whoever wrote it and in whichever
// form, holds the runs and the bytes that its truth says; by single reads, by a
// pass, and with a stream to index it.
func TestFixtures(t *testing.T) { checkFiles(t, "testdata", 4) }

func TestCorpus(t *testing.T) {
	checkFiles(t, filepath.Join(corpustest.Dir(t, "containers"), "containers", "30-tiny"), 35)
}

func checkFiles(t *testing.T, dir string, least int) {
	files, err := filepath.Glob(filepath.Join(dir, "*.kdump.zst"))
	if err != nil || len(files) < least {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".kdump.zst")
		t.Run(name, func(t *testing.T) {
			tr := corpustest.ReadJSON[truth](t, filepath.Join(dir, name+".truth.json"))
			s := fileSource(t, corpustest.File(t, path))
			for way, s := range map[string]source.Source{"jumps": s, "stream": streamed(s)} {
				m, err := Open(context.Background(), s, machine.Options{})
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				runs, partial := mem.Runs(m.Mem.Extents())
				if want := tr.runs(t); !slices.Equal(runs, want) || partial != nil {
					t.Errorf("%s: runs %v, want %v", way, runs, want)
				}
				if scanned, read := hash(t, m.Mem); scanned != tr.Hash || read != tr.Hash {
					t.Errorf("%s: content %s and %s, want %s", way, scanned, read, tr.Hash)
				}
				if m.Format != "kdump" || m.Arch != cpu.X64 || len(m.CPUs) != 2 || m.Writer != "QEMU" || !m.CPUs[1].State.System() {
					t.Errorf("%s: %s, %s, %d CPUs, written by %q", way, m.Format, m.Arch, len(m.CPUs), m.Writer)
				}
				codes := ""
				for _, w := range m.Warnings {
					codes += string(w.Code) + " "
				}
				want := map[string]string{"kd-lost.raw": "truncated ", "kd-bm2.raw": "memory-filtered "}[name]
				if codes != want {
					t.Errorf("%s: warnings %v", way, m.Warnings)
				}
			}
		})
	}
}
