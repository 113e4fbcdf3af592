package dmp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// TestStrangers: CPUs that are not in Windows are named as such and are never
// shown; the processors that they would run get a minimal record.
func TestStrangers(t *testing.T) {
	hv, vtl1, fw, smm, parked := synth.Hypervisor, synth.Secure, synth.Firmware, synth.Management, synth.Parked
	unknown := []fault.Code{fault.ProcessorParked}
	nobody := []fault.Code{fault.ProcessorParked, fault.NoRegisters}
	one := []windows.Registers{none, live, live}
	all := []windows.Registers{none, none, none, none}
	first := shown{1, windows.ChoiceFirst, one, systemBase, unknown, "opens on processor 1, the first that Windows runs"}
	nowhere := shown{-1, windows.ChoiceNone, all, systemBase, nobody, "opens on no processor: no registers in this dump"}
	for name, c := range map[string]struct {
		cpus   []synth.Mode
		shadow bool
		want   shown
		modes  string
	}{
		"CPU 0 in the hypervisor":             {modes(hv, kernel, process), false, first, "hypervisor kernel kernel"},
		"CPU 0 in the hypervisor, KVA shadow": {modes(hv, user, user), true, first, "hypervisor user user"},
		"CPU 0 in VTL1":                       {modes(vtl1, kernel, process), false, first, "vtl1 kernel kernel"},
		"CPU 0 in VTL1, KVA shadow":           {modes(vtl1, user, kernel), true, shown{2, windows.ChoiceFirst, one, systemBase, unknown, "the first whose own page tables lead to the kernel"}, "vtl1 user kernel"},
		"CPU 0 in reset":                      {modes(parked, kernel, process), false, first, "reset kernel kernel"},
		"CPU 0 in SMM":                        {modes(smm, kernel, process), false, first, "smm kernel kernel"},
		"CPU 0 in firmware":                   {modes(fw, kernel, process), false, first, "firmware kernel kernel"},
		"all in the hypervisor":               {modes(hv, hv, hv, hv), false, nowhere, "hypervisor hypervisor hypervisor hypervisor"},
		"all in firmware":                     {modes(fw, fw, fw, fw), false, nowhere, "firmware firmware firmware firmware"},
		"all in SMM and reset":                {modes(smm, parked, parked, smm), false, nowhere, "smm reset reset smm"},
	} {
		for _, l := range layouts(t) {
			t.Run(fmt.Sprintf("%s/%d", name, l.Build), func(t *testing.T) {
				o := synth.Options{Tables: l, CPUs: c.cpus, Encoded: true}
				if c.shadow {
					o.KVAShadow = l.KernelDTB()
				}
				b := synth.Guest(o)
				k, im, d := wantShown(t, b, dmp.Options{}, c.want)
				if got := strings.Trim(fmt.Sprint(k.Modes), "[]"); got != c.modes {
					t.Errorf("modes %s, want %s", got, c.modes)
				}
				// The place is where the thread was switched away from last.
				_, record := d.Context(0)
				if rip := binary.LittleEndian.Uint64(record[0xf8:]); rip != b.KernelBase+uint64(b.Symbols["KiSwapContext"])+0x76 {
					t.Errorf("rip %#x", rip)
				}
				listed := false
				for _, p := range im.Patches {
					listed = listed || p.What == "minimal context of processor 0"
				}
				if !listed {
					t.Errorf("the minimal record is not listed: %v", im.Patches)
				}
				if c.want.opens < 0 && !bytes.Equal(d.Header[0x348:0xf00], make([]byte, 0xf00-0x348)) {
					t.Error("the header's context is not zero")
				}
			})
		}
	}
}

// TestGuestRecord: where no CPU of the core runs Windows, the dump opens with
// what Windows recorded: of the crasher, else of processor 0.
func TestGuestRecord(t *testing.T) {
	l := layout19041(t)
	nobody := []fault.Code{fault.ProcessorParked, fault.NoRegisters}
	hv := modes(synth.Hypervisor, synth.Hypervisor, synth.Hypervisor)
	saved := func(g *synth.Editor) {
		g.SaveRecord(0, synth.Saved{Flags: 0x10001f, RIP: g.Sym("PoIdle"), RSP: g.Stack(0) + 0x5000, CS: 0x10, CR3: uint64(g.Truth.ProcessDTB)})
	}
	wantShown(t, synth.Guest(synth.Options{Tables: l, CPUs: hv, Edit: saved}), dmp.Options{},
		shown{0, windows.ChoiceGuestRecord, []windows.Registers{record, none, none}, processBase, nobody, "as Windows recorded it last"})
	wantShown(t, synth.Guest(synth.Options{Tables: l, CPUs: hv, BugCheckCPU: 1,
		BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true}}), dmp.Options{},
		shown{1, windows.ChoiceRecord, []windows.Registers{record, record, record}, systemBase, nobody, "opens on processor 1, which called KeBugCheckEx"})
}

// TestNoNotes: a core without CPU notes, of kernels with and without a pointer to
// the context records.
func TestNoNotes(t *testing.T) {
	crash := synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true}
	kept := []windows.Registers{record, record, record}
	all := []windows.Registers{none, none, none}
	nobody := []fault.Code{fault.NoRegisters}
	for name, c := range map[string]struct {
		size  uint32
		check *synth.BugCheck
		want  shown
	}{
		"0x380, alive":   {0x380, nil, shown{-1, windows.ChoiceNone, all, systemBase, nobody, "no registers in this dump"}},
		"0x318, alive":   {0x318, nil, shown{-1, windows.ChoiceNone, all, systemBase, nobody, "no registers in this dump"}},
		"0x380, crashed": {0x380, &crash, shown{1, windows.ChoiceRecord, kept, processBase, nobody, "which called KeBugCheckEx"}},
		"0x318, crashed": {0x318, &crash, shown{1, windows.ChoiceRecord, kept, processBase, nobody, "which called KeBugCheckEx"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(synth.Options{CPUs: modes(kernel, process, user), KDBGSize: c.size, BugCheck: c.check, BugCheckCPU: 1, Edit: func(g *synth.Editor) {
				// Only the list of processors says how many there are.
				g.Write32(0xfffff78000000000+0x3c0, 0)
			}})
			e := b.ELF
			e.NoState, e.NoStatus = true, true
			b.Core = synth.WriteELF(e)
			k, im, d := wantShown(t, b, dmp.Options{}, c.want)
			if n := d.U32(0x34); n != 3 {
				t.Errorf("%d processors", n)
			}
			for _, w := range append(k.Warnings, im.Warnings...) {
				if w.Code == fault.NoRegisters && !strings.HasPrefix(w.Text, "no registers in this dump: the core holds no CPU notes") {
					t.Error(w.Text)
				}
			}
		})
	}
}

// TestNullRecord: a processor without a place for its record costs the others
// nothing, and its registers can still be in the header.
func TestNullRecord(t *testing.T) {
	b := synth.Guest(synth.Options{Tables: layout19041(t), CPUs: modes(kernel, process), NoContext: []int{0}})
	_, im, _ := convert(t, b.Core, nil, dmp.Options{})
	if len(im.Warnings) != 0 || im.Shown[0].Context != 0 || !im.Shown[0].Opens || im.Shown[0].From != live || im.Shown[1].From != live {
		t.Errorf("%+v, warnings %v", im.Shown, im.Warnings)
	}
	wantShown(t, b, dmp.Options{}, shown{0, windows.ChoiceFirst, []windows.Registers{live, live}, systemBase, []fault.Code{fault.ContextUnreadable}, ""})
}

// TestStrangersWithOneSign: the secure kernel is known by its image or by its
// shared page; what has neither is the hypervisor.
func TestStrangersWithOneSign(t *testing.T) {
	for name, c := range map[string]struct {
		cpu  synth.Mode
		edit func(g *synth.Editor)
		want windows.Mode
	}{
		"image alone":       {synth.Secure, func(g *synth.Editor) { g.UnmapOther(synth.InVTL1, 0xfffff78000000000) }, windows.ModeVTL1},
		"shared page alone": {synth.Secure, func(g *synth.Editor) { g.UnmapOther(synth.InVTL1, synth.OtherBase(synth.InVTL1)) }, windows.ModeVTL1},
		"nothing":           {synth.Hypervisor, func(g *synth.Editor) { g.UnmapOther(synth.InHypervisor, synth.OtherBase(synth.InHypervisor)) }, windows.ModeHypervisor},
	} {
		b := synth.Guest(synth.Options{Tables: layout19041(t), CPUs: modes(c.cpu, kernel), Edit: c.edit})
		if k, _, _ := convert(t, b.Core, nil, dmp.Options{}); k.Modes[0] != c.want {
			t.Errorf("%s: %s", name, k.Modes[0])
		}
	}
}

// TestRegionOfTwo: of two CPUs that name one control region, the one with its
// descriptor tables runs it.
func TestRegionOfTwo(t *testing.T) {
	b := synth.Guest(synth.Options{Tables: layout19041(t), CPUs: modes(kernel, kernel, process), Edit: func(g *synth.Editor) {
		c := g.CPUs()
		c[0].State.Set(cpu.GSBase, c[1].State.Get(cpu.GSBase))
	}})
	k, im, _ := convert(t, b.Core, nil, dmp.Options{})
	if p := k.Processors; p[0].CPU != -1 || p[1].CPU != 1 || p[2].CPU != 2 || im.Shown[0].Opens {
		t.Errorf("%+v", p)
	}
	wantWarnings(t, k.Warnings, []fault.Code{fault.ProcessorParked})
}
