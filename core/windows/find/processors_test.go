package find

import (
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// TestProcessorsByRegion: the machine lists its CPUs in another order than
// Windows its processors.
func TestProcessorsByRegion(t *testing.T) {
	g := newGuest(t)
	c := g.m.CPUs
	c[0].State, c[1].State = c[1].State, c[0].State
	k := g.found(nil, mem.PA(c[0].State.Get(cpu.CR3)), "cpu0 cr3")
	if k.Processors[0].CPU != 1 || k.Processors[1].CPU != 0 || len(k.Warnings) != 0 {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
	// Compat goes by position.
	k, err := g.locateWith(Options{Symbols: demoSymbols{}, Compat: true})
	if err != nil || k.Processors[0].CPU != 0 || k.Processors[1].CPU != 1 {
		t.Errorf("compat: %v", err)
	}
}

// TestProcessorsByTables: an old note of a CPU in user mode does not say where
// the region is; the region says which tables the CPU uses.
func TestProcessorsByTables(t *testing.T) {
	g := newGuest(t)
	c := g.m.CPUs
	for _, v := range c {
		kpcr := windows.KPCR(v.State)
		g.put64(kpcr, v.State.Get(cpu.GDTBase))
		g.put64(kpcr+0x38, v.State.Get(cpu.IDTBase))
		v.State.Set(cpu.GSBase, 0x7ff000)
		v.State.Forget(cpu.KernelGSBase)
	}
	c[0].State, c[1].State = c[1].State, c[0].State
	k := g.found(nil, mem.PA(c[0].State.Get(cpu.CR3)), "cpu0 cr3")
	if k.Processors[0].CPU != 1 || k.Processors[1].CPU != 0 || len(k.Warnings) != 0 {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
	// Where the tables do not tell either, position does, with a warning.
	for _, v := range c {
		v.State.Set(cpu.GDTBase, 0x1234)
	}
	k = g.found(nil, mem.PA(c[0].State.Get(cpu.CR3)), "cpu0 cr3")
	if k.Processors[0].CPU != 0 || k.Processors[1].CPU != 1 || !warned(k, fault.ProcessorsPositional) {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
}

// TestRegionOfAnother: a CPU that runs another region is not taken by position.
func TestRegionOfAnother(t *testing.T) {
	g := newGuest(t)
	g.m.CPUs[1].State.Set(cpu.GSBase, 0xffff900000000000)
	k := g.found(nil, demoDTB, "cpu0 cr3")
	if k.Processors[1].CPU != -1 || !warned(k, fault.ProcessorParked) || warned(k, fault.ProcessorsPositional) {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
}

// TestDamagedProcessors: a processor that is not what it seems has no context,
// the others have.
func TestDamagedProcessors(t *testing.T) {
	for name, change := range map[string]func(g *guest, prcb mem.VA){
		"context pointer 0":       func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), 0) },
		"context in user space":   func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), 0x10000) },
		"context not mapped":      func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), 0xfffff90000000000) },
		"context is another's":    func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), uint64(g.contextOf(0))+0x4c8) },
		"context over headers":    func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), uint64(demoBase)) },
		"context over code":       func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), g.m.CPUs[0].State.Get(cpu.RIP)&^0xf) },
		"context over the block":  func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), uint64(demoKDBG)-0x100) },
		"context over times":      func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), uint64(windows.SharedVA)) },
		"context over a region":   func(g *guest, prcb mem.VA) { g.put64(prcb+g.contextAt(), uint64(windows.KPCR(g.m.CPUs[0].State))) },
		"region names another":    func(g *guest, prcb mem.VA) { g.put64(prcb-0x180+0x18, 0x1234) },
		"block is in user space":  func(g *guest, prcb mem.VA) { g.put64(g.symbol("KiProcessorBlock")+8, 0x4000) },
		"block is not mapped":     func(g *guest, prcb mem.VA) { g.put64(g.symbol("KiProcessorBlock")+8, 0xfffff90000000180) },
		"region's block is other": func(g *guest, prcb mem.VA) { g.put64(prcb-0x180+0x20, uint64(prcb)+8) },
	} {
		g := newGuest(t)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		g.put32(windows.SharedVA+0x3c0, 2) // Windows says that there are two
		change(g, k.Processors[1].PRCB)
		k = g.found(nil, demoDTB, "cpu0 cr3")
		p := k.Processors
		if p[0].Err != nil || p[0].Context == 0 || p[1].Context != 0 || !fault.Is(p[1].Err, fault.ContextUnreadable) || !warned(k, fault.ContextUnreadable) {
			t.Errorf("%s: %+v, warnings %v", name, p, k.Warnings)
		}
		if !strings.Contains(p[1].Err.Error(), "processor 1") {
			t.Errorf("%s: %v", name, p[1].Err)
		}
	}
}

// contextOf is where processor i's context record belongs.
func (g *guest) contextOf(i mem.VA) mem.VA {
	return mem.VA(g.get64(mem.VA(g.get64(g.symbol("KiProcessorBlock")+8*i)) + g.contextAt()))
}

// contextAt is OffsetPrcbContext of the built-in guest.
func (g *guest) contextAt() mem.VA {
	k, err := g.locate(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return mem.VA(k.KDBG.PrcbContext())
}

func (g *guest) put32(va mem.VA, v uint32) { g.t.Helper(); g.put(va, le32(v)) }

// TestGapInProcessors: an entry that is 0 is skipped.
func TestGapInProcessors(t *testing.T) {
	g := newGuest(t)
	block := g.symbol("KiProcessorBlock")
	second := g.get64(block + 8)
	g.put64(block+8, 0)
	g.put64(block+16, second)
	g.put32(windows.SharedVA+0x3c0, 3)
	k := g.found(nil, demoDTB, "cpu0 cr3")
	if k.Processors[1].Number != 2 || k.Processors[1].CPU != 1 {
		t.Errorf("%+v", k.Processors)
	}
}

// TestCurrentCPU follows the rule of the header's context.
func TestCurrentCPU(t *testing.T) {
	g := newGuest(t)
	if k := g.found(nil, demoDTB, "cpu0 cr3"); k.OpensCPU() != 0 {
		t.Errorf("alive: CPU %d", k.OpensCPU())
	}
	g.m.CPUs[1].State.Set(cpu.RFLAGS, g.m.CPUs[1].State.Get(cpu.RFLAGS)&^0x200)
	if k := g.found(nil, demoDTB, "cpu0 cr3"); k.OpensCPU() != 1 {
		t.Errorf("interrupts off: CPU %d", k.OpensCPU())
	}
	// The stop code and its parameters lie on CPU 0's stack.
	g.put(g.symbol("KiBugCheckData"), le64(0x1e, 0xffffffffc0000005, 2, 3, 4))
	stack := mem.VA(0xfffff90000001000)
	g.mapPage(demoDTB, paging.X64, stack, g.page())
	g.m.CPUs[0].State.Set(cpu.RSP, uint64(stack))
	g.put(stack+0x88, le64(0x1e, 0xffffffffc0000005, 2, 3))
	k := g.found(nil, demoDTB, "cpu0 cr3")
	if k.OpensCPU() != 0 || k.BugCheck == nil || k.BugCheck.Code != 0x1e || k.BugCheck.Parameters != [4]uint64{0xffffffffc0000005, 2, 3, 4} {
		t.Errorf("CPU %d, %+v", k.OpensCPU(), k.BugCheck)
	}
	// The code alone is no sign, nor is a CPU in user mode.
	g.put64(stack+0x90, 77)
	if k := g.found(nil, demoDTB, "cpu0 cr3"); k.OpensCPU() != 0 || k.Opens.Choice != windows.ChoiceFirst {
		t.Errorf("code alone: CPU %d, %q", k.OpensCPU(), k.Opens.Choice)
	}
	g.put64(stack+0x90, 0xffffffffc0000005)
	g.m.CPUs[0].State.Set(cpu.CS, 0x33)
	if k := g.found(nil, demoDTB, "cpu0 cr3"); k.Opens.Choice != windows.ChoiceFirst {
		t.Errorf("user mode: CPU %d, %q", k.OpensCPU(), k.Opens.Choice)
	}
}
