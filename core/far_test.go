package core

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf16"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/core/source/remotetest"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// apart is how far page tables lie from one another in the guests of these tests: a
// block of the source and more.
const apart = 2<<20 + 0x1000

// spreadGuest is a guest whose tables lie apart, and its other pages in groups.
func spreadGuest(cpus, group int, edit func(*synth.Editor)) source.Source {
	o := synth.Options{Seed: 7, Encoded: true, Apart: apart, Group: group, Edit: edit}
	for i := range cpus {
		o.CPUs = append(o.CPUs, []synth.Mode{synth.Kernel, synth.Process}[i%2])
	}
	return synth.Guest(o).Source()
}

// manyTables maps a page of the kernel below each of many more page tables.
func manyTables(n int) func(*synth.Editor) {
	return func(g *synth.Editor) {
		for i := range n {
			g.Map(0xffffaa0000000000 + uint64(i)<<21)
		}
	}
}

// longLists gives the guest so many more modules and processes: each of them, each
// name, and the root of each process's tables on a page of its own.
func longLists(n int) func(*synth.Editor) {
	return func(g *synth.Editor) {
		next := uint64(0xffffbb0000000000)
		page := func() uint64 { next += 0x1000; return next - 0x1000 }
		insert := func(head, entry uint64) {
			last := binary.LittleEndian.Uint64(g.Read(head+8, 8))
			g.Write64(entry, head)
			g.Write64(entry+8, last)
			g.Write64(last, entry)
			g.Write64(head+8, entry)
		}
		for i := range n {
			at, text := page(), page()
			name := utf16.Encode([]rune(fmt.Sprintf("more%02d.sys", i)))
			for k, u := range name {
				g.Write(text+uint64(2*k), []byte{byte(u), byte(u >> 8)})
			}
			image := page()
			g.Write64(at+0x30, image)
			g.Write32(at+0x40, 0x1000)
			for _, off := range []uint64{0x48, 0x58} {
				g.Write32(at+off, uint32(2*len(name))*0x10001)
				g.Write64(at+off+8, text)
			}
			g.Write(image, []byte("MZ"))
			insert(g.Truth.ModuleList, at)

			process := page()
			g.Write(process, []byte{3, 0, 0xb6, 0})
			g.Write64(process+0x28, uint64(g.KernelTables()))
			g.Write64(process+0x440, uint64(0x1000+4*i))
			g.Write(process+0x5a8, []byte("more.exe\x00"))
			insert(g.Truth.ProcessHead, process+0x448)
		}
	}
}

// dumpTypes are the dumps that a core is converted to, and "" for none.
var dumpTypes = []string{"", dmp.TypeFull, dmp.TypeKernel, dmp.TypeTriage}

// opened is what is known of a core, and the dump that was made of it.
type opened struct {
	Summary json.RawMessage
	Parts   []dmp.Part
}

// openAs opens a core and converts it, as info and convert do.
func openAs(t *testing.T, s source.Source, kind string, o Options) opened {
	t.Helper()
	c, err := Open(context.Background(), s, o)
	var out opened
	if kind != "" && err == nil {
		im, err := c.Convert(context.Background(), dmp.Options{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		out.Parts = im.Parts()
	}
	if out.Summary, err = json.Marshal(c.Summary()); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFar holds what a core costs where each read of it is a journey: how often
// something is waited for, and how many blocks of the file are fetched. What is
// found, and the dump, are those of a file at hand.
func TestFar(t *testing.T) {
	type cost [2]int // rounds, requests
	for _, c := range []struct {
		name  string
		s     source.Source
		cache int64   // bytes; 0: the usual ones
		costs [4]cost // by dumpTypes
	}{
		{"the demo", demoSource(t), 0, [4]cost{{3, 5}, {3, 5}, {3, 5}, {3, 5}}},
		{"16 CPUs", spreadGuest(16, 0, nil), 0, [4]cost{{9, 29}, {9, 29}, {9, 29}, {9, 29}}},
		{"16 CPUs, little together", spreadGuest(16, 8, nil), 0, [4]cost{{16, 74}, {16, 74}, {16, 74}, {19, 84}}},
		{"16 CPUs, nothing together", spreadGuest(16, 1, nil), 0, [4]cost{{29, 131}, {30, 132}, {31, 133}, {54, 307}}},
		{"64 CPUs", spreadGuest(64, 0, nil), 0, [4]cost{{24, 119}, {24, 119}, {24, 119}, {29, 124}}},
		{"64 CPUs, little together", spreadGuest(64, 8, nil), 0, [4]cost{{39, 278}, {40, 279}, {41, 280}, {61, 330}}},
		{"300 more page tables", spreadGuest(2, 0, manyTables(300)), 0, [4]cost{{9, 20}, {9, 20}, {30, 323}, {9, 20}}},
		{"40 more modules and processes", spreadGuest(2, 1, longLists(40)), 0, [4]cost{{124, 220}, {139, 235}, {139, 235}, {146, 294}}},
		{"40 more modules and processes, a small cache", spreadGuest(2, 1, longLists(40)), 1 << 20, [4]cost{{275, 337}, {403, 467}, {444, 552}, {457, 622}}},
	} {
		for i, kind := range dumpTypes {
			far, count := remotetest.Of(c.s)
			got := openAs(t, far, kind, Options{CacheBytes: c.cache})
			count.Within(t, fmt.Sprintf("%s, %q", c.name, kind), c.costs[i][0], c.costs[i][1])
			if want := openAs(t, c.s, kind, Options{}); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %q: another result:\n%s\nof a file at hand\n%s", c.name, kind, got.Summary, want.Summary)
			}
		}
	}
}

// TestFarCorpus: the same of every core of the corpus, whatever it is, with the races
// of the Linux ones. Where all of memory is read it is streamed.
func TestFarCorpus(t *testing.T) {
	root := corpus(t)
	var files []string
	for _, pattern := range []string{"*/*/core.*.zst", "containers/*/*.kdump.zst", "savevm/*/*.qevm.zst", "savevm/*/*.save.zst", "unwind/cores/*/*.zst"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		name, _ := filepath.Rel(root, path)
		t.Run(name, func(t *testing.T) {
			s := fileSource(t, corpustest.File(t, path))
			for _, kind := range dumpTypes {
				far, count := remotetest.Of(s)
				got := openAs(t, far, kind, Options{})
				count.Within(t, fmt.Sprintf("%q", kind), 8, 9)
				if want := openAs(t, s, kind, Options{}); !reflect.DeepEqual(got, want) {
					t.Errorf("%q: another result:\n%s\nof a file at hand\n%s", kind, got.Summary, want.Summary)
				}
			}
			far, count := remotetest.Of(s)
			if c, err := Open(context.Background(), far, Options{}); fault.Is(err, fault.IsLinux) {
				if _, err := c.Races(context.Background()); err != nil {
					t.Error(err)
				}
				count.Within(t, "races", 39, 41)
			}
		})
	}
}
