package core

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
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
