package find

import (
	"context"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// TestKVAShadow puts every CPU into user mode, with roots that map the control
// regions only, and keeps the kernel's root where three generations of Windows
// keep it.
func TestKVAShadow(t *testing.T) {
	for _, c := range []struct {
		off  mem.VA
		from string
	}{{0x7000, "[cpu0 KERNEL_GS_BASE+7000]"}, {0x9000, "kpcr scan cpu0"}, {0xa000, "kpcr scan cpu0"}} {
		g := newGuest(t)
		g.enterUser(g.userRoot())
		g.forgetRoots()
		g.refusedAnyway()
		g.put64(windows.KPCR(g.m.CPUs[0].State)+c.off, demoDTB|2)
		k := g.found(nil, demoDTB, c.from)
		if k.HeaderDTB != demoDTB || len(k.Warnings) != 0 {
			t.Errorf("%#x: header %#x, warnings %v", c.off, uint64(k.HeaderDTB), k.Warnings)
		}
	}
}

// forgetRoots clears every page-table base that the control regions hold: the
// saved special registers have one too.
func (g *guest) forgetRoots() {
	for _, c := range g.m.CPUs {
		for va := windows.KPCR(c.State); va < windows.KPCR(c.State)+pcrBytes; va += 8 {
			if !g.s.Resolves(va) {
				continue
			}
			if v := g.get64(va) &^ (1<<63 | 0xfff); v != 0 && v < uint64(demoTop) && g.physGet64(mem.PA(v)+8*0x1ef)&1 == 1 {
				g.put64(va, 0)
			}
		}
	}
}

// refusedAnyway demands that nothing but a scan of all memory leads on.
func (g *guest) refusedAnyway() {
	g.t.Helper()
	if k, err := g.locate(nil); err == nil && k.DTBFrom.String() != "self-map scan" {
		g.t.Fatalf("found by %s already", k.DTBFrom)
	}
}

// TestRootOfAnotherCPU: only the second CPU's control region leads on.
func TestRootOfAnotherCPU(t *testing.T) {
	g := newGuest(t)
	g.enterUser(g.userRoot())
	g.forgetRoots()
	g.put64(windows.KPCR(g.m.CPUs[1].State)+0x9000, demoDTB)
	g.found(nil, demoDTB, "kpcr scan cpu1")

	g = newGuest(t)
	g.enterUser(g.userRoot())
	g.m.CPUs[1].State.Set(cpu.CR3, demoDTB)
	g.found(nil, demoDTB, "cpu1 cr3")
}

func TestSibling(t *testing.T) {
	g := newGuest(t)
	g.enterUser(g.userRoot())
	g.m.CPUs[1].State.Set(cpu.CR3, demoDTB^0x1000)
	g.found(nil, demoDTB, "cpu1 cr3^1000")
}

// TestUserMode: every CPU in user mode, without KVA shadow.
func TestUserMode(t *testing.T) {
	g := newGuest(t)
	cr3 := g.m.CPUs[0].State.Get(cpu.CR3)
	g.enterUser(mem.PA(cr3))
	g.found(nil, demoDTB, "cpu0 cr3")
}

// reset is the state of a CPU that was never started.
func reset() *cpu.State {
	return cpu.Of(cpu.X64, cpu.Values{cpu.RIP: 0xfff0, cpu.RFLAGS: 2, cpu.CR0: 0x60000010, cpu.CR3: 0, cpu.IDTLimit: 0xffff, cpu.GDTLimit: 0xffff, cpu.KernelGSBase: 0})
}

func TestResetCPU(t *testing.T) {
	g := newGuest(t)
	g.m.CPUs[0].State = reset()
	g.m.CPUs[1].State.Set(cpu.CR3, demoDTB)
	k := g.found(nil, demoDTB, "cpu1 system task cr3")
	if k.Processors[0].CPU != -1 || k.Processors[1].CPU != 1 || !warned(k, fault.ProcessorParked) {
		t.Errorf("processors %+v, warnings %v", k.Processors, k.Warnings)
	}
	if w := k.Warnings[0].Text; !strings.Contains(w, "processor 0") || !strings.Contains(w, "CPU 0") {
		t.Errorf("the warning %q does not say which", w)
	}
}

// TestLA57 puts a fifth level over the tables.
func TestLA57(t *testing.T) {
	g := newGuest(t)
	top := g.page()
	g.phys64(top+8*511, demoDTB|0x63)
	for _, c := range g.m.CPUs {
		c.State.Set(cpu.CR3, uint64(top))
		c.State.Set(cpu.CR4, c.State.Get(cpu.CR4)|cpu.CR4LA57)
	}
	k := g.found(nil, top, "cpu0 cr3")
	if k.Space.Mode != windows.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	// By scan: the root maps itself once; the CPUs tell the mode, then do not.
	g.noSelfMaps()
	g.phys64(top+8*300, uint64(top)|0x63)
	g.lose()
	if k = g.found(nil, top, "self-map scan"); k.Space.Mode != windows.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	for _, c := range g.m.CPUs {
		c.State.Set(cpu.CR0, c.State.Get(cpu.CR0)&^cpu.CR0Paging)
	}
	k = g.found(nil, top, "self-map scan")
	if k.Space.Mode != windows.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
}

// TestModeMisread: where every note tells the wrong number of levels, the scans
// try the other one.
func TestModeMisread(t *testing.T) {
	g := newGuest(t)
	g.selfMap(demoDTB)
	for _, c := range g.m.CPUs {
		c.State.Set(cpu.CR4, c.State.Get(cpu.CR4)|cpu.CR4LA57)
	}
	if k := g.found(nil, demoDTB, "self-map scan"); k.Space.Mode != windows.X64 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	g.noSelfMaps()
	if k := g.found(nil, demoDTB, "kdbg scan"); k.Space.Mode != windows.X64 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
}

// selfMap makes a root map itself, as Windows' roots do.
func (g *guest) selfMap(pa mem.PA) {
	for i := mem.PA(256); i < 512; i++ {
		if g.physGet64(pa+8*i)&^(1<<63|0xfff) == uint64(pa) {
			return
		}
	}
	g.phys64(pa+8*0x1ab, uint64(pa)|0x63|1<<63)
}

// noSelfMaps clears every self reference.
func (g *guest) noSelfMaps() {
	for pa := mem.PA(0x100000); pa < demoTop; pa += mem.PageSize {
		for i := mem.PA(256); i < 512; i++ {
			if g.physGet64(pa+8*i)&^(1<<63|0xfff) == uint64(pa) {
				g.phys64(pa+8*i, 0)
			}
		}
	}
}

func TestSelfMapScan(t *testing.T) {
	g := newGuest(t)
	// Traps: a reused page with nothing but its self reference, one that also
	// maps the shared page and no kernel, one with two self references.
	only, shared, two := g.page(), g.page(), g.page()
	pa, _, err := g.s.Translate(windows.SharedVA)
	if err != nil {
		t.Fatal(err)
	}
	g.phys64(only+8*400, uint64(only)|0x63)
	g.phys64(shared+8*400, uint64(shared)|0x63)
	g.mapPage(shared, paging.X64, windows.SharedVA, pa.Page())
	g.phys64(two+8*400, uint64(two)|0x63)
	g.phys64(two+8*401, uint64(two)|0x63)
	g.mapPage(two, paging.X64, windows.SharedVA, pa.Page())
	g.selfMap(demoDTB)
	g.lose()
	k := g.found(nil, demoDTB, "self-map scan")
	if k.HeaderDTB != demoDTB {
		t.Errorf("header %#x", uint64(k.HeaderDTB))
	}
	f := &finder{ctx: context.Background(), m: g.m, p: x64}
	page := func(pa mem.PA) []byte {
		p, _, err := mem.ReadPage(g.mem, pa)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for pa, want := range map[mem.PA]bool{demoDTB: true, shared: true, only: false, two: false} {
		if got := f.mapsItself(page(pa), pa, paging.X64); got != want {
			t.Errorf("page %v: %v", pa, got)
		}
	}
}

// TestSystemsRootInHeader: what a scan finds first may be any process's root.
func TestSystemsRootInHeader(t *testing.T) {
	g := newGuest(t)
	clone := g.page()
	p, _, err := mem.ReadPage(g.mem, demoDTB)
	if err != nil {
		t.Fatal(err)
	}
	g.write(clone, p)
	for i := mem.PA(256); i < 512; i++ { // self references lead to the clone
		if g.physGet64(clone+8*i)&^(1<<63|0xfff) == demoDTB {
			g.phys64(clone+8*i, 0)
		}
	}
	g.phys64(clone+8*0x1ac, uint64(clone)|0x63)
	g.lose()
	g.m.CPUs[0].State.Set(cpu.CR3, uint64(clone)^0x1000)
	k := g.found(nil, clone, "cpu0 cr3^1000")
	if k.HeaderDTB != demoDTB || !warned(k, fault.HeaderDTB) {
		t.Errorf("header %#x, warnings %v", uint64(k.HeaderDTB), k.Warnings)
	}
}

// TestKDBGScan: no root maps itself, the registers lead nowhere, and the block
// in physical memory is what tells the kernel's base.
func TestKDBGScan(t *testing.T) {
	for _, encoded := range []bool{true, false} {
		g := newGuest(t)
		if !encoded {
			g.put(demoKDBG, g.plain())
		}
		g.noSelfMaps()
		g.lose()
		k, err := g.locate(nil)
		if err != nil || k.Image.Base != demoBase || k.DTBFrom.String() != "kdbg scan" || k.HeaderDTB != demoDTB {
			t.Fatalf("encoded %v: %v\n%s", encoded, err, strings.Join(g.lines, "\n"))
		}
	}
}

func TestLowStub(t *testing.T) {
	g := newGuest(t)
	g.lose()
	for _, c := range g.m.CPUs {
		c.State.Set(cpu.IDTBase, 0) // only the stub's kernel address leads on
	}
	put := func(pa mem.PA, signature, entry, root uint64) {
		g.phys64(pa, signature)
		g.phys64(pa+0x70, entry)
		g.phys64(pa+0xa0, root)
	}
	put(0x1000, 0x00000001000600e8, uint64(demoBase)+0x5000, demoDTB) // other signatures
	put(0x2000, 0x00000001000612e9, 0x5000, demoDTB)
	put(0x3000, 0x00000001000612e9, uint64(demoBase)+0x5000, 1)
	g.page()
	put(0x13000, 0x00000001000612e9, uint64(demoBase)+0x5000, demoDTB)
	k := g.found(nil, demoDTB, "low stub")
	if len(k.Processors) != 2 {
		t.Errorf("%d processors", len(k.Processors))
	}
}

// TestCompatTakesUpstreamsRoots: strategies that upstream does not have are not
// used for it.
func TestCompatTakesUpstreamsRoots(t *testing.T) {
	compat := func(g *guest) (*windows.Kernel, error) {
		return g.locateWith(Options{Symbols: demoSymbols{}, Compat: true})
	}
	g := newGuest(t)
	if k, err := compat(g); err != nil || k.DTBFrom.String() != "cpu0 cr3" {
		t.Fatal(err)
	}
	user := g.userRoot()
	g.m.CPUs[0].State.Set(cpu.CR3, uint64(user))
	g.m.CPUs[1].State.Set(cpu.CR3, demoDTB)
	// CPU 0 runs in the kernel with a root that does not work: its answer is final.
	if _, err := compat(g); err == nil {
		t.Errorf("the second CPU was tried, which upstream does not do")
	}
	g.found(nil, demoDTB, "cpu1 cr3")

	g = newGuest(t)
	g.enterUser(g.userRoot())
	g.forgetRoots()
	g.put64(windows.KPCR(g.m.CPUs[0].State)+0x7000, demoDTB)
	if k, err := compat(g); err != nil || k.DTBFrom.String() != "[cpu0 KERNEL_GS_BASE+7000]" {
		t.Error(err)
	}
	g.m.CPUs[1].State.Forget(cpu.KernelGSBase)
	if _, err := compat(g); err == nil {
		t.Errorf("a CPU without KERNEL_GS_BASE ends upstream's third way")
	}
	g.found(nil, demoDTB, "kpcr scan cpu0")
}
