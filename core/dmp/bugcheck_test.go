package dmp_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// layouts reads the places of real kernels, one of each build.
func layouts(t testing.TB) []*synth.Tables {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "windows", "testdata", "layouts.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := synth.ReadTables(f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// layout19041 is one of them.
func layout19041(t testing.TB) *synth.Tables {
	t.Helper()
	for _, l := range layouts(t) {
		if l.Build == 19041 {
			return l
		}
	}
	t.Fatal("no layout of build 19041")
	return nil
}

const (
	kernel, process, user, reset = synth.Kernel, synth.Process, synth.User, synth.Reset
	live, record, none           = windows.RegistersLive, windows.RegistersRecord, windows.RegistersNone
)

func modes(list ...synth.Mode) []synth.Mode { return list }

// shown is what a dump should open on.
type shown struct {
	opens int // Windows' processor; -1: none
	way   windows.Choice
	from  []windows.Registers // by processor
	// base is whose page tables the header has; systemBase: System's.
	base  func(*synth.Built) uint64
	codes []fault.Code // of the warnings
	text  string       // of the sentence
}

func systemBase(b *synth.Built) uint64  { return uint64(b.SystemDTB) }
func processBase(b *synth.Built) uint64 { return uint64(b.ProcessDTB) }

// wantShown converts a guest and compares what its dump shows with want, byte by
// byte from the guest's own truth.
func wantShown(t *testing.T, b *synth.Built, o dmp.Options, want shown) (*windows.Kernel, *dmp.Image, *dmptest.Dump) {
	t.Helper()
	k, im, d := convert(t, b.Core, nil, o)
	opens := -1
	for _, s := range im.Shown {
		if s.Opens {
			opens = s.Processor
		}
	}
	if opens != want.opens || k.Opens.Choice != want.way || !strings.Contains(im.Opens, want.text) {
		t.Errorf("%q (processor %d, %s), want %d, %s", im.Opens, opens, k.Opens.Choice, want.opens, want.way)
	}
	for _, s := range im.Shown {
		if s.From != want.from[s.Processor] {
			t.Errorf("processor %d: %s registers (%s), want %s", s.Processor, s.From, s.Why, want.from[s.Processor])
			continue
		}
		if b.Context[s.Processor] == 0 {
			continue
		}
		_, got := d.Context(s.Processor)
		wantRecord(t, b, fmt.Sprintf("processor %d", s.Processor), got, s)
		if s.Opens {
			wantRecord(t, b, "header", d.Header[0x348:], s)
			if rip := binary.LittleEndian.Uint64(d.Header[0x348+0xf8:]); d.U64(0xf10) != rip {
				t.Errorf("exception address %#x, rip %#x", d.U64(0xf10), rip)
			}
		}
	}
	if want.base != nil && d.U64(0x10) != want.base(b) {
		t.Errorf("the header's base is %#x, want %#x", d.U64(0x10), want.base(b))
	}
	wantWarnings(t, append(k.Warnings, im.Warnings...), want.codes)
	return k, im, d
}

func wantWarnings(t *testing.T, got []fault.Warning, codes []fault.Code) {
	t.Helper()
	left := map[fault.Code]int{}
	for _, c := range codes {
		left[c]++
	}
	for _, w := range got {
		if left[w.Code]--; left[w.Code] < 0 {
			t.Errorf("unexpected warning %v", w)
		}
	}
	for c, n := range left {
		if n > 0 {
			t.Errorf("no warning %s", c)
		}
	}
}

// wantRecord compares a context record in the dump with the guest's truth.
func wantRecord(t *testing.T, b *synth.Built, what string, got []byte, s dmp.Shown) {
	t.Helper()
	u64 := func(off int) uint64 { return binary.LittleEndian.Uint64(got[off:]) }
	flags := binary.LittleEndian.Uint32(got[0x30:])
	switch s.From {
	case live:
		x := b.ELF.CPUs[s.CPU].State
		if u64(0xf8) != x.Get(cpu.RIP) || u64(0x98) != x.Get(cpu.RSP) || u64(0x80) != x.Get(cpu.RCX) || flags != 0x100007 {
			t.Errorf("%s: rip %#x, flags %#x: not the CPU's registers", what, u64(0xf8), flags)
		}
	case record:
		r := b.Records[s.Processor]
		if u64(0xf8) != r.RIP || u64(0x98) != r.RSP || u64(0x80) != r.RCX || u64(0x88) != r.RDX || flags != r.Flags || flags == 0 {
			t.Errorf("%s: rip %#x, flags %#x: not what Windows recorded, %+v", what, u64(0xf8), flags, r)
		}
	case none:
		if flags != 0x100005 || binary.LittleEndian.Uint16(got[0x38:]) != 0x10 || binary.LittleEndian.Uint16(got[0x42:]) != 0x18 ||
			binary.LittleEndian.Uint16(got[0x3a:]) != 0x2b || binary.LittleEndian.Uint16(got[0x3e:]) != 0x53 {
			t.Errorf("%s: flags %#x: not a minimal record", what, flags)
		}
	}
}

func edited(o synth.Options, edit func(*synth.Editor)) synth.Options {
	o.Edit = edit
	return o
}

// noExports takes the kernel's export names away, so that only the stack can say
// whether a record is a call of KeBugCheckEx.
func noExports(o synth.Options, more ...func(*synth.Editor)) synth.Options {
	o.Edit = func(g *synth.Editor) {
		g.NoExports()
		for _, edit := range more {
			edit(g)
		}
	}
	return o
}

// driverBug is a driver's access at raised IRQL, as it is called.
var driverBug = [4]uint64{0xffffe00123456780, 2, 1, 0xfffff80314a01319}

// TestBugChecks: whose registers a debugger is shown of guests in a bug check,
// on the layouts of real kernels.
func TestBugChecks(t *testing.T) {
	four := modes(kernel, kernel, process, user)
	kept := []windows.Registers{record, record, record, record}
	alive := []windows.Registers{live, live, live, live}
	crashed := func(b synth.BugCheck) synth.Options {
		return synth.Options{CPUs: four, BugCheck: &b, BugCheckCPU: 2, Encoded: true}
	}
	rewritten := func(code uint64) synth.Options {
		return crashed(synth.BugCheck{Code: code, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, InDriver: true})
	}
	called := "opens on processor 2, which called KeBugCheckEx"
	byRecord := shown{2, windows.ChoiceRecord, kept, processBase, nil, called}
	byStack := shown{2, windows.ChoiceStack, alive, processBase, nil, "whose stack holds the bug check's parameters, with its live registers"}
	for name, c := range map[string]struct {
		o    synth.Options
		want shown
	}{
		"0xd1 over 0xa": {rewritten(0xd1), byRecord}, "0xc5 over 0xa": {rewritten(0xc5), byRecord},
		"0xd3 over 0xa": {rewritten(0xd3), byRecord}, "0xd4 over 0xa": {rewritten(0xd4), byRecord},
		"0x4c": {crashed(synth.BugCheck{Code: 0xc000021a, Parameters: [4]uint64{0xffffc000a1b2c3d4, 0xc0000005, 0x7ff6, 0x12},
			Called: 0x4c, CalledWith: &[4]uint64{0xc000021a, 0xffffb00012345678, 0, 0}, Record: synth.RecordFresh, Frozen: true}), byRecord},
		"0x4c as it is": {crashed(synth.BugCheck{Code: 0x4c, Parameters: [4]uint64{0xc000021a, 2, 3, 4}, Called: 0x99, CalledWith: &[4]uint64{7, 8, 9, 10},
			Record: synth.RecordFresh, Frozen: true}), byRecord},
		"0x4c, by the stack": {crashed(synth.BugCheck{Code: 0xc000021a, Parameters: [4]uint64{0xffffc000a1b2c3d4, 0xc0000005, 0x7ff6, 0x12},
			Called: 0x4c, CalledWith: &[4]uint64{0xc000021a, 0xffffb00012345678, 0, 0}, InDriver: true}), byStack},
		"no export names KeBugCheckEx": {noExports(crashed(synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, InDriver: true})), byRecord},
		"no export, no frame": {noExports(crashed(synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, InDriver: true, NoFrame: true})),
			shown{2, windows.ChoiceOddOneOut, alive, processBase, nil, ""}},
		"no export, a rip outside the kernel": {noExports(crashed(synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Frozen: true, InDriver: true}), func(g *synth.Editor) {
			r := g.Call(2)
			r.RIP = 0xfffff90012340000
			g.SaveRecord(2, r)
		}), byStack},
		"0xe2, zero parameters":             {crashed(synth.BugCheck{Code: 0xe2, Record: synth.RecordFresh, Frozen: true, InDriver: true}), byRecord},
		"0xe2, the number alone on another": {edited(crashed(synth.BugCheck{Code: 0xe2, InDriver: true}), func(g *synth.Editor) { g.Write64(g.Stack(1)+0x5000, 0xe2) }), byStack},
		"0xe2, by the stack":                {crashed(synth.BugCheck{Code: 0xe2, InDriver: true}), byStack},
		"0x80 by NMI":                       {crashed(synth.BugCheck{Code: 0x80, Parameters: [4]uint64{0x4f4454, 0, 0, 0}, Record: synth.RecordFresh, Frozen: true}), byRecord},
		"in a dump driver, no record":       {crashed(synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, InDriver: true}), byStack},
		"record absent, the others wait":    {crashed(synth.BugCheck{Code: 0x50, Parameters: driverBug, InDriver: true, Frozen: true}), byStack},
		"record stale":                      {crashed(synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordStale, Frozen: true, InDriver: true}), byStack},
		"record, in KeBugCheckEx still":     {crashed(synth.BugCheck{Code: 0x1e, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true}), byRecord},
		"record, no frame":                  {crashed(synth.BugCheck{Code: 0x1e, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, NoFrame: true, InDriver: true}), byRecord},
		"record, the others go on, with records of another time": {edited(crashed(synth.BugCheck{Code: 0x1e, Parameters: driverBug, Record: synth.RecordFresh}), func(g *synth.Editor) {
			for _, p := range []int{0, 1, 3} {
				g.SaveRecord(p, synth.Saved{Flags: 0x10001f, RIP: g.Sym("PoIdle"), RSP: g.Stack(p) + 0x5000, CS: 0x10, CR3: uint64(g.Truth.SystemDTB)})
			}
		}), shown{2, windows.ChoiceRecord, []windows.Registers{live, live, record, live}, processBase, nil, called}},
		"record, the others go on": {crashed(synth.BugCheck{Code: 0x1e, Parameters: driverBug, Record: synth.RecordFresh}),
			shown{2, windows.ChoiceRecord, []windows.Registers{live, live, record, live}, processBase, nil, called}},
		"nothing but the odd one": {crashed(synth.BugCheck{Code: 0x1e, Parameters: driverBug, Frozen: true, NoFrame: true, InDriver: true}),
			shown{2, windows.ChoiceOddOneOut, alive, processBase, nil, "the only one that does not stand where the others wait"}},
		"nothing at all": {synth.Options{CPUs: modes(kernel, kernel), BugCheckCPU: 1, BugCheck: &synth.BugCheck{Code: 0x1e, Parameters: driverBug, Frozen: true, NoFrame: true, InDriver: true}},
			shown{0, windows.ChoiceFirst, []windows.Registers{live, live}, systemBase, nil, "nothing tells which one called KeBugCheckEx"}},
	} {
		for _, l := range layouts(t) {
			t.Run(fmt.Sprintf("%s/%d", name, l.Build), func(t *testing.T) {
				o := c.o
				o.Tables, o.Rotation = l, int(l.Build)%64
				wantShown(t, synth.Guest(o), dmp.Options{}, c.want)
			})
		}
	}
}
