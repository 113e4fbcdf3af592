package linux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// flat is a piece of virtual memory.
type flat struct {
	base uint64
	data []byte
}

var errFlat = errors.New("not in this memory")

func (f flat) ReadAt(p []byte, va mem.VA) error {
	off := uint64(va) - f.base
	if off > uint64(len(f.data)) || uint64(len(p)) > uint64(len(f.data))-off {
		return errFlat
	}
	copy(p, f.data[off:])
	return nil
}

// smallGuest is a guest with a few functions, tasks and a log.
func smallGuest(c linuxtest.Config) *linuxtest.Guest {
	g := linuxtest.New(c)
	g.Func("alpha", []byte{0x90})
	g.Func(strings.Repeat("long_name_", 25), []byte{0x90}) // its length takes two bytes
	g.Tasks("init", "kthreadd", "worker")
	g.Log([]linuxtest.Record{{Seq: 5, Time: 1500, Level: 3, Caller: 42, Text: "hello"}})
	perCPU := g.CPU(nil)
	_ = perCPU
	return g
}

// tableForms are the forms of symbol tables that kernels have, and mixtures.
func tableForms() []linuxtest.Config {
	var out []linuxtest.Config
	for _, order := range linuxtest.Orders() {
		for _, words := range []linuxtest.Words{linuxtest.FromBase, linuxtest.FromSelf, linuxtest.Addresses} {
			for _, align := range []int{4, 8} {
				for lengths := 1; lengths <= 2; lengths++ {
					out = append(out, linuxtest.Config{Table: order, Words: words, Align: align, Lengths: lengths})
					if words == linuxtest.FromBase {
						out = append(out, linuxtest.Config{Table: order, Plain: true, Align: align, Lengths: lengths})
					}
				}
			}
		}
	}
	return out
}

// TestKallsymsForms reads every form of symbol table in every way.
func TestKallsymsForms(t *testing.T) {
	for _, form := range tableForms() {
		for _, keys := range []bool{false, true} {
			for _, data := range []bool{false, true} {
				form.Release, form.Slide, form.Note, form.Keys, form.DataSymbols = "6.1.0", 0x1e00000, true, keys, data
				k, err := Locate(context.Background(), smallGuest(form).Machine(), Options{})
				if err != nil {
					t.Errorf("%+v: %v", form, err)
					continue
				}
				from := "scan"
				if keys {
					from = "keys"
				}
				alpha, _ := k.Symbols.Lookup("alpha")
				s, module, ok := k.Resolve(alpha + 5)
				_, long := k.Symbols.Lookup(strings.Repeat("long_name_", 25))
				if k.SymbolsFrom != from || !ok || module != "" || s.Name != "alpha" || s.Addr != alpha || s.Size == 0 || !long || k.Slide != 0x1e00000 {
					t.Errorf("%+v: from %q, %+v %v, long name %v, slide %#x", form, k.SymbolsFrom, s, ok, long, k.Slide)
				}
				if !form.Plain && form.Words != linuxtest.FromSelf {
					if a, ok := k.Symbols.Lookup("current_task"); !ok || a != 0x40 {
						t.Errorf("%+v: per-CPU symbol at %#x", form, a)
					}
				}
			}
		}
	}
}

// TestWays finds the same kernel by note, memory and CPU state, with 4 and 5
// levels, and says so when there is none.
func TestWays(t *testing.T) {
	for _, c := range []linuxtest.Config{
		{Note: true, Keys: true, DataSymbols: true}, {DataSymbols: true}, {DataSymbols: true, LA57: true}, {}, {NoInfo: true}, {NoInfo: true, DataSymbols: true, LA57: true}, {NoNX: true},
	} {
		c.Release = "5.9.1"
		g := smallGuest(c)
		k, err := Locate(context.Background(), g.Machine(), Options{})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if k.Release != "5.9.1" || k.Version != "#1 SMP today" || !strings.HasPrefix(k.Banner, "Linux version 5.9.1 ") {
			t.Errorf("%+v: %q %q %q", c, k.Release, k.Version, k.Banner)
		}
		if s := NewSearch(k.Machine, Options{}); s.Quick() == c.NoNX || !c.NoNX && s.Release() != "5.9.1" || !s.Image() {
			t.Errorf("%+v: told by what costs little: %q", c, s.Release())
		}
		from := "memory"
		if c.Note {
			from = "note"
		} else if c.NoInfo {
			from = ""
		}
		if k.InfoFrom != from {
			t.Errorf("%+v: vmcoreinfo from %q, want %q", c, k.InfoFrom, from)
		}
		tasks, whole, err := k.Tasks()
		if err != nil || !whole || len(tasks) != 3 || tasks[2].Comm != "worker" || tasks[2].PID != 3 {
			t.Errorf("%+v: tasks %+v %v %v", c, tasks, whole, err)
		}
		n := 0
		err = k.Log(context.Background(), func(r Record) bool { n++; return r.Text == "hello" })
		if c.NoInfo && !c.DataSymbols {
			if !fault.Is(err, fault.LogDamaged) {
				t.Errorf("%+v: a log without a way to it: %v", c, err)
			}
		} else if err != nil || n != 1 {
			t.Errorf("%+v: %d records, %v", c, n, err)
		}
	}
	empty, err := mem.NewFile(source.Source{ReaderAt: strings.NewReader(strings.Repeat("\x00", 1<<20)), Size: 1 << 20}, []mem.Extent{{Bytes: 1 << 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Locate(context.Background(), &machine.Machine{Mem: empty}, Options{}); !fault.Is(err, fault.LinuxUnreachable) {
		t.Errorf("no kernel: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Locate(ctx, &machine.Machine{Mem: empty}, Options{}); !fault.Is(err, fault.Cancelled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestNoteDisagrees: a note that memory contradicts is not used.
func TestNoteDisagrees(t *testing.T) {
	g := smallGuest(linuxtest.Config{Release: "5.9.1", Note: true, DataSymbols: true})
	m := g.Machine()
	m.Guest[0].Desc = []byte(strings.Replace(string(m.Guest[0].Desc), "NUMBER(phys_base)=0", "NUMBER(phys_base)=8192", 1))
	k, err := Locate(context.Background(), m, Options{})
	if err != nil || k.InfoFrom != "memory" || len(k.Warnings) == 0 {
		t.Errorf("%v, %+v", err, k)
	}
}

// TestHostileLists: lists that do not end, or leave memory, are cut.
func TestHostileLists(t *testing.T) {
	g := linuxtest.New(linuxtest.Config{Release: "5.9.1", DataSymbols: true})
	tasks := g.Tasks("init", "kthreadd", "a", "b")
	g.Poke64(tasks[3]+linuxtest.TaskTasks, tasks[2]+linuxtest.TaskTasks) // b -> a
	modules := g.Data("modules", 16)
	mod := g.Heap(4096)
	g.Poke64(modules, mod+8)
	g.Poke64(mod+8, mod+8)
	g.Poke(mod+24, []byte("evil\x00"))
	g.CPU(nil)
	k, err := Locate(context.Background(), g.Machine(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	list, whole, err := k.Tasks()
	if err != nil || whole || len(list) != 4 {
		t.Errorf("tasks %+v %v %v", list, whole, err)
	}
	if len(k.Modules) != 1 || k.Modules[0].Name != "evil" || len(k.Warnings) == 0 {
		t.Errorf("modules %+v, warnings %v", k.Modules, k.Warnings)
	}
}

// TestRing reads a ring whose ids and positions wrap, with empty, overwritten
// and two-line records.
func TestRing(t *testing.T) {
	const at = 0xffffffff82000000
	for _, id := range []uint64{1, 0xfffffffe, 1<<62 - 3} {
		var in []linuxtest.Record
		for i := range 16 {
			r := linuxtest.Record{Seq: uint64(100 + i), Time: uint64(i) * 1e6, Level: uint8(i % 8), Caller: uint32(i) | uint32(i%2)<<31}
			switch i % 4 {
			case 0:
				r.Text = strings.Repeat("x", 40+i)
			case 1:
				r.Text = "  |\n  +-> reordered"
			case 3:
				r.Text, r.Lost = "lost", true
			}
			in = append(in, r)
		}
		r, err := openRing(view{flat{at, linuxtest.Ring(at, 4, 10, id, ^uint64(0)-199, in)}}, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []Record
		if err := r.each(context.Background(), func(rec Record) bool { got = append(got, rec); return true }); err != nil {
			t.Fatal(err)
		}
		in = slices.DeleteFunc(in, func(r linuxtest.Record) bool { return r.Lost })
		if len(got) != len(in) {
			t.Fatalf("first id %#x: %d records, want %d", id, len(got), len(in))
		}
		for i, w := range in {
			g := got[i]
			if g.Seq != w.Seq || g.Time != w.Time || g.Level != w.Level || g.Caller != w.Caller || g.Text != w.Text {
				t.Errorf("first id %#x: record %d is %+v, want %+v", id, i, g, w)
			}
		}
	}
	if got := (Record{Time: 1234567891, Text: "a\nb"}).Dmesg(); got != "[    1.234567] a\n               b\n" {
		t.Errorf("%q", got)
	}
	if got := (Record{Caller: 1<<31 | 3}).CallerName() + (Record{Caller: 42}).CallerName(); got != "C3T42" {
		t.Errorf("%q", got)
	}
}

// TestTruncated cuts every input short at every length: nothing may panic, and
// nothing shorter than needed may be believed.
func TestTruncated(t *testing.T) {
	var symbols []linuxtest.Symbol
	for i := range 70 {
		symbols = append(symbols, linuxtest.Symbol{Name: fmt.Sprintf("symbol_%d", i), Kind: 'T', Addr: 0xffffffff81000000 + uint64(i)*16})
	}
	for _, order := range []linuxtest.Order{linuxtest.OrderFirst, linuxtest.OrderSeqs, linuxtest.OrderLast} {
		whole, pieces := linuxtest.Table{Order: order, Base: 0xffffffff81000000, Lengths: 2}.Encode(symbols)
		need := max(pieces.TokenIndex+indexBytes, pieces.RelativeBase+8)
		for n := range len(whole) + 1 {
			k, ok := findKallsyms(whole[:n], kernelMap)
			if ok != (n >= need) {
				t.Fatalf("order %d: %d of %d bytes: %v", order, n, len(whole), ok)
			}
			if ok {
				if s, err := k.decode(0); err != nil || s.Len() != len(symbols) || s.Symbol(69).Name != "symbol_69" || s.Symbol(69).Addr != symbols[69].Addr {
					t.Fatalf("order %d: %v", order, err)
				}
			}
		}
	}
	const at = 0xffffffff82000000
	ring := linuxtest.Ring(at, 2, 6, 0, 0, []linuxtest.Record{{Text: "one"}, {Text: ""}, {Text: "three"}})
	for n := range len(ring) {
		if r, err := openRing(view{flat{at, ring[:n]}}, at, nil); err == nil {
			if err := r.each(context.Background(), func(Record) bool { return true }); err != nil {
				t.Fatal(err)
			}
		} else if n >= linuxtest.RingBytes {
			t.Errorf("a ring of %d bytes is refused: %v", n, err)
		}
	}
	info := "OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-4096\n"
	for n := range len(info) {
		v, err := ParseVMCoreInfo([]byte(info[:n]))
		if (err == nil) != (n > len("OSRELEASE=")) {
			t.Errorf("%q: %v, %v", info[:n], v, err)
		}
	}
}

func TestParseVMCoreInfo(t *testing.T) {
	v, err := ParseVMCoreInfo([]byte("junk\n=x\nOSRELEASE=6.1.0\nOSRELEASE=other\nNUMBER(phys_base)=-4096\nOFFSET(a.b)=12\nOFFSET(a.c)=99999999999\nSIZE(a)=-1\nKERNELOFFSET=1f00000\n\x00CRASHTIME=1"))
	if err != nil {
		t.Fatal(err)
	}
	n, ok := v.Number("phys_base")
	off, ok2 := v.KernelOffset()
	if v.Release() != "6.1.0" || !ok || n != -4096 || !ok2 || off != 0x1f00000 || v.Value("CRASHTIME") != "" ||
		v.Offset("a.b", 1) != 12 || v.Offset("a.c", 7) != 7 || v.Size("a", 5) != 5 || v.Offset("none", 3) != 3 {
		t.Errorf("%+v", v)
	}
	var none *VMCoreInfo
	if _, ok := none.Symbol("x"); ok || none.Keys() != 0 || none.Release() != "" {
		t.Error("nothing says something")
	}
	if _, err := ParseVMCoreInfo(nil); !errors.Is(err, ErrNoVMCoreInfo) {
		t.Errorf("%v", err)
	}
}

// countingZeros is a source of zeros behind a guest, which counts what is read.
type countingZeros struct {
	mem.Physical
	end  mem.PA
	read int64
}

func (c *countingZeros) ReadAt(p []byte, pa mem.PA) error {
	c.read += int64(len(p))
	if pa >= c.Physical.Extents()[0].End() {
		clear(p)
		return nil
	}
	return c.Physical.ReadAt(p, pa)
}

func (c *countingZeros) Extents() []mem.Extent {
	return []mem.Extent{{Start: 0, Bytes: uint64(c.end), Offset: 0}}
}

// TestLargeGuest: of a guest of 16 GiB only a little is read where the note or a
// CPU's state leads to the kernel.
func TestLargeGuest(t *testing.T) {
	for _, c := range []linuxtest.Config{{Note: true, Keys: true}, {Note: true, DataSymbols: true}, {DataSymbols: true}, {NoInfo: true, DataSymbols: true}} {
		c.Release = "6.1.0"
		g := smallGuest(c)
		m := g.Machine()
		counter := &countingZeros{Physical: m.Mem, end: 16 << 30}
		m.Mem = counter
		k, err := Locate(context.Background(), m, Options{})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if err := k.Log(context.Background(), func(Record) bool { return true }); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if counter.read > 64<<20 {
			t.Errorf("%+v: %d bytes were read", c, counter.read)
		}
	}
}
