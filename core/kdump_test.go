package core

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/demo"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// dumpOf converts a core and gives the dump's bytes.
func dumpOf(t *testing.T, s source.Source) []byte {
	t.Helper()
	im, sum, err := Convert(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !sum.Dump.Verified {
		t.Errorf("not verified: %v", sum.Warnings)
	}
	var out bytes.Buffer
	if err := im.Scan(context.Background(), 0, im.Size(), make([]byte, 1<<20), func(p []byte) error { out.Write(p); return nil }); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestKdumpIsTheSameDump: a guest in a kdump core, plain and flattened, under its
// own name or another, gives the dump that its ELF core gives, to the byte.
func TestKdumpIsTheSameDump(t *testing.T) {
	e := synth.Guest(synth.Options{Encoded: true}).ELF
	want := dumpOf(t, synth.Source(synth.WriteELF(e)))
	k := e.KDump()
	for form, data := range map[string][]byte{"plain": k.Bytes(), "flattened": k.Flattened()} {
		for _, name := range []string{"vm.kdump", "unknown.bin", ""} {
			s := synth.Source(data)
			s.Name = name
			if got := dumpOf(t, s); !bytes.Equal(got, want) {
				t.Errorf("%s, %q: another dump", form, name)
			}
		}
	}
	sum, err := Inspect(context.Background(), synth.Source(k.Bytes()), Options{})
	if err != nil || sum.File.Format != "kdump" || !sum.Convert.Possible || len(sum.Convert.Types) == 0 {
		t.Errorf("%v, %+v", err, sum.Convert)
	}
}

// TestKdumpCorpus: the same of every container of the corpus, whoever wrote it;
// pages that one lacks are not in its dump.
func TestKdumpCorpus(t *testing.T) {
	dir := filepath.Join(corpus(t), "containers", "30-tiny")
	files, err := filepath.Glob(filepath.Join(dir, "*.kdump.zst"))
	if err != nil || len(files) < 35 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	want := dumpOf(t, synth.Source(data))
	whole, err := dmptest.Open(bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".kdump.zst")
		got := dumpOf(t, fileSource(t, corpustest.File(t, path)))
		if name != "kd-bm2.raw" && name != "kd-lost.raw" {
			if !bytes.Equal(got, want) {
				t.Errorf("%s: another dump", name)
			}
			continue
		}
		d, err := dmptest.Open(bytes.NewReader(got), int64(len(got)))
		if err != nil {
			t.Fatal(name, err)
		}
		a, b := make([]byte, 4096), make([]byte, 4096)
		pages := 0
		for _, r := range d.Runs {
			for pfn := r.Page; pfn < r.Page+r.Count; pfn++ {
				if err := d.Physical(a, pfn*4096); err != nil {
					t.Fatal(name, err)
				}
				if err := whole.Physical(b, pfn*4096); err != nil || !bytes.Equal(a, b) {
					t.Fatalf("%s: page %#x differs (%v)", name, pfn, err)
				}
				pages++
			}
		}
		tr := corpustest.ReadJSON[struct{ Pages int }](t, filepath.Join(dir, name+".truth.json"))
		if pages != tr.Pages {
			t.Errorf("%s: %d pages, want %d", name, pages, tr.Pages)
		}
	}
}

// linuxKdump is a Linux core of the corpus as makedumpfile would keep it.
func linuxKdump(t *testing.T, name string) (elf, packed source.Source) {
	r, size := corpustest.KCSANCore(t, name)
	elf = source.Source{ReaderAt: r, Size: size, Name: "core.elf"}
	m, err := elfcore.Open(context.Background(), elf, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	runs, _ := mem.Runs(m.Mem.Extents())
	e := synth.ELF{CPUs: m.CPUs, Guest: m.Guest}
	k := synth.KDump{Runs: runs, Machine: "x86_64", CPUs: len(m.CPUs), Notes: e.NoteBytes(),
		Codec: func(n uint64) synth.Codec { return []synth.Codec{synth.LZO, synth.Zstd, synth.Snappy}[n%3] },
		Block: func(n uint64) []byte {
			page, _, err := mem.ReadPage(m.Mem, mem.PA(n*mem.PageSize))
			if err != nil {
				t.Fatal(err)
			}
			return page
		}}
	return elf, synth.Source(k.Bytes())
}

// TestLinuxKdump: a Linux core gives the same reports and the same log from a
// kdump core.
func TestLinuxKdump(t *testing.T) {
	elf, packed := linuxKdump(t, corpustest.KCSANCores[0])
	sameReports(t, elf, packed)
}

// sameReports holds the race reports and the log of a Linux guest in one container
// against those in another.
func sameReports(t *testing.T, one, other source.Source) {
	t.Helper()
	text := func(s source.Source) string {
		r, sum, err := Races(context.Background(), s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		log, _, err := LinuxLog(context.Background(), s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s\n%s\n%d\n%s", sum.Linux.Release, b.String(), len(sum.Reports), log)
	}
	if a, b := text(one), text(other); a != b || len(a) < 1000 {
		t.Errorf("the reports differ: %d and %d bytes", len(a), len(b))
	}
}
