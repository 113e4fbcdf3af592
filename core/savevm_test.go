package core

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/container/savevm"
	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/synth"
	"coredrop/core/windows"
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

// imageOf converts and gives the dump with what was done to it.
func imageOf(t *testing.T, s source.Source) (*dmp.Image, *summary.Summary) {
	t.Helper()
	im, sum, err := Convert(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !sum.Dump.Verified {
		t.Errorf("not verified: %v", sum.Warnings)
	}
	return im, sum
}

// sameButContexts compares two dumps of one guest: what differs are registers,
// in the header's context and in those that were written into the guest.
func sameButContexts(t *testing.T, saved, core *dmp.Image, sum *summary.Summary) {
	t.Helper()
	if saved.Size() != core.Size() {
		t.Fatalf("%d bytes, the core's dump has %d", saved.Size(), core.Size())
	}
	const header, contextAt, contextBytes = 0x2000, 0x348, 1232
	allowed := [][2]int64{{contextAt, contextAt + contextBytes}}
	number := func(text string) int64 {
		v, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, p := range sum.Dump.Patches {
		if !strings.HasPrefix(p.What, "context of") && !strings.HasPrefix(p.What, "special registers of") {
			continue
		}
		at := int64(header)
		for _, r := range sum.Memory.Runs {
			if start := number(r.Start); number(p.PA) >= start && number(p.PA) < start+r.Bytes {
				allowed = append(allowed, [2]int64{at + number(p.PA) - start, at + number(p.PA) - start + p.Bytes})
			}
			at += r.Bytes
		}
	}
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	differ := 0
	for off := int64(0); off < saved.Size(); off += int64(len(a)) {
		n := min(int64(len(a)), saved.Size()-off)
		if _, err := saved.ReadAt(a[:n], off); err != nil {
			t.Fatal(err)
		}
		if _, err := core.ReadAt(b[:n], off); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a[:n], b[:n]) {
			continue
		}
		for i := range n {
			if a[i] == b[i] {
				continue
			}
			differ++
			if !slices.ContainsFunc(allowed, func(r [2]int64) bool { return off+i >= r[0] && off+i < r[1] }) {
				t.Fatalf("the dumps differ at %#x", off+i)
			}
		}
	}
	if differ == 0 {
		t.Error("the dumps are equal: where are the registers that a core does not carry?")
	}
}

// showsState compares the header's context with what only a saved state carries.
func showsState(t *testing.T, im *dmp.Image, s *cpu.State) {
	t.Helper()
	p := make([]byte, windows.Context.Bytes)
	if _, err := im.ReadAt(p, 0x348); err != nil {
		t.Fatal(err)
	}
	got := cpu.New(cpu.X64)
	windows.Context.Load(got, p)
	for _, r := range append(append(cpu.Range(cpu.XMM0, 32, 1), cpu.Range(cpu.ST0, 16, 1)...), cpu.MXCSR, cpu.DR0, cpu.DR6, cpu.DR7, cpu.FCW, cpu.FSW, cpu.RIP, cpu.R15) {
		if !s.Known(r) || got.Get(r) != s.Get(r) {
			t.Errorf("%s is %#x in the dump, %#x in the state (known %v)", cpu.X64.RegName(r), got.Get(r), s.Get(r), s.Known(r))
		}
	}
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
			m, err := savevm.Open(context.Background(), src, machine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			core, _ := imageOf(t, asELF(t, m))
			got, sum := imageOf(t, src)
			sameButContexts(t, got, core, sum)
			showsState(t, got, m.CPUs[0].State)
			if data := dumpOf(t, src); want == nil {
				want = data
			} else if !bytes.Equal(data, want) {
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
	core, _ := imageOf(t, asELF(t, m))
	got, sum := imageOf(t, s)
	sameButContexts(t, got, core, sum)
	showsState(t, got, m.CPUs[0].State)
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
			want, _ := imageOf(t, core)
			got, sum := imageOf(t, state)
			sameButContexts(t, got, want, sum)
			m, err := savevm.Open(context.Background(), state, machine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			showsState(t, got, m.CPUs[0].State)
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
	sameReports(t, elf, saved)
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
