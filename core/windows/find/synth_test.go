package find

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// builtSymbols gives a synthetic guest's own PDB.
type builtSymbols struct {
	b   *synth.Built
	pdb []byte
}

func symbolsOf(b *synth.Built) builtSymbols { return builtSymbols{b, b.PDB()} }

func (s builtSymbols) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	if cv.GUID != s.b.GUID || cv.Age != s.b.Age {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "no symbol store has %s", cv.Key())
	}
	f, err := pdb.Open(bytes.NewReader(s.pdb), int64(len(s.pdb)))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "synth"}, err
}

// open opens a synthetic core.
func open(t testing.TB, b *synth.Built) *machine.Machine {
	t.Helper()
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantBuilt compares a kernel with what was built.
func wantBuilt(t *testing.T, k *windows.Kernel, b *synth.Built) {
	t.Helper()
	equal := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s: got %s, want %s", what, g, w)
		}
	}
	equal("kernel base", k.Image.Base, mem.VA(b.KernelBase))
	equal("size", k.Image.SizeOfImage, b.SizeOfImage)
	equal("time stamp", k.Image.TimeDateStamp, b.TimeDateStamp)
	equal("kdbg", k.KDBG.VA, mem.VA(b.KDBG))
	equal("plain", k.KDBG.Plain, b.KDBGPlain)
	equal("encoded", k.KDBG.Encoded, !bytes.Equal(b.KDBGPlain, b.KDBGRaw))
	equal("pfn database", k.KDBG.PfnDatabase(), mem.VA(b.PfnDatabase))
	equal("module list", k.KDBG.ModuleList(), mem.VA(b.ModuleList))
	equal("process head", k.KDBG.ProcessHead(), mem.VA(b.ProcessHead))
	equal("build", k.Shared.Build, b.Build)
	equal("product", k.Shared.ProductType, b.ProductType)
	equal("suite", k.Shared.SuiteMask, b.SuiteMask)
	equal("system time", k.Shared.SystemTime, b.SystemTime)
	equal("interrupt time", k.Shared.InterruptTime, b.InterruptTime)
	equal("modules", len(k.Modules), len(b.Modules))
	for i := range min(len(k.Modules), len(b.Modules)) {
		w := b.Modules[i]
		equal("module", k.Modules[i], windows.Module{Name: w.Name, Base: mem.VA(w.VA), Size: w.Size})
	}
	equal("processes", len(k.Processes), len(b.Processes))
	for i := range min(len(k.Processes), len(b.Processes)) {
		w := b.Processes[i]
		p := k.Processes[i]
		p.DTB &^= 0xfff // the PCID
		equal("process", p, windows.Process{PID: w.PID, Name: w.Name, DTB: w.DTB &^ 0xfff, Links: p.Links, EPROCESS: mem.VA(w.VA)})
	}
	n := 0
	for i, prcb := range b.PRCB {
		if prcb == 0 {
			continue
		}
		if n >= len(k.Processors) {
			t.Fatalf("only %d processors", n)
		}
		p := k.Processors[n]
		n++
		equal("number", p.Number, i)
		equal("prcb", p.PRCB, mem.VA(prcb))
		equal("kpcr", p.KPCR, mem.VA(b.KPCR[i]))
		equal("cpu of processor", p.CPU, b.CPUOf[i])
		if p.Err == nil {
			equal("context", p.Context, mem.VA(b.Context[i]))
		}
	}
	equal("processors", len(k.Processors), n)
	if b.BugCheck.Code == 0 {
		equal("bug check", k.BugCheck, (*windows.BugCheck)(nil))
	} else {
		equal("bug check", *k.BugCheck, windows.BugCheck{Code: uint32(b.BugCheck.Code), Parameters: b.BugCheck.Parameters})
	}
	if k.Version.VA != 0 {
		equal("minor version", k.Version.Minor, binary.LittleEndian.Uint16(b.Version[2:]))
		equal("secondary version", k.Version.KdSecondaryVersion, b.Version[5])
	}
}

// TestSynthetic finds the kernel in guests of many kinds, with the PDB and
// without.
func TestSynthetic(t *testing.T) {
	type want struct {
		from  string
		dtb   func(b *synth.Built) mem.PA
		codes []fault.Code
	}
	system := func(b *synth.Built) mem.PA { return b.SystemDTB }
	process := func(b *synth.Built) mem.PA { return b.ProcessDTB }
	kernel, user, proc, reset := synth.Kernel, synth.User, synth.Process, synth.Reset
	for name, c := range map[string]struct {
		o synth.Options
		want
	}{
		"plain":          {synth.Options{}, want{"cpu0 cr3", system, nil}},
		"encoded":        {synth.Options{Encoded: true, Rotation: 17}, want{"cpu0 cr3", system, nil}},
		"across a page":  {synth.Options{Encoded: true, Rotation: 63, KDBGCrosses: true}, want{"cpu0 cr3", system, nil}},
		"second block":   {synth.Options{Encoded: true, Rotation: 5, SecondBlock: true}, want{"cpu0 cr3", system, nil}},
		"process":        {synth.Options{CPUs: []synth.Mode{proc, kernel}}, want{"cpu0 cr3", process, nil}},
		"user":           {synth.Options{CPUs: []synth.Mode{user, user}}, want{"cpu0 cr3", process, nil}},
		"shadow 7000":    {synth.Options{CPUs: []synth.Mode{user, user}, KVAShadow: 0x7000}, want{"[cpu0 KERNEL_GS_BASE+7000]", system, nil}},
		"shadow 9000":    {synth.Options{CPUs: []synth.Mode{user, user}, KVAShadow: 0x9000}, want{"kpcr scan cpu0", system, nil}},
		"shadow a000":    {synth.Options{CPUs: []synth.Mode{user}, KVAShadow: 0xa000, Encoded: true}, want{"kpcr scan cpu0", system, nil}},
		"shadow, kernel": {synth.Options{CPUs: []synth.Mode{user, kernel}, KVAShadow: 0xa000}, want{"cpu1 system task cr3", system, nil}},
		"reset":          {synth.Options{CPUs: []synth.Mode{reset, kernel}}, want{"cpu1 system task cr3", system, []fault.Code{fault.ProcessorParked}}},
		"five levels":    {synth.Options{FiveLevel: true, CPUs: []synth.Mode{user, kernel}}, want{"cpu0 cr3", process, nil}},
		"large page":     {synth.Options{LargePage: true, Encoded: true}, want{"cpu0 cr3", system, nil}},
		"decoys":         {synth.Options{Decoys: true}, want{"cpu0 cr3", system, []fault.Code{fault.ForeignKernel}}},
		"impostor":       {synth.Options{Impostor: true, Encoded: true}, want{"cpu0 cr3", system, []fault.Code{fault.ForeignKernel}}},
		"both":           {synth.Options{Impostor: true, Decoys: true}, want{"cpu0 cr3", system, []fault.Code{fault.ForeignKernel}}},
		"order":          {synth.Options{CPUs: []synth.Mode{kernel, proc, user}, Order: []int{2, 0, 1}}, want{"cpu0 cr3", system, nil}},
		"bug check":      {synth.Options{CPUs: []synth.Mode{kernel, kernel, kernel}, BugCheck: &synth.BugCheck{Code: 0x139, Parameters: [4]uint64{3, 1 << 63, 0, 9}}, BugCheckCPU: 2}, want{"cpu0 cr3", system, nil}},
		"other layout":   {synth.Options{Layout: synth.Layout{PID: 0x1d0, Links: 0x1d8, Name: 0x338}}, want{"cpu0 cr3", system, nil}},
		"windows 7":      {synth.Options{Layout: synth.Layout{PID: 0x180, Links: 0x188, Name: 0x2e0}, KDBGSize: 0x340, Build: 7601}, want{"cpu0 cr3", system, nil}},
		"vista":          {synth.Options{KDBGSize: 0x330, Build: 6002}, want{"cpu0 cr3", system, nil}},
		"ntkrla57":       {synth.Options{PDBName: "NTKRLA57.pdb"}, want{"cpu0 cr3", system, nil}},
		"pcr version":    {synth.Options{PCRVersion: true, Encoded: true}, want{"cpu0 cr3", system, nil}},
		"no context":     {synth.Options{CPUs: []synth.Mode{kernel, kernel}, NoContext: []int{1}}, want{"cpu0 cr3", system, []fault.Code{fault.ContextUnreadable}}},
		"lost context":   {synth.Options{CPUs: []synth.Mode{kernel, kernel}, UnmappedContext: []int{1}}, want{"cpu0 cr3", system, []fault.Code{fault.ContextUnreadable}}},
		"fwcfg":          {synth.Options{FwCfg: synth.FwCfgGood, Encoded: true}, want{"cpu0 cr3", system, nil}},
		"runs":           {synth.Options{ExtraRuns: 60, ShuffleRuns: 4}, want{"cpu0 cr3", system, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(c.o)
			for _, s := range []windows.Symbols{nil, symbolsOf(b)} {
				k, err := Locate(context.Background(), open(t, b), Options{Symbols: s})
				if err != nil {
					t.Fatalf("symbols %v: %v %q", s != nil, err, fault.As(err).Remedy())
				}
				wantBuilt(t, k, b)
				if k.DTBFrom.String() != c.from || k.DTB != c.dtb(b)&^0xfff {
					t.Errorf("page-table base %#x from %q, want %#x from %q", uint64(k.DTB), k.DTBFrom, uint64(c.dtb(b)), c.from)
				}
				codes := map[fault.Code]bool{}
				for _, code := range c.codes {
					codes[code] = true
					if !warned(k, code) {
						t.Errorf("no warning %s", code)
					}
				}
				for _, w := range k.Warnings {
					if !codes[w.Code] {
						t.Errorf("unexpected warning %v", w)
					}
				}
				if c.o.BugCheck != nil && k.OpensCPU() != c.o.BugCheckCPU {
					t.Errorf("CPU %d, the bug check is on CPU %d", k.OpensCPU(), c.o.BugCheckCPU)
				}
				if k.Version.VA == 0 {
					t.Errorf("the version block was not found")
				}
			}
		})
	}
}

// TestNoVersionBlock: the build comes from the shared page.
func TestNoVersionBlock(t *testing.T) {
	b := synth.Guest(synth.Options{NoVersion: true, Build: 17763})
	k, err := Locate(context.Background(), open(t, b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !warned(k, fault.VersionUnreadable) || k.Version.Minor != 17763 || k.Version.Major != 0xf || k.Version.MachineType != 0x8664 || k.Version.KernBase != b.KernelBase {
		t.Errorf("%+v, warnings %v", k.Version, k.Warnings)
	}
}

// TestCodeView: the PDB's name and record in all its shapes; a kernel whose
// record is missing or unusable is known by its exports.
func TestCodeView(t *testing.T) {
	guid := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for name, c := range map[string]struct {
		o    synth.Options
		none bool
	}{
		"second entry": {synth.Options{Debug: []synth.DebugEntry{{Type: 12, Data: []byte("x")}, {Type: 2, Data: synth.RSDS(guid, 0x1f, `C:\obj\NtKrnlMp.pdb`)}}}, false},
		"none":         {synth.Options{NoDebug: true}, true},
		"unmapped":     {synth.Options{Debug: []synth.DebugEntry{{Type: 2, Data: synth.RSDS(guid, 1, "ntkrnlmp.pdb"), Unmapped: true}}}, true},
		"NB10":         {synth.Options{Debug: []synth.DebugEntry{{Type: 2, Data: append([]byte("NB10"), make([]byte, 40)...)}}}, true},
		"private name": {synth.Options{PDBName: "mykernel.pdb"}, false},
	} {
		b := synth.Guest(c.o)
		k, err := Locate(context.Background(), open(t, b), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantBuilt(t, k, b)
		if (k.PDB == nil) != c.none || warned(k, fault.NoCodeView) != c.none {
			t.Errorf("%s: record %v, warnings %v", name, k.PDB, k.Warnings)
		}
	}
	// Neither the record nor the exports name a kernel.
	b := synth.Guest(synth.Options{PDBName: "other.pdb", Export: "other.sys"})
	if k, err := Locate(context.Background(), open(t, b), Options{}); err == nil {
		img := k.Image
		for _, s := range img.Sections {
			if s.Name == kernelSection {
				return // its sections do
			}
		}
		t.Errorf("an image that nothing names a kernel was taken")
	}
}
