package elfcore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/core/words"
)

func open(data []byte) (*machine.Machine, error) {
	return elfcore.Open(context.Background(), synth.Source(data), machine.Options{})
}

func mustOpen(t *testing.T, e synth.ELF) *machine.Machine {
	t.Helper()
	m, err := open(synth.WriteELF(e))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// cpus makes n CPUs of which no two registers are equal.
func cpus(n int) []machine.CPU {
	list := make([]machine.CPU, n)
	for i := range list {
		s, next := cpu.New(cpu.X64), uint64(i+1)<<32
		for _, r := range append(cpu.General, cpu.RIP, cpu.RFLAGS, cpu.CR0, cpu.CR2, cpu.CR3, cpu.CR4, cpu.KernelGSBase, cpu.OrigAX) {
			next += 0x1111
			s.Set(r, next)
		}
		for _, r := range []cpu.Reg{cpu.CS, cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS, cpu.LDT, cpu.TR, cpu.GDT, cpu.IDT} {
			next += 0x1111
			s.SetSegment(r, cpu.Segment{Selector: uint32(next), Limit: uint32(next + 1), Flags: uint32(next + 2), Base: next + 3})
		}
		list[i] = machine.CPU{Index: i, PID: uint32(i + 1), State: s}
	}
	return list
}

func pages(pa mem.PA, n int) synth.Load {
	return synth.Load{PA: pa, Data: synth.Noise(uint64(pa), n*mem.PageSize)}
}

func codes(m *machine.Machine) string {
	var list []string
	for _, w := range m.Warnings {
		list = append(list, string(w.Code))
	}
	return strings.Join(list, " ")
}

// holds checks that memory at pa is p.
func holds(t *testing.T, m *machine.Machine, pa mem.PA, p []byte) {
	t.Helper()
	got := make([]byte, len(p))
	if err := m.Mem.ReadAt(got, pa); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, p) {
		t.Fatalf("wrong bytes at %v", pa)
	}
}

func TestWhereThingsAreDoesNotMatter(t *testing.T) {
	base := synth.ELF{Loads: []synth.Load{pages(0x1000, 2), pages(0x10000, 1), pages(0x8000, 1)}, CPUs: cpus(3)}
	for name, change := range map[string]func(*synth.ELF){
		"as QEMU":         func(*synth.ELF) {},
		"note in between": func(e *synth.ELF) { e.NotePosition = 2 },
		"note last":       func(e *synth.ELF) { e.NotePosition = 3 },
		"notes split":     func(e *synth.ELF) { e.SplitNotes = true; e.NotePosition = 1 },
		"headers behind":  func(e *synth.ELF) { e.HeadersBehind = true },
		"odd offsets":     func(e *synth.ELF) { e.Gap = 1 },
		"longer headers":  func(e *synth.ELF) { e.HeaderStride = 72 },
		"extended count":  func(e *synth.ELF) { e.Extended = true },
		"null headers":    func(e *synth.ELF) { e.Nulls = 70_000 },
		"version byte 0":  func(e *synth.ELF) { e.ZeroVersion = true },
	} {
		t.Run(name, func(t *testing.T) {
			e := base
			change(&e)
			m := mustOpen(t, e)
			if !reflect.DeepEqual(m.CPUs, base.CPUs) {
				t.Errorf("CPUs %+v", m.CPUs)
			}
			for i, l := range e.Loads {
				holds(t, m, l.PA, l.Data)
				if m.ELF.Loads[i].Start != l.PA || m.ELF.Loads[i].Bytes != uint64(len(l.Data)) {
					t.Errorf("block %d is %v", i, m.ELF.Loads[i])
				}
			}
			if len(m.ELF.Loads) != 3 || len(m.Warnings) != 0 || m.MissingEnd != 0 || m.Format != "elf" || m.Arch != cpu.X64 {
				t.Errorf("%+v", m)
			}
			if want := 4 + e.Nulls; !e.SplitNotes && m.ELF.Headers != want {
				t.Errorf("%d headers, want %d", m.ELF.Headers, want)
			}
		})
	}
}

func TestWhatLoadsHold(t *testing.T) {
	page := synth.Noise(9, mem.PageSize)
	for _, c := range []struct {
		name   string
		loads  []synth.Load
		want   []mem.Extent // offsets are not compared
		blocks int
	}{
		{"the rest of memory absent", []synth.Load{{PA: 0x1000, Data: page, MemSize: 0x9000}}, []mem.Extent{{Start: 0x1000, Bytes: 0x1000}}, 1},
		{"not in the file", []synth.Load{{PA: 0x1000, Data: page}, {PA: 0x8000, NotInFile: true, MemSize: 0x1000}}, []mem.Extent{{Start: 0x1000, Bytes: 0x1000}}, 1},
		{"part of a page", []synth.Load{{PA: 0xfed40080, Data: page[:0xf80]}}, []mem.Extent{{Start: 0xfed40080, Bytes: 0xf80}}, 1},
		{"the same bytes twice", []synth.Load{{PA: 0x1000, VA: 1, Data: page}, {PA: 0x1000, VA: 2, Data: page, Share: 1}}, []mem.Extent{{Start: 0x1000, Bytes: 0x1000}}, 2},
		{"overlap", []synth.Load{{PA: 0x1000, Data: page}, {PA: 0x1800, Data: page}}, []mem.Extent{{Start: 0x1000, Bytes: 0x1000}, {Start: 0x2000, Bytes: 0x800}}, 2},
		{"file size above memory size", []synth.Load{{PA: 0x1000, Data: page, MemSize: 0x10}}, []mem.Extent{{Start: 0x1000, Bytes: 0x1000}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustOpen(t, synth.ELF{Loads: c.loads, CPUs: cpus(1)})
			got := m.Mem.Extents()
			if len(got) != len(c.want) || len(m.ELF.Loads) != c.blocks {
				t.Fatalf("%v, %d blocks", got, len(m.ELF.Loads))
			}
			for i := range got {
				if got[i].Start != c.want[i].Start || got[i].Bytes != c.want[i].Bytes {
					t.Errorf("%v", got)
				}
			}
			holds(t, m, c.loads[0].PA, c.loads[0].Data)
			var b [1]byte
			if err := m.Mem.ReadAt(b[:], 0x9000); !errors.Is(err, mem.ErrHole) {
				t.Errorf("reading what is not there: %v", err)
			}
			if codes(m) != "" {
				t.Error(codes(m))
			}
		})
	}
}

// TestAllOnesIsNowhere: QEMU gives memory that it did not dump the offset of all
// ones; whatever size stands beside it, nothing is missing at the file's end.
func TestAllOnesIsNowhere(t *testing.T) {
	data := synth.WriteELF(synth.ELF{CPUs: cpus(1), Loads: []synth.Load{
		{PA: 0x1000, Data: synth.Noise(9, mem.PageSize)}, {PA: 0x8000, NotInFile: true, MemSize: 0x1000}}})
	at := bytes.Index(data, bytes.Repeat([]byte{0xff}, 8)) // p_offset
	binary.LittleEndian.PutUint64(data[at+24:], 0x1000)    // p_filesz
	m, err := open(data)
	if err != nil || len(m.ELF.Loads) != 1 || m.MissingEnd != 0 || codes(m) != "" {
		t.Fatal(err, m)
	}
}

func TestTheFirstOfOverlappingLoadsWins(t *testing.T) {
	a, b := synth.Noise(1, 0x2000), synth.Noise(2, 0x3000)
	m := mustOpen(t, synth.ELF{Loads: []synth.Load{{PA: 0x2000, Data: a}, {PA: 0x1000, Data: b}}})
	holds(t, m, 0x2000, a)
	holds(t, m, 0x1000, b[:0x1000])
}

func TestTruncatedTail(t *testing.T) {
	e := synth.ELF{Loads: []synth.Load{pages(0x1000, 2), pages(0x10000, 2), pages(0x20000, 1)}, CPUs: cpus(1)}
	whole := len(synth.WriteELF(e))
	e.Truncate = 0x1800
	m := mustOpen(t, e)
	if m.MissingEnd != 0x1800 || codes(m) != "truncated" || len(m.ELF.Loads) != 2 || m.ELF.Loads[1].Bytes != 0x1800 {
		t.Fatalf("%+v", m)
	}
	want := fmt.Sprintf("the file ends 6.1 kB early: expected %s, have %s; 6144 bytes of memory are missing, 30 %%", words.Bytes(int64(whole)), words.Bytes(int64(whole)-0x1800))
	if m.Warnings[0].Text != want {
		t.Errorf("%q, want %q", m.Warnings[0].Text, want)
	}
	holds(t, m, 0x10000, e.Loads[1].Data[:0x1800])
	e.Truncate = 5 * mem.PageSize
	if _, err := open(synth.WriteELF(e)); !fault.Is(err, fault.NoMemory) || !strings.Contains(err.Error(), "20 kB early") {
		t.Error(err)
	}
}

func TestHostileSizesOfLoads(t *testing.T) {
	m := mustOpen(t, synth.ELF{CPUs: cpus(1), Loads: []synth.Load{
		pages(0x1000, 1),
		{PA: 0x8000, Data: make([]byte, 16), FileSize: 1<<64 - 0x9000},
		{PA: 1<<64 - 8, Data: make([]byte, 16)},
		{PA: 0x5000, Data: make([]byte, 16), Offset: 1<<64 - 2},
	}})
	if len(m.ELF.Loads) != 1 || codes(m) != "truncated damaged-header" || m.MissingEnd <= 0 {
		t.Fatalf("%+v", m)
	}
	// Beyond 52 bits nothing is memory, and a core of nothing else has none.
	m = mustOpen(t, synth.ELF{CPUs: cpus(1), Loads: []synth.Load{pages(0x1000, 1), pages(1<<52, 1), pages(1<<52-0x1000, 1)}})
	if len(m.ELF.Loads) != 2 || codes(m) != "damaged-header" || !strings.Contains(m.Warnings[0].Text, "1 program headers") {
		t.Fatalf("%+v", m)
	}
	if _, err := open(synth.WriteELF(synth.ELF{CPUs: cpus(1), Loads: []synth.Load{pages(1<<52, 1)}})); !fault.Is(err, fault.DamagedHeader) || !strings.Contains(err.Error(), "no processor can address") {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	good := func() []byte { return synth.WriteELF(synth.ELF{Loads: []synth.Load{pages(0x1000, 1)}, CPUs: cpus(1)}) }
	patch := func(at int, p ...byte) []byte { d := good(); copy(d[at:], p); return d }
	for _, c := range []struct {
		name string
		data []byte
		code fault.Code
		text string
	}{
		{"ARM64", synth.WriteELF(synth.ELF{Machine: 183}), fault.UnsupportedCPU, "ARM64"},
		{"big endian", patch(5, 2), fault.UnsupportedCPU, "big-endian"},
		{"program", synth.WriteELF(synth.ELF{Type: 2}), fault.OtherFormat, "vmlinux"},
		{"class", patch(4, 7), fault.DamagedHeader, "damaged"},
		{"no headers", patch(0x38, 0, 0), fault.DamagedHeader, "no program headers"},
		{"short headers", patch(0x36, 8, 0), fault.DamagedHeader, "of 8 bytes"},
		{"headers outside", patch(0x20, 0xff, 0xff, 0xff), fault.DamagedHeader, "inside its program headers"},
		{"headers far outside", patch(0x20, 0, 0, 0, 0, 0, 0, 0, 0xff), fault.DamagedHeader, "inside its program headers"},
		{"too many headers", patch(0x38, 0xf0, 0xff), fault.DamagedHeader, "65520"},
		{"count outside", func() []byte { d := patch(0x38, 0xff, 0xff); d[0x2f] = 0x7f; return d }(), fault.DamagedHeader, "section header"},
		{"count in a damaged section header", func() []byte { d := patch(0x38, 0xff, 0xff); d[0x3a] = 8; return d }(), fault.DamagedHeader, "section headers of 8"},
		{"hostile extended count", func() []byte {
			d := synth.WriteELF(synth.ELF{Extended: true, Loads: []synth.Load{pages(0x1000, 1)}})
			copy(d[64+0x2c:], "\xff\xff\xff\xff")
			return d
		}(), fault.DamagedHeader, "4294967295"},
		{"no memory", synth.WriteELF(synth.ELF{CPUs: cpus(1)}), fault.NoMemory, ""},
	} {
		m, err := open(c.data)
		if m != nil || !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Another monitor's core is left to an opener of its own.
	virtualBox := synth.WriteELF(synth.ELF{ZeroVersion: true, Loads: []synth.Load{pages(0x1000, 1)}, RawNotes: append(
		append([]byte{6, 0, 0, 0, 24, 0, 0, 0, 0, 0x0b, 0, 0}, "VBCORE\x00\x00"...), make([]byte, 24)...)})
	for _, s := range []string{string(virtualBox), "", "\x7f", "\x7fEL", "MZ", strings.Repeat("x", 100)} {
		if _, err := open([]byte(s)); !errors.Is(err, machine.ErrNotMine) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestEveryTruncationOfTheHeaders(t *testing.T) {
	for _, e := range []synth.ELF{
		{Loads: []synth.Load{pages(0x1000, 1)}, CPUs: cpus(2), Guest: []machine.Note{{Name: "VMCOREINFO", Desc: []byte("x=1\n")}}},
		{Loads: []synth.Load{pages(0x1000, 1)}, CPUs: cpus(1), Extended: true, SplitNotes: true},
		{Loads: []synth.Load{pages(0x1000, 1)}, CPUs: cpus(1), HeadersBehind: true},
	} {
		data := synth.WriteELF(e)
		headers := len(data) - mem.PageSize
		for n := 0; n < len(data); n++ {
			m, err := open(data[:n])
			if e.HeadersBehind || n <= headers {
				if err == nil {
					t.Fatalf("%d of %d bytes: opened", n, len(data))
				}
				var f *fault.Error
				if !errors.Is(err, machine.ErrNotMine) && !errors.As(err, &f) {
					t.Fatalf("%d bytes: %v", n, err)
				}
				continue
			}
			if err != nil || m.MissingEnd != int64(len(data)-n) || !strings.Contains(codes(m), "truncated") {
				t.Fatalf("%d bytes: %v %v", n, m, err)
			}
		}
	}
}

func TestManyHeaders(t *testing.T) {
	loads := synth.Shuffle(synth.Fragments(5000, 0x100000), 3)
	m := mustOpen(t, synth.ELF{Loads: loads, Nulls: 61_000, CPUs: cpus(1)})
	if m.ELF.Headers != 66_001 || len(m.Mem.Extents()) != 5000 || m.ELF.Loads[0].Start != loads[0].PA {
		t.Fatalf("%d headers, %d extents", m.ELF.Headers, len(m.Mem.Extents()))
	}
	holds(t, m, loads[4321].PA, loads[4321].Data)

	// A million headers, all for one page: read in chunks, the context is asked.
	page := synth.Noise(1, mem.PageSize)
	many := make([]synth.Load, 1_000_000)
	many[0] = synth.Load{PA: 0x1000, Data: page}
	for i := 1; i < len(many); i++ {
		many[i] = synth.Load{PA: 0x1000, VA: uint64(i) << 12, Data: page, Share: 1}
	}
	src := &watched{data: synth.WriteELF(synth.ELF{Loads: many, CPUs: cpus(1)})}
	source := source.Source{ReaderAt: src, Size: int64(len(src.data))}
	var last int64
	m, err := elfcore.Open(context.Background(), source, machine.Options{Sink: progress.Sink{OnProgress: func(_ string, done, _ int64) { last = done }}})
	if err != nil || len(m.Mem.Extents()) != 1 || len(m.ELF.Loads) != len(many) || last != 1_000_001 {
		t.Fatal(m, err, last)
	}
	if src.most > 1<<20 {
		t.Errorf("a read of %d bytes", src.most)
	}
	ctx, cancel := context.WithCancel(context.Background())
	src.reads, src.cancelAt, src.cancel = 0, 6, cancel
	if _, err := elfcore.Open(ctx, source, machine.Options{}); !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) || src.reads > 7 {
		t.Errorf("%v after %d reads", err, src.reads)
	}
}

// watched counts reads and can fail or cancel.
type watched struct {
	data            []byte
	reads, most     int
	cancelAt, endAt int
	cancel          func()
	fail            error
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.reads++
	w.most = max(w.most, len(p))
	if w.reads == w.cancelAt {
		w.cancel()
	}
	if w.reads == w.endAt {
		return 0, w.fail
	}
	n := copy(p, w.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestFailingReads(t *testing.T) {
	data := synth.WriteELF(synth.ELF{Loads: []synth.Load{pages(0x1000, 1)}, CPUs: cpus(1), Extended: true})
	broken := errors.New("disk on fire")
	for _, c := range []struct {
		err  error
		code fault.Code
	}{{io.EOF, fault.FileChanged}, {broken, fault.InputUnreadable}} {
		// The signature, what the file is, header, section header, program headers,
		// notes, section names.
		for at := 1; at <= 7; at++ {
			src := &watched{data: data, endAt: at, fail: c.err}
			_, err := elfcore.Open(context.Background(), source.Source{ReaderAt: src, Size: int64(len(data))}, machine.Options{})
			if !fault.Is(err, c.code) || c.err == broken && !errors.Is(err, broken) {
				t.Errorf("read %d, %v: %v", at, c.err, err)
			}
		}
	}
}
