package core

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
	"coredrop/server/corpustest"
)

var updateReads = flag.Bool("update-reads", false, "rewrite what a search of the corpus's cores reads")

// searched is what one search for the kernel read of a core's memory, in bytes.
type searched struct{ pages, blocks, lost int64 }

// TestSearchesReadNoMore holds the search for the kernel to what it read of every
// Windows core of the corpus before: in pages of 4 KiB, in blocks of the usual
// size, and where the CPU notes were lost. Less is welcome, and written down with
// go test ./core -run TestSearchesReadNoMore -update-reads.
func TestSearchesReadNoMore(t *testing.T) {
	root := corpus(t)
	path := filepath.Join("testdata", "search-reads.txt")
	want := map[string]searched{}
	var order []string
	if f, err := os.Open(path); err == nil {
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var name string
			var s searched
			if strings.HasPrefix(lines.Text(), "#") {
				continue
			}
			if _, err := fmt.Sscan(lines.Text(), &s.pages, &s.blocks, &s.lost, &name); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			want[name] = s
		}
		f.Close()
	}
	got := map[string]searched{}
	for _, dir := range elfCores(t, root) {
		name := filepath.Base(dir)
		if filepath.Base(filepath.Dir(dir)) == "kcsan" {
			continue
		}
		order = append(order, name)
		var s searched
		f := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
		for _, c := range []struct {
			block int
			lost  bool
			to    *int64
		}{{4096, false, &s.pages}, {0, false, &s.blocks}, {0, true, &s.lost}} {
			src := fileSource(t, f)
			m, err := machine.Open(context.Background(), src, machine.Options{}, elfcore.Open)
			if err != nil {
				t.Fatal(err)
			}
			if c.lost {
				src = lost{f}.source(src, m)
			}
			src.Block = c.block
			src, read := watchTraffic(src)
			if m, err = machine.Open(context.Background(), src, machine.Options{}, elfcore.Open); err != nil {
				t.Fatal(err)
			}
			before := read.all()
			if _, err := find.Locate(context.Background(), m, find.Options{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			*c.to = read.all() - before
		}
		f.Close()
		got[name] = s
		if *updateReads {
			continue
		}
		if w := want[name]; s.pages > w.pages || s.blocks > w.blocks || s.lost > w.lost {
			t.Errorf("%s: read %+v, before %+v", name, s, w)
		}
	}
	if !*updateReads {
		return
	}
	var b strings.Builder
	b.WriteString("# bytes read by a search for the kernel: in pages, in blocks, in blocks without CPU notes\n")
	for _, name := range order {
		fmt.Fprintln(&b, got[name].pages, got[name].blocks, got[name].lost, name)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// overwritten is a source with some of its bytes changed, by offset.
func overwritten(s source.Source, changes map[int64][]byte) source.Source {
	plain := s
	s.ReaderAt = reader(func(p []byte, off int64) (int, error) {
		n, err := plain.ReadAt(p, off)
		for at, with := range changes {
			if from, to := max(at, off), min(at+int64(len(with)), off+int64(n)); from < to {
				copy(p[from-off:to-off], with[from-at:])
			}
		}
		return n, err
	})
	return s
}

// TestDamagedSearchesReadTwice: whatever was damaged of what leads to the kernel,
// the search for it reads no more than twice the file.
func TestDamagedSearchesReadTwice(t *testing.T) {
	root := corpus(t)
	worst, where := 0.0, ""
	for _, dir := range elfCores(t, root) {
		name := filepath.Base(dir)
		f := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
		src := fileSource(t, f)
		if filepath.Base(filepath.Dir(dir)) == "kcsan" || src.Size > 1<<30 {
			f.Close()
			continue
		}
		m, err := machine.Open(context.Background(), src, machine.Options{}, elfcore.Open)
		if err != nil {
			t.Fatal(err)
		}
		k, err := find.Locate(context.Background(), m, find.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// In order: each damage comes on top of those before.
		changes := map[int64][]byte{}
		spoil := func(va mem.VA, p []byte) {
			for len(p) > 0 {
				pa, left, err := k.Space.Translate(va)
				if err != nil {
					t.Fatal(err)
				}
				n := min(len(p), int(left))
				i, ok := mem.Find(m.Mem.Extents(), pa)
				if !ok {
					t.Fatalf("%v", pa)
				}
				e := m.Mem.Extents()[i]
				changes[e.Offset+int64(pa-e.Start)] = p[:n]
				p, va = p[n:], va+mem.VA(n)
			}
		}
		for _, c := range []struct {
			what  string
			spoil func()
			found bool
		}{
			{"version block", func() { spoil(k.Version.VA, make([]byte, windows.VersionBytes)) }, true},
			{"header", func() { spoil(k.Image.Base, make([]byte, mem.PageSize)) }, true},
			{"debugger block", func() { spoil(k.KDBG.VA, bytes.Repeat([]byte{0xee, 1}, int(k.KDBG.Size)/2)) }, false},
		} {
			c.spoil()
			for _, without := range []bool{false, true} {
				damaged := src
				if without {
					damaged = lost{f}.source(src, m)
				}
				damaged, read := watchTraffic(overwritten(damaged, changes))
				m, err := machine.Open(context.Background(), damaged, machine.Options{}, elfcore.Open)
				if err != nil {
					t.Fatal(err)
				}
				before := read.all()
				_, err = find.Locate(context.Background(), m, find.Options{})
				if (err == nil) != c.found {
					t.Errorf("%s, %s: %v", name, c.what, err)
				}
				ratio := float64(read.all()-before) / float64(src.Size)
				if ratio > worst {
					worst, where = ratio, fmt.Sprintf("%s, %s, without notes %v", name, c.what, without)
				}
				if ratio > 2 {
					t.Errorf("%s, %s, without notes %v: read %.3f of the file", name, c.what, without, ratio)
				}
			}
		}
		f.Close()
	}
	t.Logf("the worst: %.3f of the file (%s)", worst, where)
}
