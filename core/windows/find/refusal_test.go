package find

import (
	"context"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// unmapShared takes KUSER_SHARED_DATA away.
func (g *guest) unmapShared() { g.unmap(windows.SharedVA) }

// unmap clears the last entry of a walk.
func (g *guest) unmap(va mem.VA) {
	g.t.Helper()
	table := mem.PA(demoDTB)
	for i := range paging.X64.Levels {
		at := table + mem.PA(8*paging.X64.Levels[i].Index(va))
		kind, next := paging.X64.Step(i, g.physGet64(at))
		if kind != paging.Table {
			if kind == paging.Page {
				g.phys64(at, 0)
			}
			return
		}
		table = next
	}
}

// TestRefusals provokes every way in which no kernel is found.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *guest)
		code   fault.Code
		says   string // in the sentence or the hints
	}{
		"roots": {func(g *guest) { g.noSelfMaps(); g.lose(); g.erase() }, fault.KernelPagedState, "self-map scan"},
		"no shared page": {func(g *guest) {
			g.noSelfMaps()
			g.unmapShared()
			g.noKernel()
		}, fault.NotWindows, "shared page"},
		"another system's page": {func(g *guest) {
			g.put(windows.SharedVA, make([]byte, 0x1000))
			g.noKernel()
		}, fault.NotWindows, "cpu0 cr3"},
		"no header": {func(g *guest) { g.noKernel() }, fault.KernelNotFound, "cpu0 cr3"},
		"no gates": {func(g *guest) {
			g.noKernel()
			g.noIDT()
		}, fault.IDTUnreadable, "cpu0 cr3"},
		"no tables looked at": {func(g *guest) {
			g.selfMap(demoDTB)
			g.noKernel()
			for i := range g.m.CPUs {
				g.m.CPUs[i].State = reset()
			}
		}, fault.KernelNotFound, "looked for through"},
		"no block": {func(g *guest) {
			g.erase()
			g.put(g.symbol(symVersionBlock), make([]byte, 40))
		}, fault.KDBGMissing, "ntkrnlmp.pdb BB8FBA4DBDC8EAF74C4C44205044422E1"},
		"no notes": {func(g *guest) {
			g.noSelfMaps()
			g.erase()
			for _, v := range g.m.CPUs {
				*v.State = *cpu.Of(cpu.X64, cpu.Values{cpu.RIP: v.State.PC(), cpu.RSP: v.State.SP(), cpu.CS: v.State.Get(cpu.CS)})
			}
		}, fault.NoQEMUNotes, "tried"},
	} {
		g := newGuest(t)
		c.change(g)
		e := g.refused(nil, c.code)
		if text := e.Text + "\n" + strings.Join(e.Remedy(), "\n"); !strings.Contains(text, c.says) {
			t.Errorf("%s: %q is not in %q", name, c.says, text)
		}
		k, _ := g.locate(nil)
		if (k != nil) != (name == "no block") {
			t.Errorf("%s: kernel %v", name, k)
		}
		if k != nil && (k.SymbolsStatus != windows.SymbolsNeeded || k.PDB == nil || k.Image.Base != demoBase) {
			t.Errorf("%s: %q %v", name, k.SymbolsStatus, k.PDB)
		}
	}
}

// TestWithoutNotesByScan: general registers alone are enough where the memory
// says the rest.
func TestWithoutNotesByScan(t *testing.T) {
	g := newGuest(t)
	for _, v := range g.m.CPUs {
		*v.State = *cpu.Of(cpu.X64, cpu.Values{cpu.RIP: v.State.PC(), cpu.RSP: v.State.SP(), cpu.CS: v.State.Get(cpu.CS), cpu.RFLAGS: 0x246})
	}
	g.selfMap(demoDTB)
	k, err := g.locate(nil)
	if err != nil || k.DTBFrom.String() != "self-map scan" || k.HeaderDTB != demoDTB {
		t.Fatal(err)
	}
	if !warned(k, fault.ProcessorsPositional) || k.Processors[0].CPU != 0 || k.Processors[1].CPU != 1 {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
}

// failing is a symbol source that has nothing.
type failing struct{ err error }

func (f failing) PDB(context.Context, pe.CodeView) (*pdb.File, pdb.Origin, error) {
	return nil, pdb.Origin{}, f.err
}

func TestSymbolsMissing(t *testing.T) {
	offline := fault.New(fault.SymbolsOffline, "the network is off")
	g := newGuest(t)
	k := g.found(failing{offline}, demoDTB, "cpu0 cr3")
	if k.SymbolsStatus != windows.SymbolsMissing || k.SymbolsError != offline || !warned(k, fault.SymbolsOffline) || k.KDBG.FoundBy != windows.FoundByKnownPlaintext {
		t.Errorf("%s, %v, warnings %v", k.SymbolsStatus, k.SymbolsError, k.Warnings)
	}
	g.found(failing{nil}, demoDTB, "cpu0 cr3") // neither a file nor an error
	g.erase()
	e := g.refused(failing{offline}, fault.KDBGUndecodable)
	if text := strings.Join(fault.Lines(e.Hints), "\n"); !strings.Contains(text, "the network is off") {
		t.Errorf("hints %q", text)
	}
	// Compat has no other way.
	g = newGuest(t)
	if _, err := g.locateWith(Options{Symbols: failing{offline}, Compat: true}); !fault.Is(err, fault.SymbolsOffline) {
		t.Error(err)
	}
	if _, err := g.locateWith(Options{Compat: true}); !fault.Is(err, fault.SymbolsOffline) {
		t.Error(err)
	}
	// A PDB of another build is not used.
	g = newGuest(t)
	img := g.found(nil, demoDTB, "cpu0 cr3").Image
	g.put(g.findBytes("RSDS"+string(img.CodeView.GUID[:]))+4, []byte{1, 2, 3})
	k = g.found(demoSymbols{any: true}, demoDTB, "cpu0 cr3")
	if k.SymbolsStatus != windows.SymbolsMissing || !fault.Is(k.SymbolsError, fault.SymbolsMismatch) || k.Image.CodeView.GUID == img.CodeView.GUID {
		t.Errorf("%s: %v", k.SymbolsStatus, k.SymbolsError)
	}
}

// findBytes finds text in the image.
func (g *guest) findBytes(text string) mem.VA {
	p := make([]byte, 0x32000)
	g.s.ReadBest(p, demoBase)
	i := strings.Index(string(p), text)
	if i < 0 {
		g.t.Fatalf("no %q", text)
	}
	return demoBase + mem.VA(i)
}

// TestUnreadable: what cannot be read is a warning, and the rest is there.
func TestUnreadable(t *testing.T) {
	g := newGuest(t)
	g.unmapShared()
	k, err := g.locate(nil)
	if err != nil || k.Image.Base != demoBase || k.DTBFrom.String() != "cpu0 cr3" || !warned(k, fault.KUSDUnreadable) || k.Shared.Readable {
		t.Fatalf("%v", err)
	}
	g = newGuest(t)
	p := g.plain()
	copy(p[0x88:], le64(0xfffff80300000000))
	g.put(demoKDBG, p)
	if k = g.found(nil, demoDTB, "cpu0 cr3"); !warned(k, fault.BugcheckUnreadable) || k.BugCheck != nil {
		t.Errorf("warnings %v", k.Warnings)
	}
	g = newGuest(t)
	g.put(g.symbol(symVersionBlock), make([]byte, 40))
	if k = g.found(demoSymbols{}, demoDTB, "cpu0 cr3"); !warned(k, fault.VersionUnreadable) || k.Version.Minor != 19041 {
		t.Errorf("warnings %v", k.Warnings)
	}
	g.unmapShared()
	if k, err = g.locate(nil); err != nil || !warned(k, fault.VersionUnreadable) || !warned(k, fault.KUSDUnreadable) {
		t.Errorf("%v %v", err, k.Warnings)
	}
}

func le32(v uint32) []byte { return le64(uint64(v))[:4] }

// TestPassedOverOnce: two ways that lead to the same image give one reason.
func TestPassedOverOnce(t *testing.T) {
	f := &finder{ctx: t.Context()}
	for _, base := range []mem.VA{0x1000, 0x2000, 0x1000} {
		f.refuse("image at %v: not a kernel", base)
	}
	if len(f.refused) != 2 {
		t.Errorf("passed over: %q", f.refused)
	}
}
