package find

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// TestDamagedModules: a list ends where it cannot be right, with what was read
// before and a warning.
func TestDamagedModules(t *testing.T) {
	good := newGuest(t).found(nil, demoDTB, "cpu0 cr3").Modules
	if len(good) != 3 {
		t.Fatalf("%d modules", len(good))
	}
	for name, c := range map[string]struct {
		change func(g *guest, entries []mem.VA)
		want   int
	}{
		"link to itself":         {func(g *guest, e []mem.VA) { g.put64(e[1], uint64(e[1])) }, 2},
		"link back to the first": {func(g *guest, e []mem.VA) { g.put64(e[2], uint64(e[0])) }, 3},
		"link to user space":     {func(g *guest, e []mem.VA) { g.put64(e[1], 0x4000) }, 2},
		"odd link":               {func(g *guest, e []mem.VA) { g.put64(e[1], uint64(e[2])+1) }, 2},
		"link to nothing":        {func(g *guest, e []mem.VA) { g.put64(e[0], 0xfffff90000000000) }, 1},
		"not canonical":          {func(g *guest, e []mem.VA) { g.put64(e[0], 0x8000000000000000) }, 1},
		"back link":              {func(g *guest, e []mem.VA) { g.put64(e[2]+8, uint64(e[0])) }, 2},
	} {
		g := newGuest(t)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		var entries []mem.VA
		for e := mem.VA(g.get64(k.KDBG.ModuleList())); e != k.KDBG.ModuleList(); e = mem.VA(g.get64(e)) {
			entries = append(entries, e)
		}
		c.change(g, entries)
		k = g.found(nil, demoDTB, "cpu0 cr3")
		if !warned(k, fault.ModulesDamaged) || len(k.Modules) != c.want {
			t.Errorf("%s: %d modules, warnings %v", name, len(k.Modules), k.Warnings)
			continue
		}
		for i, m := range k.Modules {
			if m != good[i] {
				t.Errorf("%s: %v, want %v", name, m, good[i])
			}
		}
	}
}

func TestModuleNames(t *testing.T) {
	g := newGuest(t)
	k := g.found(nil, demoDTB, "cpu0 cr3")
	second := mem.VA(g.get64(mem.VA(g.get64(k.KDBG.ModuleList()))))
	long := g.page()
	g.mapPage(demoDTB, paging.X64, 0xfffff90000000000, long)
	g.write(long, bytes.Repeat([]byte{'a', 0}, 2048))
	g.put(second+0x58, []byte{0xff, 0xff, 0xff, 0xff})
	g.put64(second+0x60, 0xfffff90000000000)
	if m := g.found(nil, demoDTB, "cpu0 cr3").Modules[1]; m.Name != strings.Repeat("a", 256) {
		t.Errorf("a name of 65,535 bytes: %d characters", len(m.Name))
	}
	g.put64(second+0x60, 0xfffff98000000000)
	if k := g.found(nil, demoDTB, "cpu0 cr3"); k.Modules[1].Name != "" || k.Modules[1].Base == 0 || len(k.Modules) != 3 {
		t.Errorf("a name that is not there: %v", k.Modules)
	}
}

// TestListLimit: every entry is followed by a new one.
func TestListLimit(t *testing.T) {
	g := newGuest(t)
	const start = mem.VA(0xfffff90000000000)
	for i := range mem.VA(4) {
		g.mapPage(demoDTB, paging.X64, start+i*0x1000, g.page())
	}
	for at := start; at < start+0x4000-16; at += 16 {
		back := at - 16
		g.put(at, le64(uint64(at+16), uint64(back)))
	}
	n := 0
	err := windows.WalkList(g.s, start, 100, func(mem.VA) bool { n++; return true })
	if err == nil || n != 100 {
		t.Errorf("%d entries, %v", n, err)
	}
}

func TestProcessLayouts(t *testing.T) {
	for _, l := range []synth.Layout{
		{PID: 0x180, Links: 0x188, Name: 0x2e0}, {PID: 0x2e0, Links: 0x2e8, Name: 0x438}, {PID: 0x2e8, Links: 0x2f0, Name: 0x448},
		{PID: 0x2e8, Links: 0x2f0, Name: 0x450}, {PID: 0x2e0, Links: 0x2e8, Name: 0x450}, {PID: 0x440, Links: 0x448, Name: 0x5a8},
		{PID: 0x1d0, Links: 0x1d8, Name: 0x338},
	} {
		b := synth.Guest(synth.Options{Layout: l})
		k, err := Locate(context.Background(), open(t, b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Warnings) != 0 {
			t.Errorf("%+v: %v", l, k.Warnings)
		}
		wantBuilt(t, k, b)
	}
}

// TestOneProcessWithoutBase: a process whose base does not work, as one that is
// about to end, costs no other its own.
func TestOneProcessWithoutBase(t *testing.T) {
	g := newGuest(t)
	k := g.found(nil, demoDTB, "cpu0 cr3")
	second := mem.VA(g.get64(mem.VA(g.get64(k.KDBG.ProcessHead()))))
	g.put64(second-0x448+0x28, 0x123)
	k = g.found(nil, demoDTB, "cpu0 cr3")
	if p := k.Processes; len(p) != 3 || p[0].DTB != demoDTB || p[1].DTB != 0 || p[2].DTB == 0 || len(k.Warnings) != 0 {
		t.Errorf("%+v, warnings %v", p, k.Warnings)
	}
}

// TestOwnBases: a process with a base of its own, as Secure System has, or with
// none costs no other its base, whichever it is.
func TestOwnBases(t *testing.T) {
	links := func(g *guest) (list []mem.VA) {
		head := g.symbol("PsActiveProcessHead")
		for at := mem.VA(g.get64(head)); at != head; at = mem.VA(g.get64(at)) {
			list = append(list, at)
		}
		return list
	}
	own := newGuest(t)
	for name, c := range map[string]struct {
		bases [3]uint64 // 0: as it is
		want  [3]bool
	}{
		"no other's": {[3]uint64{0, 0x123, 0x123}, [3]bool{true, false, false}},
		"System's":   {[3]uint64{0x5000, 0, 0}, [3]bool{false, true, true}},
		"two of own": {[3]uint64{0, 1, 1}, [3]bool{true, true, true}},
	} {
		g := newGuest(t)
		root := g.page()
		g.phys64(root+8*500, uint64(g.page())|0x63)
		for i, at := range links(g) {
			switch c.bases[i] {
			case 0:
			case 1:
				g.put64(at-0x448+0x28, uint64(root)|1)
			default:
				g.put64(at-0x448+0x28, c.bases[i])
			}
		}
		k := g.found(nil, demoDTB, "cpu0 cr3")
		for i, p := range k.Processes {
			if (p.DTB != 0) != c.want[i] || c.bases[i] == 1 && p.DTB.Page() != root || c.bases[i] == 0 && p.DTB != mem.PA(own.get64(p.Links-0x448+0x28)) {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if len(k.Processes) != 3 || len(k.Warnings) != 0 {
			t.Errorf("%s: %d processes, warnings %v", name, len(k.Processes), k.Warnings)
		}
	}
}

// TestStarting: early in the boot there are no processes.
func TestStarting(t *testing.T) {
	for name, links := range map[string]func(head mem.VA) uint64{
		"empty":    func(head mem.VA) uint64 { return uint64(head) },
		"not made": func(mem.VA) uint64 { return 0 },
	} {
		g := newGuest(t)
		head := g.symbol("PsActiveProcessHead")
		g.put(head, le64(links(head), links(head)))
		k, err := g.locate(nil)
		if err != nil || len(k.Processes) != 0 || len(k.Warnings) != 1 || !warned(k, fault.GuestStarting) ||
			!strings.Contains(k.Warnings[0].Text, "the guest is still starting: no processes yet") {
			t.Errorf("%s: %v, %+v", name, err, k)
		}
	}
}

// TestStartingWithoutModules: earlier still there are no modules either.
func TestStartingWithoutModules(t *testing.T) {
	g := newGuest(t)
	for _, name := range []string{"PsActiveProcessHead", "PsLoadedModuleList"} {
		head := g.symbol(name)
		g.put(head, le64(uint64(head), uint64(head)))
	}
	k, err := g.locate(nil)
	if err != nil || len(k.Modules)+len(k.Processes) != 0 || len(k.Warnings) != 1 || !warned(k, fault.GuestStarting) {
		t.Errorf("%v, %+v", err, k)
	}
}

// TestUnknownProcesses: what is not System is not guessed at.
func TestUnknownProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *guest, links mem.VA)
		want   int // processes listed
	}{
		"another name": {func(g *guest, links mem.VA) { g.put(links+0x160, []byte("Sistem")) }, 0},
		"longer name":  {func(g *guest, links mem.VA) { g.put(links+0x160, []byte("SystemX")) }, 0},
		"another id":   {func(g *guest, links mem.VA) { g.put64(links-8, 8) }, 0},
		"no header": {func(g *guest, links mem.VA) {
			for range 3 {
				g.put64(links-0x448, 0)
				links = mem.VA(g.get64(links))
			}
		}, 3},
		"bases of nothing": {func(g *guest, links mem.VA) {
			for range 3 {
				g.put64(links-0x448+0x28, 0x5000)
				links = mem.VA(g.get64(links))
			}
		}, 3},
	} {
		g := newGuest(t)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		c.change(g, mem.VA(g.get64(k.KDBG.ProcessHead())))
		k, err := g.locate(nil)
		if err != nil || !warned(k, fault.ProcessesUnknownLayout) || len(k.Processes) != c.want {
			t.Errorf("%s: %v: %v, warnings %v", name, err, k.Processes, k.Warnings)
			continue
		}
		for _, p := range k.Processes {
			if p.DTB != 0 || p.Name == "" {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	g := newGuest(t)
	k := g.found(nil, demoDTB, "cpu0 cr3")
	links := mem.VA(g.get64(mem.VA(g.get64(k.KDBG.ProcessHead()))))
	g.put(links+0x160, []byte("\x1b[31mevil\xff\x00"))
	if name := g.found(nil, demoDTB, "cpu0 cr3").Processes[1].Name; name != "?[31mevil?" {
		t.Errorf("%q", name)
	}
}

// FuzzLists lays any bytes over the memory that the lists are in.
func FuzzLists(f *testing.F) {
	g := newGuest(f)
	k, err := g.locate(nil)
	if err != nil {
		f.Fatal(err)
	}
	first := mem.VA(g.get64(k.KDBG.ModuleList()))
	links := mem.VA(g.get64(k.KDBG.ProcessHead()))
	f.Add(uint16(0), le64(uint64(first), uint64(first)), uint16(0), le64(uint64(links), uint64(links)))
	f.Add(uint16(0x58), []byte{0xff, 0xff}, uint16(0x160), []byte("System\x00"))
	f.Add(uint16(8), le64(0), uint16(0), le64(1<<63))
	base := g.mem
	f.Fuzz(func(t *testing.T, at uint16, p []byte, at2 uint16, q []byte) {
		over := mem.NewOverlay(base)
		s := paging.New(over, demoDTB, paging.X64)
		put := func(va mem.VA, p []byte) {
			for len(p) > 0 && va>>63 == 1 {
				pa, _, err := s.Translate(va)
				if err != nil {
					return
				}
				n := min(len(p), int(mem.PageSize-va%mem.PageSize))
				if over.Write(pa, p[:n]) != nil {
					return
				}
				p, va = p[n:], va+mem.VA(n)
			}
		}
		put(first+mem.VA(at%0x400), p)
		put(links-0x448+mem.VA(at2%0x800), q)
		modules, err := windows.Modules(s, k.KDBG)
		if len(modules) > windows.MaxModules || err != nil && !fault.Is(err, fault.ModulesDamaged) {
			t.Fatalf("%d modules, %v", len(modules), err)
		}
		processes, err := windows.Processes(s, k.KDBG)
		if len(processes) > windows.MaxProcesses || err != nil && !fault.Is(err, fault.ProcessesUnknownLayout) {
			t.Fatalf("%d processes, %v", len(processes), err)
		}
		_ = fmt.Sprint(modules, processes)
	})
}

// FuzzLocate flips bytes of a small core, wherever they are, and changes a
// register: there is a kernel or an error with a code, in bounded time.
func FuzzLocate(f *testing.F) {
	b := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.User}, KVAShadow: 0x9000, Encoded: true, Rotation: 9, FwCfg: synth.FwCfgGood, Decoys: true})
	m := open(f, b)
	extents := m.Mem.Extents()
	var size uint64
	for _, e := range extents {
		size += e.Bytes
	}
	symbols := symbolsOf(b)
	seed := func(values ...uint64) []byte { return le64(values...) }
	f.Add([]byte{}, uint64(0), uint8(0))
	f.Add(seed(0x1000, 0xff), uint64(b.SystemDTB), uint8(1))
	f.Add(seed(uint64(b.SystemDTB), 1, uint64(b.SystemDTB)+8*0x1f0, 0xffff), uint64(0x1000), uint8(2))
	f.Add(seed(0x200000, 1<<63), uint64(1<<63), uint8(3))
	f.Add(seed(0x300018, 0x100), b.KPCR[0], uint8(0xff))
	f.Fuzz(func(t *testing.T, changes []byte, register uint64, which uint8) {
		over := mem.NewOverlay(m.Mem)
		for ; len(changes) >= 16; changes = changes[16:] {
			at, mask := binary.LittleEndian.Uint64(changes)%size&^7, binary.LittleEndian.Uint64(changes[8:])
			for _, e := range extents {
				if at+8 > e.Bytes {
					at -= min(at, e.Bytes)
					continue
				}
				var p [8]byte
				if over.ReadAt(p[:], e.Start+mem.PA(at)) == nil {
					_ = over.Write(e.Start+mem.PA(at), le64(binary.LittleEndian.Uint64(p[:])^mask))
				}
				break
			}
		}
		changed := machine.Machine{Mem: over, Guest: m.Guest}
		for i, c := range m.CPUs {
			x := *c.State
			if i == int(which>>7) {
				switch which & 7 {
				case 1:
					x.Set(cpu.CR3, register)
				case 2:
					x.Set(cpu.IDTBase, register)
				case 3:
					x.Set(cpu.GSBase, register)
				case 4:
					x.Set(cpu.KernelGSBase, register)
				case 5:
					x.Set(cpu.RIP, register)
				case 6:
					x.Set(cpu.CR4, register)
				case 7:
					x.Set(cpu.CR0, register)
				}
			}
			changed.CPUs = append(changed.CPUs, machine.CPU{Index: i, State: &x})
		}
		for _, o := range []Options{{}, {Symbols: symbols}, {Symbols: symbols, Compat: true}} {
			k, err := Locate(context.Background(), &changed, o)
			if err != nil {
				if fault.As(err).Code == fault.Internal {
					t.Fatalf("an error without a code: %v", err)
				}
				continue
			}
			if !windows.SaneSize(k.KDBG.Size) || k.Image == nil || k.OpensCPU() >= len(changed.CPUs) {
				t.Fatalf("%+v", k)
			}
			_ = fmt.Sprint(k.Processors, k.Modules, k.Processes, k.Warnings)
		}
	})
}
