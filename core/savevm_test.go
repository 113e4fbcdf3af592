package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/container/savevm"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// asELF writes what a machine holds as an ELF core.
func asELF(t *testing.T, m *machine.Machine) source.Source {
	t.Helper()
	e := synth.ELF{CPUs: m.CPUs}
	for _, x := range m.Mem.Extents() {
		data := make([]byte, x.Bytes)
		if err := m.Mem.ReadAt(data, x.Start); err != nil {
			t.Fatal(err)
		}
		e.Loads = append(e.Loads, synth.Load{PA: x.Start, Data: data})
	}
	return synth.Source(synth.WriteELF(e))
}

// sumOf converts and gives the dump's SHA-256.
func sumOf(t *testing.T, s source.Source) string {
	t.Helper()
	im, _, err := Convert(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if err := im.Scan(context.Background(), 0, im.Size(), make([]byte, 1<<20), func(p []byte) error { h.Write(p); return nil }); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestSavedStateIsTheSameDump: a guest in a saved state, whose pages are in
// records or in place, under its own name or another, gives the dump that an ELF
// core of the same memory gives, to the byte.
func TestSavedStateIsTheSameDump(t *testing.T) {
	s := synth.Guest(synth.Options{Encoded: true}).ELF.SavedState()
	in := s
	in.Mapped, in.Capabilities = true, []string{"mapped-ram"}
	var want []byte
	for form, data := range map[string][]byte{"records": s.Bytes(), "in place": in.Bytes()} {
		for _, name := range []string{"vm.save", "unknown.bin", ""} {
			src := synth.Source(data)
			src.Name = name
			if want == nil {
				m, err := savevm.Open(context.Background(), src, machine.Options{})
				if err != nil {
					t.Fatal(err)
				}
				want = dumpOf(t, asELF(t, m))
			}
			if got := dumpOf(t, src); !bytes.Equal(got, want) {
				t.Errorf("%s, %q: another dump", form, name)
			}
		}
	}
	sum, err := Inspect(context.Background(), synth.Source(s.Bytes()), Options{})
	if err != nil || sum.File.Format != "savevm" || !sum.Convert.Possible || len(sum.Convert.Types) == 0 {
		t.Errorf("%v, %+v", err, sum.Convert)
	}
}

// TestSavedFixture: the same of a real state of a small guest.
func TestSavedFixture(t *testing.T) {
	s := fileSource(t, corpustest.File(t, filepath.Join("container", "savevm", "testdata", "fixture.qevm.zst")))
	m, err := savevm.Open(context.Background(), s, machine.Options{})
	if err != nil || len(m.Warnings) > 0 {
		t.Fatal(err, m.Warnings)
	}
	if !bytes.Equal(dumpOf(t, s), dumpOf(t, asELF(t, m))) {
		t.Error("another dump than of the core")
	}
}

// TestSavedCorpus: every state of the corpus gives the dump that the core gives
// which was taken of the same stopped guest.
func TestSavedCorpus(t *testing.T) {
	corpus(t)
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm")
	for _, name := range []string{"q35-cpu4/state.qevm", "live/state.qevm", "libvirt-sparse/mini.save", "below-1g/state.qevm"} {
		t.Run(name, func(t *testing.T) {
			core := fileSource(t, corpustest.File(t, filepath.Join(dir, filepath.Dir(name), "core.elf.zst")))
			state := fileSource(t, corpustest.File(t, filepath.Join(dir, name+".zst")))
			if testing.Short() && core.Size > 1<<30 {
				t.Skip("1.6 GB")
			}
			want, got := sumOf(t, core), sumOf(t, state)
			if want != got {
				t.Errorf("dump %s, want that of the core, %s", got, want)
			}
		})
	}
}

// TestSavedLinux: a Linux guest gives the same reports and the same log from a
// saved state.
func TestSavedLinux(t *testing.T) {
	r, size := corpustest.KCSANCore(t, corpustest.KCSANCores[0])
	elf := source.Source{ReaderAt: r, Size: size, Name: "core.elf"}
	m, err := elfcore.Open(context.Background(), elf, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := synth.ELF{CPUs: m.CPUs}
	for _, x := range m.Mem.Extents() {
		if x.Start >= 1<<31 {
			continue // the firmware
		}
		data := make([]byte, x.Bytes)
		if err := m.Mem.ReadAt(data, x.Start); err != nil {
			t.Fatal(err)
		}
		e.Loads = append(e.Loads, synth.Load{PA: x.Start, Data: data})
	}
	saved := synth.Source(e.SavedState().Bytes())
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
	if a, b := text(elf), text(saved); a != b || len(a) < 1000 {
		t.Errorf("the reports differ: %d and %d bytes", len(a), len(b))
	}
}

// TestSavedStateCut: a state that ends inside the memory is converted without
// registers, and says what is missing.
func TestSavedStateCut(t *testing.T) {
	s := synth.Guest(synth.Options{Encoded: true}).ELF.SavedState()
	s.Blocks = append(s.Blocks, synth.SavedBlock{Name: "pc.bios", Data: make([]byte, 16*mem.PageSize)})
	marks := s.Marks()
	whole := s.Bytes()
	var cut int
	for i, m := range marks {
		if whole[m] == 3 { // the memory's end
			cut = marks[i] - 60
			break
		}
	}
	im, sum, err := Convert(context.Background(), synth.Source(whole[:cut]), Options{})
	if err != nil || im == nil || sum.Memory.MissingBytes == 0 {
		t.Fatal(err, sum.Memory.MissingBytes)
	}
	codes := map[fault.Code]bool{}
	for _, w := range sum.Warnings {
		codes[w.Code] = true
	}
	if !codes[fault.Truncated] || !codes[fault.NoQEMUNotes] {
		t.Errorf("warnings %v", sum.Warnings)
	}
}
