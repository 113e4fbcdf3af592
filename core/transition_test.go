package core

import (
	"context"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/synth"
)

// TestTransitionPages trims pages that the search and the dump need: they are
// read and counted, and -compat, which walks as elf2dmp does, does without.
func TestTransitionPages(t *testing.T) {
	for _, c := range []struct {
		name   string
		trim   func(g *synth.Editor) uint64
		compat fault.Code // of the refusal
	}{
		{"debugger block", func(g *synth.Editor) uint64 { return g.Truth.KDBG }, fault.KDBGMissing},
		{"image header", func(g *synth.Editor) uint64 { return g.Truth.KernelBase }, fault.KernelNotFound},
	} {
		b := guest(func(o *synth.Options) { o.Edit = func(g *synth.Editor) { g.Trim(c.trim(g)) } })
		cs, err := Open(context.Background(), b.Source(), Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s := cs.Summary()
		if s.Windows.TransitionPages != 1 || !s.Convert.Possible || len(s.Windows.Modules) == 0 || len(s.Warnings) != 0 {
			t.Errorf("%s: %d pages, %+v, %v", c.name, s.Windows.TransitionPages, s.Convert, s.Warnings)
		}
		im, err := cs.Convert(context.Background(), dmp.Options{})
		if err != nil || im.Size() == 0 {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := Open(context.Background(), b.Source(), Options{Compat: true, Symbols: synthPDB{data: b.PDB()}}); !fault.Is(err, c.compat) {
			t.Errorf("%s, compat: %v, want %s", c.name, err, c.compat)
		}
	}
	b := guest(nil)
	if cs, err := Open(context.Background(), b.Source(), Options{}); err != nil || cs.Summary().Windows.TransitionPages != 0 {
		t.Errorf("nothing trimmed: %v", err)
	}
}
