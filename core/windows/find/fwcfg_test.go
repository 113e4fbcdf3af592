package find

import (
	"bytes"
	"context"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// note gives the guest a dump header note with a decoded copy of its block.
func (g *guest) note(change func(header, plain []byte)) {
	g.t.Helper()
	p := g.plain()
	header := make([]byte, 0x2000)
	copy(header, "PAGEDU64")
	copyAt := mem.VA(0xffffa00000001000)
	copy(header[0x10:], le64(demoDTB))
	copy(header[0x20:], p[0x48:0x50])
	copy(header[0x30:], le32(0x8664))
	copy(header[0x40:], le64(uint64(copyAt)))
	copy(header[0x80:], le64(uint64(demoKDBG)))
	if change != nil {
		change(header, p)
	}
	g.mapPage(demoDTB, paging.X64, copyAt, g.page())
	g.put(copyAt, p)
	g.m.Guest = []machine.Note{{Name: "VMCOREINFO", Desc: header}}
}

// TestFwCfg: the note alone leads to the kernel, though no register does and
// the interrupt tables are gone.
func TestFwCfg(t *testing.T) {
	g := newGuest(t)
	g.note(nil)
	g.lose()
	g.noIDT()
	k := g.found(nil, demoDTB, "fwcfg note")
	if k.KDBG.VA != demoKDBG || warned(k, fault.FwCfgIgnored) {
		t.Errorf("block at %v, warnings %v", k.KDBG.VA, k.Warnings)
	}
}

// TestFwCfgBlock: known plaintext cannot see the block where the word behind
// the tag is in a page that it does not look at; the note says where it is.
func TestFwCfgBlock(t *testing.T) {
	for _, encoded := range []bool{true, false} {
		g := newGuest(t)
		p := g.plain()
		// Outside the image no search looks.
		away := mem.VA(0xffffa10000000e00)
		for i := range mem.VA(2) {
			g.mapPage(demoDTB, paging.X64, away.Page()+i*0x1000, g.page())
		}
		g.note(func(header, _ []byte) { copy(header[0x80:], le64(uint64(away))) })
		g.erase()
		if encoded {
			p = encode(p, 0xabcdef0123456797, 99, 0xfffff80312a00020)
		}
		g.put(away, p)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		if k.KDBG.FoundBy != windows.FoundByFwCfg || k.KDBG.VA != away || k.KDBG.Encoded != encoded || k.KDBG.KernBase() != demoBase || len(k.Warnings) != 0 {
			t.Errorf("encoded %v: found by %q at %v, warnings %v", encoded, k.KDBG.FoundBy, k.KDBG.VA, k.Warnings)
		}
		// One word of the block that does not fit the copy: not the same block.
		g.put64(away+0x200, 0x1122334455667788)
		if k, err := g.locate(nil); err == nil && encoded {
			t.Errorf("a block that differs from the copy was taken: %v", k.KDBG.FoundBy)
		}
	}
}

// TestForgedFwCfg: what a note claims is not believed, and is told.
func TestForgedFwCfg(t *testing.T) {
	for name, change := range map[string]func(header, plain []byte){
		"root":        func(h, _ []byte) { copy(h[0x10:], le64(0x5000)) },
		"no root":     func(h, _ []byte) { copy(h[0x10:], le64(0)) },
		"block":       func(h, _ []byte) { copy(h[0x80:], le64(uint64(demoKDBG)+0x1000)) },
		"module list": func(h, _ []byte) { copy(h[0x20:], le64(uint64(demoBase))) },
	} {
		g := newGuest(t)
		g.note(change)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		if !warned(k, fault.FwCfgIgnored) || k.KDBG.FoundBy != windows.FoundByKnownPlaintext || k.KDBG.VA != demoKDBG {
			t.Errorf("%s: found by %q, warnings %v", name, k.KDBG.FoundBy, k.Warnings)
		}
	}
	// With nothing but a forged note there is no kernel, and no crash.
	for name, change := range map[string]func(header, plain []byte){
		"root":         func(h, _ []byte) { copy(h[0x10:], le64(0x5000)) },
		"copy":         func(h, _ []byte) { copy(h[0x40:], le64(0xfffff90000000000)) },
		"copy in user": func(h, _ []byte) { copy(h[0x40:], le64(0x1000)) },
		"base":         func(_, p []byte) { copy(p[0x18:], le64(uint64(demoBase)+0x2000)) },
		"size":         func(_, p []byte) { copy(p[0x14:], le32(0xffffffff)) },
		"tag":          func(_, p []byte) { p[0x10] = 'x' },
	} {
		g := newGuest(t)
		g.note(change)
		g.noSelfMaps()
		g.lose()
		g.erase()
		if k, err := g.locate(nil); err == nil {
			t.Errorf("%s: found by %q", name, k.KDBG.FoundBy)
		}
	}
}

func TestNotesThatAreNone(t *testing.T) {
	header := make([]byte, 0x2000)
	copy(header, "PAGEDU64")
	copy(header[0x30:], le32(0x8664))
	good := machine.Note{Name: "VMCOREINFO", Desc: header}
	if _, ok := parseFwCfg(good); !ok {
		t.Fatal("refused")
	}
	for name, change := range map[string]func(n *machine.Note){
		"name":      func(n *machine.Note) { n.Name = "CORE" },
		"type":      func(n *machine.Note) { n.Type = 1 },
		"short":     func(n *machine.Note) { n.Desc = n.Desc[:0x1fff] },
		"empty":     func(n *machine.Note) { n.Desc = nil },
		"signature": func(n *machine.Note) { n.Desc[4] = 'X' },
		"machine":   func(n *machine.Note) { n.Desc[0x30] = 0 },
	} {
		n := good
		n.Desc = bytes.Clone(header)
		change(&n)
		if _, ok := parseFwCfg(n); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestSynthFwCfg: the notes of synthetic guests, right and forged.
func TestSynthFwCfg(t *testing.T) {
	for _, kind := range []synth.FwCfg{synth.FwCfgGood, synth.FwCfgWrongDTB, synth.FwCfgWrongKDBG, synth.FwCfgOtherBase, synth.FwCfgNoHeader, synth.FwCfgShort} {
		b := synth.Guest(synth.Options{FwCfg: kind, Encoded: true, Rotation: 33})
		k, err := Locate(context.Background(), open(t, b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantBuilt(t, k, b)
	}
}

// FuzzFwCfg reads any note, and looks for the kernel with nothing else.
func FuzzFwCfg(f *testing.F) {
	g := newGuest(f)
	g.note(nil)
	header := g.m.Guest[0].Desc
	f.Add("VMCOREINFO", uint32(0), header, []byte{})
	f.Add("VMCOREINFO", uint32(0), header[:0x90], []byte{1})
	f.Add("CORE", uint32(1), []byte{}, []byte{})
	for _, off := range []int{0x10, 0x40, 0x80} {
		h := bytes.Clone(header)
		copy(h[off:], le64(0x5000))
		f.Add("VMCOREINFO", uint32(0), h, []byte("KDBG"))
	}
	cpus := g.m.CPUs
	g.lose()
	f.Fuzz(func(t *testing.T, name string, kind uint32, desc, copied []byte) {
		over := mem.NewOverlay(g.mem)
		if pa, _, err := g.s.Translate(0xffffa00000001000); err == nil && len(copied) <= mem.PageSize {
			if err := over.Write(pa, copied); err != nil {
				t.Fatal(err)
			}
		}
		m := &machine.Machine{Mem: over, CPUs: cpus, Guest: []machine.Note{{Name: name, Type: kind, Desc: desc}}}
		for _, n := range fwcfgNotes(m) {
			s := paging.New(over, demoDTB, paging.X64)
			if k, err := windows.ByCopy(s, n.kdbg, n.copy); err == nil && (uint32(len(k.Plain)) != k.Size || !windows.SaneSize(k.Size) || u32(k.Plain, tagAt) != tagValue) {
				t.Fatalf("a block of %#x bytes", k.Size)
			}
			f := &finder{ctx: context.Background(), m: m, p: x64, notes: []fwcfgNote{n}}
			roots := 0
			for r := range fwcfgRoots(f) {
				if roots++; r.value != n.dtb || roots > 2 || len(f.hints) > roots {
					t.Fatalf("root %#x, number %d, %d hints", r.value, roots, len(f.hints))
				}
			}
		}
	})
}
