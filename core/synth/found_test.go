package synth_test

import (
	"bytes"
	"context"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// symbols gives the guest's own PDB.
type symbols struct{ *synth.Built }

func (s symbols) PDB(context.Context, pe.CodeView) (*pdb.File, pdb.Origin, error) {
	data := s.Built.PDB()
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "synth"}, err
}

// TestGuestsAreFound holds what the builder says against what the reader finds.
func TestGuestsAreFound(t *testing.T) {
	two := []synth.Mode{synth.Kernel, synth.Process}
	for name, o := range map[string]synth.Options{
		"plain":              {},
		"two":                {CPUs: two, Order: []int{1, 0}},
		"encoded":            {Encoded: true, Rotation: 37, KDBGCrosses: true},
		"5 levels":           {FiveLevel: true, CPUs: two, Encoded: true},
		"large page":         {LargePage: true, Encoded: true},
		"user":               {CPUs: []synth.Mode{synth.User, synth.Kernel}},
		"shadow 7000":        {KVAShadow: 0x7000, CPUs: []synth.Mode{synth.User, synth.User}},
		"shadow 9000":        {KVAShadow: 0x9000, CPUs: []synth.Mode{synth.User, synth.User}},
		"shadow a000":        {KVAShadow: 0xa000, CPUs: []synth.Mode{synth.User}},
		"CPU 0 in reset":     {CPUs: []synth.Mode{synth.Reset, synth.Kernel}, Order: []int{1, 0}},
		"decoys":             {Decoys: true},
		"impostor":           {Decoys: true, Impostor: true, Encoded: true},
		"Windows 7":          {KDBGSize: 0x340, Build: 7601, Layout: synth.Layout{PID: 0x180, Links: 0x188, Name: 0x2e0}},
		"newest":             {KDBGSize: 0x3a0, Build: 26100, Layout: synth.Layout{PID: 0x1d0, Links: 0x1d8, Name: 0x338}, Encoded: true},
		"second block":       {SecondBlock: true, Encoded: true},
		"no version block":   {NoVersion: true},
		"stopped":            {CPUs: two, BugCheck: &synth.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 3, 4}}, BugCheckCPU: 1},
		"driver's note":      {FwCfg: synth.FwCfgGood, Encoded: true},
		"forged note":        {FwCfg: synth.FwCfgWrongDTB},
		"another PDB's name": {PDBName: "ntkrla57.pdb", FiveLevel: true},
	} {
		for _, with := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				b := synth.Guest(o)
				m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
				if err != nil {
					t.Fatal(err)
				}
				var opts find.Options
				if with {
					opts.Symbols = symbols{b}
				}
				k, err := find.Locate(context.Background(), m, opts)
				if err != nil {
					t.Fatalf("symbols %v: %v", with, err)
				}
				found(t, b, k)
			})
		}
	}
}

func found(t *testing.T, b *synth.Built, k *windows.Kernel) {
	if uint64(k.Image.Base) != b.KernelBase || k.Image.SizeOfImage != b.SizeOfImage || k.Image.TimeDateStamp != b.TimeDateStamp {
		t.Errorf("image %v, want %#x", k.Image.Base, b.KernelBase)
	}
	if k.DTB != b.SystemDTB && k.DTB != b.ProcessDTB {
		t.Errorf("page tables %v, want %v or %v", k.DTB, b.SystemDTB, b.ProcessDTB)
	}
	if uint64(k.KDBG.VA) != b.KDBG || k.KDBG.Encoded != b.Opts.Encoded || !bytes.Equal(k.KDBG.Plain, b.KDBGPlain) {
		t.Errorf("debugger block at %v, encoded %v", k.KDBG.VA, k.KDBG.Encoded)
	}
	if k.PDB == nil || k.PDB.GUID != b.GUID || k.PDB.Age != b.Age || k.PDB.Name != b.PDBName {
		t.Errorf("PDB %+v", k.PDB)
	}
	if k.Shared.SystemTime != b.SystemTime || k.Shared.InterruptTime != b.InterruptTime || k.Shared.ProductType != b.ProductType ||
		k.Shared.SuiteMask != b.SuiteMask || k.Shared.Build != b.Build || uint32(k.Version.Minor) != b.Build {
		t.Errorf("%+v %+v", k.Shared, k.Version)
	}
	for _, p := range k.Processors {
		if n := p.Number; uint64(p.PRCB) != b.PRCB[n] || uint64(p.KPCR) != b.KPCR[n] || uint64(p.Context) != b.Context[n] || p.CPU != b.CPUOf[n] {
			t.Errorf("processor %+v", p)
		}
	}
	if len(k.Modules) != len(b.Modules) || len(k.Processes) != len(b.Processes) {
		t.Fatalf("%v\n%v", k.Modules, k.Processes)
	}
	for i, m := range b.Modules {
		if got := k.Modules[i]; got.Name != m.Name || uint64(got.Base) != m.VA || got.Size != m.Size {
			t.Errorf("module %+v", got)
		}
	}
	for i, p := range b.Processes {
		// The guest's value has a PCID in its low bits, as KPROCESS has.
		if got := k.Processes[i]; got.Name != p.Name || got.PID != p.PID || got.DTB.Page() != p.DTB {
			t.Errorf("process %+v", got)
		}
	}
	switch want := b.Opts.BugCheck; {
	case (want == nil) != (k.BugCheck == nil):
		t.Errorf("bug check %+v", k.BugCheck)
	case want != nil && (uint64(k.BugCheck.Code) != want.Code || k.BugCheck.Parameters != want.Parameters || k.OpensCPU() != b.Opts.BugCheckCPU):
		t.Errorf("bug check %+v on CPU %d", k.BugCheck, k.OpensCPU())
	}
}
