package core

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// Where the built-in core's memory begins: in the file, and in the guest (its one
// load); and System's page tables.
const (
	demoLoad  = 0x790
	demoStart = 0x100000
	demoRoot  = 0x1ad000
)

// traffic counts what is read of a file: at random, and by its stream.
type traffic struct{ random, streamed int64 }

func (c *traffic) all() int64 { return c.random + c.streamed }

// watchTraffic is a source that counts, and streams as a browser's file does.
func watchTraffic(s source.Source) (source.Source, *traffic) {
	c, plain := &traffic{}, s
	s.ReaderAt = reader(func(p []byte, off int64) (int, error) {
		n, err := plain.ReadAt(p, off)
		c.random += int64(n)
		return n, err
	})
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		return plain.Scan(off, n, buf, func(p []byte) error {
			c.streamed += int64(len(p))
			return visit(p)
		})
	}
	return s, c
}

type reader func(p []byte, off int64) (int, error)

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

// withoutStates is a core whose CPU notes were lost: they have another's name.
func withoutStates(t testing.TB, core []byte) []byte {
	t.Helper()
	out := slices.Clone(core)
	head := out[:min(len(out), 64<<10)]
	if n := bytes.Count(head, []byte("QEMU\x00")); n == 0 {
		t.Fatal("the core has no CPU notes")
	}
	copy(head, bytes.ReplaceAll(head, []byte("QEMU\x00"), []byte("LOST\x00")))
	copy(head, bytes.ReplaceAll(head, []byte("CORE\x00"), []byte("LOST\x00")))
	return out
}

// linuxCore is a Linux guest without a note as a core in a file.
func linuxCore(t testing.TB, states bool) []byte {
	t.Helper()
	g := linuxtest.New(linuxtest.Config{Release: "6.1.0-test", DataSymbols: true})
	g.CPU(cpu.Values{cpu.RIP: 0xffffffff81000010, cpu.RSP: 0xffff888000201000})
	g.Tasks("init", "kthreadd")
	m := g.Machine()
	ram := make([]byte, m.Mem.Extents()[0].Bytes)
	if err := m.Mem.ReadAt(ram, 0); err != nil {
		t.Fatal(err)
	}
	e := synth.ELF{Loads: []synth.Load{{PA: 0, Data: ram}}}
	if states {
		e.CPUs = m.CPUs
	}
	return synth.WriteELF(e)
}

// TestWholeMemoryPassesStream: every pass over all of memory, of either guest,
// uses the source's stream, through every layer between; and there is one pass.
func TestWholeMemoryPassesStream(t *testing.T) {
	demo, err := demoCore()
	if err != nil {
		t.Fatal(err)
	}
	noise := slices.Clone(demo[:demoLoad])
	noise = append(noise, make([]byte, 12<<20)...)
	for name, c := range map[string]struct {
		core []byte
		code fault.Code // "": it can be converted
		part bool       // the pass ends where the kernel is found
	}{
		"Windows without CPU states": {withoutStates(t, demo), "", true},
		"Linux without CPU states":   {linuxCore(t, false), fault.IsLinux, true},
		"neither":                    {noise, fault.KernelPagedState, false},
	} {
		s, read := watchTraffic(synth.Source(c.core))
		_, err := Inspect(context.Background(), s, Options{})
		if c.code == "" && err != nil || c.code != "" && !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		size := int64(len(c.core))
		if read.streamed == 0 || !c.part && read.streamed < size-demoLoad || read.all() > size+size/10 {
			t.Errorf("%s: streamed %d, read %d at random, of %d", name, read.streamed, read.random, size)
		}
	}
}

// TestInspectReadsLittle: inspecting costs a few hundred pages, not the file.
func TestInspectReadsLittle(t *testing.T) {
	for name, c := range map[string]struct {
		s    source.Source
		code fault.Code
	}{
		"Windows": {demoSource(t), ""},
		"Linux":   {synth.Source(linuxCore(t, true)), fault.IsLinux},
	} {
		s, read := watchTraffic(c.s)
		sum, err := Inspect(context.Background(), s, Options{})
		if c.code == "" && err != nil || c.code != "" && !fault.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
		if read.streamed != 0 || read.random > 2<<20 {
			t.Errorf("%s: %d bytes read, %d streamed", name, read.random, read.streamed)
		}
		if sum.Guest.OS != strings.ToLower(name) || sum.Dump != nil {
			t.Errorf("%s: %+v", name, sum.Guest)
		}
	}
}

// TestCaseSearchesOnce: opening, a PDB that comes later, two conversions and a
// search for races read a core whose CPU states are lost once.
func TestCaseSearchesOnce(t *testing.T) {
	demo, err := demoCore()
	if err != nil {
		t.Fatal(err)
	}
	core := withoutStates(t, demo)
	s, read := watchTraffic(synth.Source(core))
	c, err := Open(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Summary(); got.Symbols.Status != "none-needed" || got.Windows.KDBG.FoundBy != "known-plaintext" || !got.Convert.Possible {
		t.Errorf("%+v %+v", got.Symbols, got.Windows.KDBG)
	}
	opened := read.streamed
	if err := c.Use(context.Background(), symbolDir{}); err != nil {
		t.Fatal(err)
	}
	if got := c.Summary(); got.Symbols.Status != "found" || got.Windows.KDBG.FoundBy != "pdb" || got.Symbols.From.Name != "test" {
		t.Errorf("%+v %+v", got.Symbols, got.Windows.KDBG)
	}
	for _, o := range []dmp.Options{{}, {Type: dmp.TypeBitmap}} {
		im, err := c.Convert(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Summary(); !got.Dump.Verified || got.Dump.Type != im.Type || got.Error != nil {
			t.Errorf("%+v, %v", got.Dump, got.Error)
		}
	}
	if _, err := c.Races(context.Background()); !fault.Is(err, fault.IsWindows) {
		t.Error(err)
	}
	if size := int64(len(core)); read.streamed != opened || read.all() > size+size/10 {
		t.Errorf("streamed %d when opened, %d at the end; read %d at random, of %d", opened, read.streamed, read.random, size)
	}
}

// TestUse: what a PDB can do to a case that is open, and what it cannot.
func TestUse(t *testing.T) {
	other := synth.Guest(synth.Options{Seed: 99, GUID: [16]byte{1, 2, 3}}).PDB()
	open := func(edit func(*synth.Options)) (*Case, *synth.Built, error) {
		b := guest(edit)
		c, err := Open(context.Background(), b.Source(), Options{})
		return c, b, err
	}
	// A PDB of another build is a warning, and the block found in memory stays.
	c, b, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Use(context.Background(), synthPDB{data: other}); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); s.Symbols.Status != "missing" || len(s.Warnings) != 1 || s.Warnings[0].Code != fault.SymbolsMismatch || s.Windows.KDBG.FoundBy != "known-plaintext" {
		t.Errorf("%+v, %v", s.Symbols, s.Warnings)
	}
	// The right one later replaces that; given twice it is the same.
	for range 2 {
		if err := c.Use(context.Background(), synthPDB{data: b.PDB()}); err != nil {
			t.Fatal(err)
		}
		if s := c.Summary(); s.Symbols.Status != "found" || len(s.Warnings) != 0 || s.Windows.KDBG.FoundBy != "pdb" || s.Error != nil {
			t.Errorf("%+v, %v", s.Symbols, s.Warnings)
		}
	}
	// A block that only the PDB leads to: no dump before, one after.
	c, b, err = open(func(o *synth.Options) { o.Edit = unprovedBlock })
	if err == nil {
		t.Fatal("the block was found without the PDB")
	}
	if s := c.Summary(); s.Convert.Possible || s.Symbols.Key == "" || s.Error == nil {
		t.Errorf("%+v", s.Convert)
	}
	if err := c.Use(context.Background(), synthPDB{data: b.PDB()}); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); !s.Convert.Possible || s.Error != nil || len(s.Convert.Types) == 0 {
		t.Errorf("%+v %v", s.Convert, s.Error)
	}
	if _, err := c.Convert(context.Background(), dmp.Options{}); err != nil {
		t.Fatal(err)
	}
	// A cancelled judgement leaves what was known.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Use(ctx, synthPDB{data: b.PDB()}); !fault.Is(err, fault.Cancelled) {
		t.Error(err)
	}
	if _, err := c.Convert(context.Background(), dmp.Options{}); err != nil {
		t.Errorf("after a cancelled judgement: %v", err)
	}
}

// unprovedBlock damages everything by which a debugger block is proved without a
// PDB: both lists, and the processor's control region.
func unprovedBlock(g *synth.Editor) {
	g.Write(g.Truth.ModuleList, make([]byte, 16))
	g.Write(g.Truth.ProcessHead, bytes.Repeat([]byte{0x11}, 16))
	for _, kpcr := range g.Truth.KPCR {
		g.Write64(kpcr+0x18, 0)
	}
}

// TestConvertAfterARefusal: a refused type of dump does not spoil the case.
func TestConvertAfterARefusal(t *testing.T) {
	b := guest(func(o *synth.Options) { o.ExtraRuns = 100 })
	c, err := Open(context.Background(), b.Source(), Options{Symbols: synthPDB{data: b.PDB()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Convert(context.Background(), dmp.Options{Compat: true}); !fault.Is(err, fault.CompatLossy) {
		t.Fatal(err)
	}
	if s := c.Summary(); s.Convert.Possible || s.Dump != nil || s.Error == nil || s.Windows == nil {
		t.Errorf("%+v", s)
	}
	if _, err := c.Convert(context.Background(), dmp.Options{}); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); !s.Convert.Possible || s.Dump == nil || s.Error != nil {
		t.Errorf("%+v", s)
	}
}

var errDisk = errors.New("the disk is broken")

// breaksAt is a source that fails to read one page from now on.
func breaksAt(s source.Source, from int64, broken *bool) source.Source {
	plain := s
	s.ReaderAt = reader(func(p []byte, off int64) (int, error) {
		if *broken && off < from+4096 && off+int64(len(p)) > from {
			return 0, errDisk
		}
		return plain.ReadAt(p, off)
	})
	return s
}

// TestBrokenFile: the guest is not blamed for a file that cannot be read, and a
// case whose file failed is not used again.
func TestBrokenFile(t *testing.T) {
	broken := true
	s := breaksAt(demoSource(t), demoLoad+demoRoot-demoStart, &broken)
	c, err := Open(context.Background(), s, Options{})
	if sum := c.Summary(); !fault.Is(err, fault.InputUnreadable) || !errors.Is(err, errDisk) || sum.Error == nil || sum.Error.Code != fault.InputUnreadable || sum.File.Format != elfcore.Format || len(sum.CPUs) != 2 {
		t.Errorf("%v, %+v", err, sum)
	}
	broken = false
	if _, err := c.Convert(context.Background(), dmp.Options{}); !fault.Is(err, fault.InputUnreadable) {
		t.Errorf("the case goes on: %v", err)
	}
	if _, err := c.Races(context.Background()); !fault.Is(err, fault.InputUnreadable) {
		t.Errorf("the case goes on: %v", err)
	}
}

// TestStreamsThatFail: a pass that does not see all of memory is the file's
// failure, not the guest's.
func TestStreamsThatFail(t *testing.T) {
	demo, err := demoCore()
	if err != nil {
		t.Fatal(err)
	}
	core := withoutStates(t, demo)
	type stream = func(off, n int64, buf []byte, visit func([]byte) error) error
	for name, c := range map[string]struct {
		stream stream
		code   fault.Code
	}{
		"ends early":     {func(_, _ int64, buf []byte, visit func([]byte) error) error { return visit(buf) }, fault.FileChanged},
		"gives too much": {func(_, n int64, buf []byte, visit func([]byte) error) error { return giveForever(buf, visit) }, fault.InputUnreadable},
		"fails midway":   {func(_, _ int64, buf []byte, visit func([]byte) error) error { return errors.Join(visit(buf), errDisk) }, fault.InputUnreadable},
	} {
		s := synth.Source(core)
		s.Stream = c.stream
		if _, err := Inspect(context.Background(), s, Options{}); !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func giveForever(buf []byte, visit func([]byte) error) error {
	for range 1 << 20 {
		if err := visit(buf); err != nil {
			return err
		}
	}
	return nil
}

// TestPanicKeepsItsStack: where something broke is in the log.
func TestPanicKeepsItsStack(t *testing.T) {
	var lines []string
	o := Options{Sink: progress.Sink{OnLine: func(line string) { lines = append(lines, line) }}}
	_, err := Open(context.Background(), source.Source{ReaderAt: panicking{}, Size: 100}, o)
	if !fault.Is(err, fault.Internal) || fault.As(err).Err == nil || !strings.Contains(fault.As(err).Text, "planted") {
		t.Error(err)
	}
	if log := strings.Join(lines, "\n"); !strings.Contains(log, "panicking.ReadAt") {
		t.Errorf("the stack is lost:\n%s", log)
	}
}

// TestKernelWithoutHeader: a dump of a guest whose kernel has lost its header page
// is written and verified, and says what is missing.
func TestKernelWithoutHeader(t *testing.T) {
	b := guest(func(o *synth.Options) { o.Edit = func(g *synth.Editor) { g.Unmap(g.Truth.KernelBase) } })
	c, err := Open(context.Background(), b.Source(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Convert(context.Background(), dmp.Options{}); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); !s.Dump.Verified || len(s.Warnings) != 1 || s.Warnings[0].Code != fault.ImageDamaged || s.Symbols.Key == "" {
		t.Errorf("verified %v, warnings %v, symbols %+v", s.Dump.Verified, s.Warnings, s.Symbols)
	}
	// A PDB that comes later is taken by the record that was found.
	if err := c.Use(context.Background(), synthPDB{data: b.PDB()}); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); s.Symbols.Status != "found" || s.Windows.KDBG.FoundBy != "pdb" || len(s.Warnings) != 1 {
		t.Errorf("%+v, warnings %v", s.Symbols, s.Warnings)
	}
}
