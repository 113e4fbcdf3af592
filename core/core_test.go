package core

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// TestInspectTouchesNoNetwork: without Options.Symbols there is nothing that
// could be asked; with it, the PDB is asked for by name and identity.
func TestInspectSaysWhatWouldBeAsked(t *testing.T) {
	sum, err := Inspect(context.Background(), demoSource(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb"
	if sum.Symbols.Key != want || sum.Symbols.URL != "https://msdl.microsoft.com/download/symbols/"+want || sum.Symbols.From != nil {
		t.Errorf("%+v", sum.Symbols)
	}
}

// TestLines: -v shows the values found, step by step.
func TestLines(t *testing.T) {
	var lines []string
	o := Options{Symbols: symbolDir{}, Sink: progress.Sink{OnLine: func(line string) { lines = append(lines, line) }}}
	if _, _, err := Convert(context.Background(), demoSource(t), o); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"0x1ad000", "0xfffff80312a00000", "0xfffff80312a1ce20", "run 0"} {
		if !strings.Contains(all, want) {
			t.Errorf("no line says %s:\n%s", want, all)
		}
	}
}

// TestProcessorsByKPCR: CPUs that Windows numbers otherwise get their own
// contexts; upstream's go by position.
func TestProcessorsByKPCR(t *testing.T) {
	b := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.Kernel, synth.Process}, Order: []int{2, 0, 1}, Seed: 3})
	_, sum, err := Convert(context.Background(), b.Source(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 0, 1} {
		c := sum.CPUs[i]
		if c.Processor == nil || *c.Processor != want || c.Context != fmt.Sprintf("%#x", b.Context[want]) {
			t.Errorf("CPU %d: processor %v, context %s", i, c.Processor, c.Context)
		}
	}
	_, sum, err = Convert(context.Background(), b.Source(), Options{Compat: true, Symbols: synthPDB{data: b.PDB()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sum.CPUs {
		if c := sum.CPUs[i]; c.Context != fmt.Sprintf("%#x", b.Context[i]) {
			t.Errorf("compat: CPU %d: context %s", i, c.Context)
		}
	}
}

// TestRuns: however the loads are ordered in the file, the default profile's
// runs are sorted and disjoint, and above 42 of them the dump is a bitmap dump;
// upstream keeps the file's order and cannot do more than 43.
func TestRuns(t *testing.T) {
	base := len(guest(nil).ELF.Loads)
	for _, runs := range []int{42, 43, 44, 503} {
		b := synth.Guest(synth.Options{ExtraRuns: runs - base, ShuffleRuns: uint64(runs), Encoded: true})
		im, sum, err := Convert(context.Background(), b.Source(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := dmptest.Open(im, im.Size())
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Runs) != runs || (d.Type == 5) != (runs > 42) || !sum.Dump.Verified {
			t.Errorf("%d runs became %d, type %d, verified %v", runs, len(d.Runs), d.Type, sum.Dump.Verified)
		}
		for i := 1; i < len(d.Runs); i++ {
			if d.Runs[i].Page <= d.Runs[i-1].Page+d.Runs[i-1].Count-1 {
				t.Fatalf("run %d is not behind run %d", i, i-1)
			}
		}
		page := make([]byte, 4096)
		for i, l := range b.ELF.Loads {
			if len(l.Data) != 4096 {
				continue // the guest itself, whose patched pages differ
			}
			if err := d.Physical(page, uint64(l.PA)); err != nil || !bytes.Equal(page, l.Data) {
				t.Fatalf("load %d at %v: %v", i, l.PA, err)
			}
		}
		im, _, err = Convert(context.Background(), b.Source(), Options{Compat: true, Symbols: synthPDB{data: b.PDB()}})
		if runs > 43 {
			if !fault.Is(err, fault.CompatLossy) {
				t.Errorf("compat, %d runs: %v", runs, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range b.ELF.Loads {
			if im.Runs[i].Start != l.PA || im.Runs[i].Pages != uint64(len(l.Data))/mem.PageSize {
				t.Errorf("compat: run %d is %+v, load %v", i, im.Runs[i], l.PA)
			}
		}
	}
}

// TestSameAnswerTwice: nothing is kept between two runs.
func TestSameAnswerTwice(t *testing.T) {
	text := func() string {
		_, sum, err := Convert(context.Background(), demoSource(t), Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		return string(p)
	}
	if a, b := text(), text(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestEmptySummaryHasItsLists: viewers need not look for null.
func TestEmptySummaryHasItsLists(t *testing.T) {
	sum, err := Inspect(context.Background(), source.Source{Name: "x"}, Options{})
	if !fault.Is(err, fault.InputUnreadable) && !fault.Is(err, fault.EmptyFile) {
		t.Error(err)
	}
	p, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cpus":[]`, `"warnings":[]`, `"runs":[]`, `"needs":[`, `"types":[]`, `"reports":[]`, `"fragments":[]`, `"threads":[]`, `"marks":[]`, `"os":"unknown"`, `"schema":1`, `"remedy":[`} {
		if !strings.Contains(string(p), want) {
			t.Errorf("no %s in %s", want, p)
		}
	}
}
