package core

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/summary"
)

// crashSymbols has the PDB of the crash's kernel, and notes who is asked for.
type crashSymbols struct {
	t     *testing.T
	asked []string
}

func (s *crashSymbols) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	s.asked = append(s.asked, cv.Name)
	if cv.Name != "ntkrnlmp.pdb" {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
	}
	data, err := demo.Crash.PDB()
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromFile, Name: cv.Name}, err
}

func crashSource(t *testing.T) source.Source {
	t.Helper()
	data, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: "crash.elf"}
}

// top gives the symbols of a CPU's stack.
func top(s *summary.Summary, cpu int) (names []string) {
	for _, f := range s.CPUs[cpu].Stack {
		names = append(names, f.Symbol)
	}
	return names
}

// TestStacksOfACase opens a crash: the summary has the processors' stacks, named
// without a question to anybody; symbols that come later name the kernel's
// frames; other modules' PDBs are asked for only where stacks are.
func TestStacksOfACase(t *testing.T) {
	ctx := context.Background()
	c, err := Open(ctx, crashSource(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Summary()
	if got := top(s, 2); len(got) != 11 || got[0] != "KeBugCheckEx" || got[1] != "" {
		t.Errorf("by exports: %q", got)
	}
	if len(s.CPUs[2].LiveStack) != 16 || len(s.CPUs[0].LiveStack) == 0 || s.CPUs[3].StackEnd == "" || s.CPUs[2].StackEnd != "" {
		t.Errorf("live stack of %d frames, ends %q and %q", len(s.CPUs[2].LiveStack), s.CPUs[2].StackEnd, s.CPUs[3].StackEnd)
	}
	if p := s.CPUs[2].Process; p == nil || p.Name != "System" || p.PID != 4 {
		t.Errorf("process %+v", p)
	}
	if len(s.Threads) != 0 || len(s.Windows.FirstAid) != 6 {
		t.Errorf("%d threads, first aid %q", len(s.Threads), s.Windows.FirstAid)
	}
	if b := s.Windows.BugCheck; b.Name != "DRIVER_IRQL_NOT_LESS_OR_EQUAL" || b.Parameters[3].At != "minidrv+0x1319" || b.URL == "" {
		t.Errorf("bug check %+v", b)
	}

	symbols := &crashSymbols{t: t}
	if err := c.Use(ctx, symbols); err != nil {
		t.Fatal(err)
	}
	if got := top(c.Summary(), 2); got[1] != "KiBugCheckDispatch" || got[2] != "KiPageFault" {
		t.Errorf("by the PDB: %q", got)
	}
	if slices.ContainsFunc(symbols.asked, func(name string) bool { return name != "ntkrnlmp.pdb" }) {
		t.Errorf("asked for %q", symbols.asked)
	}
	if _, err := c.Stacks(ctx, true); err != nil {
		t.Fatal(err)
	}
	if s = c.Summary(); len(s.Threads) != 10 {
		t.Errorf("%d threads", len(s.Threads))
	}
	for _, name := range []string{"minidrv.pdb", "hal.pdb", "dump_mini.pdb"} {
		if !slices.Contains(symbols.asked, name) {
			t.Errorf("nobody was asked for %s: %q", name, symbols.asked)
		}
	}
}

// TestStacksRefused has files without stacks.
func TestStacksRefused(t *testing.T) {
	ctx := context.Background()
	for _, text := range []string{"[    0.000000] Linux version 6.1.0 (x@y)\n[    0.000001] Command line: z\n", "once upon a time"} {
		c, _ := Open(ctx, source.Source{ReaderAt: bytes.NewReader([]byte(text)), Size: int64(len(text)), Name: "text"}, Options{})
		if rep, err := c.Stacks(ctx, false); rep != nil || err == nil || err != c.Cannot() {
			t.Errorf("%q: %v, %v", text, rep, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	c, err := Open(ctx, crashSource(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := c.Stacks(ctx, true); !fault.Is(err, fault.Cancelled) {
		t.Errorf("cancelled: %v", err)
	}
}
