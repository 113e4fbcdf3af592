package synth_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
)

func space(t *testing.T, b *synth.Built, root mem.PA) *paging.Space {
	t.Helper()
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mode := paging.X64
	if m.CPUs[0].State.Get(cpu.CR4)&cpu.CR4LA57 != 0 {
		mode = paging.X64L5
	}
	return paging.New(m.Mem, uint64(root), mode)
}

func read(t *testing.T, s *paging.Space, va uint64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if err := s.ReadAt(p, mem.VA(va)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGuestsStandUp(t *testing.T) {
	for name, o := range map[string]synth.Options{
		"plain":    {},
		"encoded":  {Encoded: true, Rotation: 37, KDBGCrosses: true},
		"5 levels": {FiveLevel: true, CPUs: []synth.Mode{synth.Kernel, synth.Process}},
		"large":    {LargePage: true},
		"shadow":   {KVAShadow: 0x9000, CPUs: []synth.Mode{synth.User, synth.User}},
		"between":  {Decoys: true, Impostor: true, CPUs: []synth.Mode{synth.Kernel, synth.Reset, synth.User}},
		"old":      {KDBGSize: 0x290},
		"new":      {KDBGSize: 0x3a0, SecondBlock: true, Order: []int{1, 0}, CPUs: []synth.Mode{synth.Kernel, synth.Kernel}},
		"stopped":  {BugCheck: &synth.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 3, 4}}, FwCfg: synth.FwCfgGood},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(o)
			if again := synth.Guest(o); !bytes.Equal(b.Core, again.Core) {
				t.Error("not the same twice")
			}
			if len(b.Core) > 6<<20 {
				t.Errorf("%d bytes", len(b.Core))
			}
			for _, root := range []mem.PA{b.SystemDTB, b.ProcessDTB} {
				s := space(t, b, root)
				if string(read(t, s, b.KernelBase, 2)) != "MZ" || !s.Resolves(0xfffff78000000000) {
					t.Fatal("no kernel")
				}
				raw := read(t, s, b.KDBG, len(b.KDBGRaw))
				if !bytes.Equal(raw, b.KDBGRaw) || o.Encoded == bytes.Equal(raw, b.KDBGPlain) {
					t.Error("debugger block")
				}
				for p, va := range b.Context {
					if b.KPCR[p] != 0 {
						read(t, s, va, 0x4d0)
					}
				}
			}
			if o.KVAShadow != 0 {
				s := space(t, b, b.UserDTB)
				if s.Resolves(mem.VA(b.KernelBase)) || s.Resolves(0xfffff78000000000) || !s.Resolves(mem.VA(b.Handler)) {
					t.Error("the shadow maps the wrong things")
				}
				if v, err := s.Uint64(mem.VA(b.KPCR[0] + 0x9000)); err != nil || v != uint64(b.SystemDTB) {
					t.Error(v, err)
				}
			}
		})
	}
}

func TestEdit(t *testing.T) {
	b := synth.Guest(synth.Options{Edit: func(g *synth.Editor) {
		g.Write64(g.Sym("KiBugCheckData"), 0x50)
		g.Unmap(0xfffff78000000000)
		g.CPUs()[0].State.Set(cpu.RIP, 7)
	}})
	s := space(t, b, b.SystemDTB)
	if v, _ := s.Uint64(mem.VA(b.KernelBase) + mem.VA(b.Symbols["KiBugCheckData"])); v != 0x50 {
		t.Error(v)
	}
	if _, _, err := s.Translate(0xfffff78000000000); !errors.Is(err, paging.ErrNotPresent) {
		t.Error(err)
	}
	if m, _ := elfcore.Open(context.Background(), b.Source(), machine.Options{}); m.CPUs[0].State.Get(cpu.RIP) != 7 {
		t.Error("RIP")
	}
}

func TestExtraRuns(t *testing.T) {
	for _, n := range []int{41, 42, 43, 502} {
		b := synth.Guest(synth.Options{ExtraRuns: n, ShuffleRuns: 9})
		m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		runs, partial := mem.Runs(m.Mem.Extents())
		if len(runs) != n+1 || partial != nil || m.ELF.Loads[0].Start == 0x100000 && m.ELF.Loads[1].Start == 0x40000000 {
			t.Errorf("%d runs", len(runs))
		}
	}
}

// TestEncodeIsWhatTheGuestDoes compares with the encoding that another
// program's guest produced: the first words of the demo's debugger block.
func TestEncodeIsWhatTheGuestDoes(t *testing.T) {
	plain := []byte{0xf8, 0xb2, 0xa1, 0x12, 0x03, 0xf8, 0xff, 0xff, 'K', 'D', 'B', 'G', 0x80, 3, 0, 0}
	raw := []byte{0x6e, 0x61, 0x73, 0xd3, 0x0d, 0xcc, 0x5d, 0x45, 0x91, 0x1e, 0x0c, 0x63, 0x67, 0x10, 0x23, 0xb3}
	got := synth.Encode(plain, 0x3c9f27d1a05b8e43, 0xb4e61d88f2075ac9, 0xfffff80312a26020)
	if !bytes.Equal(got, raw) {
		t.Errorf("% x", got)
	}
}
