package dmp_test

import (
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// TestLies: records, control regions and stack pointers that cannot be trusted.
// The crash is on processor 2 of four; where its own record is there, it stays.
func TestLies(t *testing.T) {
	l := layout19041(t)
	unclear := []fault.Code{fault.CrasherUnclear}
	kept := []windows.Registers{record, record, record, record}
	alive := []windows.Registers{live, live, live, live}
	for name, c := range map[string]struct {
		record synth.RecordKind
		cpu0   synth.Mode
		edit   func(g *synth.Editor)
		want   shown
	}{
		"two records, each on its own stack": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.SaveRecord(0, g.Call(0)) },
			shown{2, windows.ChoiceRecord, kept, processBase, unclear, ""}},
		"two records, one a copy": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.SaveRecord(0, g.Call(2)) },
			shown{2, windows.ChoiceRecord, kept, processBase, unclear, ""}},
		"a copy alone": {synth.RecordNone, kernel, func(g *synth.Editor) { g.SaveRecord(0, g.Call(2)) },
			shown{2, windows.ChoiceStack, alive, processBase, unclear, ""}},
		"a record without a frame": {synth.RecordNone, kernel, func(g *synth.Editor) { g.SaveRecord(0, g.Call(0)) },
			shown{2, windows.ChoiceStack, alive, processBase, unclear, ""}},
		"in a hypervisor CPU's": {synth.RecordFresh, synth.Hypervisor, func(g *synth.Editor) { g.SaveRecord(0, g.Call(0)) },
			shown{2, windows.ChoiceRecord, kept, processBase, []fault.Code{fault.CrasherUnclear, fault.ProcessorParked}, ""}},
		"in a hypervisor CPU's, alone": {synth.RecordNone, synth.Hypervisor, func(g *synth.Editor) { g.SaveRecord(0, g.Call(0)) },
			shown{2, windows.ChoiceStack, []windows.Registers{record, live, live, live}, processBase, []fault.Code{fault.CrasherUnclear, fault.ProcessorParked}, ""}},
		"in a hypervisor CPU's, on a stack that holds the call": {synth.RecordNone, synth.Hypervisor, func(g *synth.Editor) {
			g.SaveRecord(0, g.Call(0))
			g.WriteFrame(0)
		}, shown{2, windows.ChoiceStack, []windows.Registers{record, live, live, live}, processBase, []fault.Code{fault.CrasherUnclear, fault.ProcessorParked}, ""}},
		"of a CPU in user mode": {synth.RecordNone, kernel, func(g *synth.Editor) {
			g.SaveRecord(3, g.Call(3))
			g.WriteFrame(3)
			x := g.CPUs()[3].State
			x.SetAll(cpu.Values{cpu.CS: 0x33, cpu.RIP: 0x7ff612340000})
		}, shown{2, windows.ChoiceStack, alive, processBase, unclear, ""}},
		"rip outside every image": {synth.RecordNone, kernel, func(g *synth.Editor) {
			r := g.Call(0)
			r.RIP = 0xfffff90012340000
			g.SaveRecord(0, r)
		}, shown{2, windows.ChoiceStack, alive, processBase, nil, ""}},
		"rip of another function": {synth.RecordNone, kernel, func(g *synth.Editor) {
			r := g.Call(0)
			r.RIP += 0x10
			g.SaveRecord(0, r)
		}, shown{2, windows.ChoiceStack, alive, processBase, nil, ""}},
		"an older bug check's": {synth.RecordFresh, kernel, func(g *synth.Editor) {
			r := g.Call(0)
			r.RDX -= 0x10
			g.SaveRecord(0, r)
		}, shown{2, windows.ChoiceRecord, kept, processBase, nil, ""}},
		"another code's": {synth.RecordFresh, kernel, func(g *synth.Editor) {
			r := g.Call(0)
			r.RCX = 0x50
			g.SaveRecord(0, r)
		}, shown{2, windows.ChoiceRecord, kept, processBase, nil, ""}},
		"flags of another architecture": {synth.RecordNone, kernel, func(g *synth.Editor) {
			r := g.Call(0)
			r.Flags = 0x1000f
			g.SaveRecord(0, r)
		}, shown{2, windows.ChoiceStack, alive, processBase, nil, ""}},
		"neighbouring stacks": {synth.RecordNone, kernel, func(g *synth.Editor) { g.CPUs()[1].State.Set(cpu.RSP, g.Stack(1)+0x5e08) },
			shown{2, windows.ChoiceStack, alive, processBase, nil, ""}},
		"parameters on two stacks": {synth.RecordNone, kernel, func(g *synth.Editor) {
			for i, v := range append([]uint64{0xa}, driverBug[:]...) {
				g.Write64(g.Stack(1)+0x5000+uint64(8*i), v)
			}
		}, shown{2, windows.ChoiceStack, alive, processBase, unclear, ""}},
		"stack pointer in user memory": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.CPUs()[2].State.Set(cpu.RSP, 0x10008) },
			shown{2, windows.ChoiceRecord, kept, processBase, nil, ""}},
		"stack pointer nowhere": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.CPUs()[2].State.Set(cpu.RSP, 0xfffff77000000000) },
			shown{2, windows.ChoiceRecord, kept, processBase, nil, ""}},
		"stack pointer at the end": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.CPUs()[2].State.Set(cpu.RSP, 0xfffffffffffffff8) },
			shown{2, windows.ChoiceRecord, kept, processBase, nil, ""}},
		"two CPUs name one control region": {synth.RecordFresh, kernel, func(g *synth.Editor) { g.CPUs()[1].State.Set(cpu.GSBase, g.CPUs()[0].State.Get(cpu.GSBase)) },
			shown{2, windows.ChoiceRecord, kept, processBase, []fault.Code{fault.ProcessorParked}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(synth.Options{Tables: l, CPUs: modes(c.cpu0, kernel, process, kernel), BugCheckCPU: 2, Encoded: true, Edit: c.edit,
				BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: c.record, Frozen: true, InDriver: true}})
			wantShown(t, b, dmp.Options{}, c.want)
		})
	}
}

// TestCrasherInTheHypervisor: the crasher was in the hypervisor when the core was
// taken, as for a port that a dump driver writes to. Its record is Windows' own
// and is shown; the hypervisor's registers are not.
func TestCrasherInTheHypervisor(t *testing.T) {
	b := synth.Guest(synth.Options{Tables: layout19041(t), CPUs: modes(synth.Hypervisor, kernel, process), BugCheckCPU: 0, Encoded: true,
		BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true}})
	wantShown(t, b, dmp.Options{}, shown{0, windows.ChoiceRecord, []windows.Registers{record, record, record}, systemBase, []fault.Code{fault.ProcessorParked}, "opens on processor 0, which called KeBugCheckEx"})
	wantShown(t, b, dmp.Options{Registers: dmp.RegistersLive}, shown{0, windows.ChoiceRecord, []windows.Registers{record, live, live}, systemBase, []fault.Code{fault.ProcessorParked}, ""})
}

// TestListOfProcessors: KiProcessorBlock that loops, repeats or holds garbage.
func TestListOfProcessors(t *testing.T) {
	l := layout19041(t)
	damaged := []fault.Code{fault.ContextUnreadable}
	for name, c := range map[string]struct {
		edit  func(g *synth.Editor, block uint64)
		count uint32
		codes []fault.Code
	}{
		"sound":               {func(*synth.Editor, uint64) {}, 3, nil},
		"garbage behind":      {func(g *synth.Editor, block uint64) { g.Write(block+8*3, synth.Noise(5, 0x400)) }, 3, nil},
		"repeats behind":      {func(g *synth.Editor, block uint64) { g.Write64(block+8*3, g.Truth.PRCB[0]) }, 3, nil},
		"repeats within":      {func(g *synth.Editor, block uint64) { g.Write64(block+8*1, g.Truth.PRCB[0]) }, 2, append(damaged, fault.ProcessorParked)},
		"points at itself":    {func(g *synth.Editor, block uint64) { g.Write64(block+8*1, block+8) }, 3, append(damaged, fault.ProcessorParked)},
		"4,096 processors":    {func(g *synth.Editor, _ uint64) { g.Write32(0xfffff78000000000+0x3c0, 4096) }, 3, nil},
		"user address":        {func(g *synth.Editor, block uint64) { g.Write64(block+8*1, 0x7ff000) }, 3, append(damaged, fault.ProcessorParked)},
		"nowhere":             {func(g *synth.Editor, block uint64) { g.Write64(block+8*1, 0xffffb00000000180) }, 3, append(damaged, fault.ProcessorParked)},
		"region lies":         {func(g *synth.Editor, block uint64) { g.Write64(g.Truth.KPCR[1]+0x18, 0x1234) }, 3, damaged},
		"region's KPRCB lies": {func(g *synth.Editor, block uint64) { g.Write64(g.Truth.KPCR[1]+0x20, g.Truth.PRCB[0]) }, 3, damaged},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(synth.Options{Tables: l, CPUs: modes(kernel, process, user), Edit: func(g *synth.Editor) { c.edit(g, g.Sym("KiProcessorBlock")) }})
			k, im, d := convert(t, b.Core, nil, dmp.Options{})
			if got := d.U32(0x34); got != c.count {
				t.Errorf("%d processors in the header, want %d: %+v", got, c.count, k.Processors)
			}
			wantWarnings(t, append(k.Warnings, im.Warnings...), c.codes)
			for _, p := range im.Patches {
				if name == "region lies" && p.What == "special registers of CPU 1" {
					t.Error("special registers were written to a region that lies")
				}
			}
		})
	}
}

// TestManyProcessors: all of them have their registers, none costs the others.
func TestManyProcessors(t *testing.T) {
	l := layout19041(t)
	var cpus []synth.Mode
	for range 130 {
		cpus = append(cpus, kernel)
	}
	b := synth.Guest(synth.Options{Tables: l, CPUs: cpus, BugCheckCPU: 129, Encoded: true,
		BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, InDriver: true}})
	from := make([]windows.Registers, len(cpus))
	for i := range from {
		from[i] = record
	}
	_, _, d := wantShown(t, b, dmp.Options{}, shown{129, windows.ChoiceRecord, from, systemBase, nil, "processor 129"})
	if n := d.U32(0x34); n != 130 {
		t.Errorf("%d processors", n)
	}
	for i := range from {
		from[i] = live
	}
	wantShown(t, b, dmp.Options{Registers: dmp.RegistersLive}, shown{129, windows.ChoiceRecord, from, systemBase, nil, "with its live registers"})
}

// TestManyCPUs: a core that lists more CPUs than Windows can have, all of which
// claim to run one processor.
func TestManyCPUs(t *testing.T) {
	b := synth.Guest(synth.Options{Tables: layout19041(t), CPUs: modes(kernel, process)})
	e := b.ELF
	for len(e.CPUs) < 4096 {
		c := e.CPUs[0]
		c.Index = len(e.CPUs)
		e.CPUs = append(e.CPUs, c)
	}
	k, im, _ := convert(t, synth.WriteELF(e), nil, dmp.Options{})
	if len(k.Processors) != 2 || k.Processors[0].CPU != 0 || k.Processors[1].CPU != 1 || len(k.Modes) != 4096 || !im.Shown[0].Opens {
		t.Errorf("%+v", k.Processors)
	}
	wantWarnings(t, append(k.Warnings, im.Warnings...), []fault.Code{fault.ProcessorParked})
}
