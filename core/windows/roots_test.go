package windows

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"strings"
	"testing"

	"coredrop/core/elfcore"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/progress"
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
		g.put64(g.m.CPUs[0].X64.KPCR()+c.off, demoDTB|2)
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
		for va := c.X64.KPCR(); va < c.X64.KPCR()+pcrScanBytes; va += 8 {
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
	if k, err := g.locate(nil); err == nil && k.DTBFrom != "self-map scan" {
		g.t.Fatalf("found by %s already", k.DTBFrom)
	}
}

// TestRootOfAnotherCPU: only the second CPU's control region leads on.
func TestRootOfAnotherCPU(t *testing.T) {
	g := newGuest(t)
	g.enterUser(g.userRoot())
	g.forgetRoots()
	g.put64(g.m.CPUs[1].X64.KPCR()+0x9000, demoDTB)
	g.found(nil, demoDTB, "kpcr scan cpu1")

	g = newGuest(t)
	g.enterUser(g.userRoot())
	g.m.CPUs[1].X64.CR3 = demoDTB
	g.found(nil, demoDTB, "cpu1 cr3")
}

func TestSibling(t *testing.T) {
	g := newGuest(t)
	g.enterUser(g.userRoot())
	g.m.CPUs[1].X64.CR3 = demoDTB ^ 0x1000
	g.found(nil, demoDTB, "cpu1 cr3^1000")
}

// TestUserMode: every CPU in user mode, without KVA shadow.
func TestUserMode(t *testing.T) {
	g := newGuest(t)
	cr3 := g.m.CPUs[0].X64.CR3
	g.enterUser(mem.PA(cr3))
	g.found(nil, demoDTB, "cpu0 cr3")
}

// reset is the state of a CPU that was never started.
func reset() *machine.X64State {
	return &machine.X64State{System: true, RIP: 0xfff0, RFLAGS: 2, CR0: 0x60000010,
		IDT: machine.Segment{Limit: 0xffff}, GDT: machine.Segment{Limit: 0xffff}, HasKernelGSBase: true}
}

func TestResetCPU(t *testing.T) {
	g := newGuest(t)
	g.m.CPUs[0].X64 = reset()
	g.m.CPUs[1].X64.CR3 = demoDTB
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
		c.X64.CR3, c.X64.CR4 = uint64(top), c.X64.CR4|machine.CR4LA57
	}
	k := g.found(nil, top, "cpu0 cr3")
	if k.Space.Mode != paging.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	// By scan: the root maps itself once; the CPUs tell the mode, then do not.
	g.noSelfMaps()
	g.phys64(top+8*300, uint64(top)|0x63)
	g.lose()
	if k = g.found(nil, top, "self-map scan"); k.Space.Mode != paging.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	for _, c := range g.m.CPUs {
		c.X64.CR0 &^= machine.CR0Paging
	}
	k = g.found(nil, top, "self-map scan")
	if k.Space.Mode != paging.X64L5 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
}

// TestModeMisread: where every note tells the wrong number of levels, the scans
// try the other one.
func TestModeMisread(t *testing.T) {
	g := newGuest(t)
	g.selfMap(demoDTB)
	for _, c := range g.m.CPUs {
		c.X64.CR4 |= machine.CR4LA57
	}
	if k := g.found(nil, demoDTB, "self-map scan"); k.Space.Mode != paging.X64 {
		t.Errorf("mode %s", k.Space.Mode.Name)
	}
	g.noSelfMaps()
	if k := g.found(nil, demoDTB, "kdbg scan"); k.Space.Mode != paging.X64 {
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
	pa, _, err := g.s.Translate(sharedData)
	if err != nil {
		t.Fatal(err)
	}
	g.phys64(only+8*400, uint64(only)|0x63)
	g.phys64(shared+8*400, uint64(shared)|0x63)
	g.mapPage(shared, paging.X64, sharedData, pa.Page())
	g.phys64(two+8*400, uint64(two)|0x63)
	g.phys64(two+8*401, uint64(two)|0x63)
	g.mapPage(two, paging.X64, sharedData, pa.Page())
	g.selfMap(demoDTB)
	g.lose()
	k := g.found(nil, demoDTB, "self-map scan")
	if k.HeaderDTB != demoDTB {
		t.Errorf("header %#x", uint64(k.HeaderDTB))
	}
	f := &finder{ctx: context.Background(), m: g.m}
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
	g.m.CPUs[0].X64.CR3 = uint64(clone) ^ 0x1000
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
		if err != nil || k.Image.Base != demoBase || k.DTBFrom != "kdbg scan" || k.HeaderDTB != demoDTB {
			t.Fatalf("encoded %v: %v\n%s", encoded, err, strings.Join(g.lines, "\n"))
		}
	}
}

func TestLowStub(t *testing.T) {
	g := newGuest(t)
	g.lose()
	for _, c := range g.m.CPUs {
		c.X64.IDT.Base = 0 // only the stub's kernel address leads on
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
	compat := func(g *guest) (*Kernel, error) {
		return g.locateWith(Options{Symbols: demoSymbols{}, Compat: true})
	}
	g := newGuest(t)
	if k, err := compat(g); err != nil || k.DTBFrom != "cpu0 cr3" {
		t.Fatal(err)
	}
	user := g.userRoot()
	g.m.CPUs[0].X64.CR3 = uint64(user)
	g.m.CPUs[1].X64.CR3 = demoDTB
	// CPU 0 runs in the kernel with a root that does not work: its answer is final.
	if _, err := compat(g); err == nil {
		t.Errorf("the second CPU was tried, which upstream does not do")
	}
	g.found(nil, demoDTB, "cpu1 cr3")

	g = newGuest(t)
	g.enterUser(g.userRoot())
	g.forgetRoots()
	g.put64(g.m.CPUs[0].X64.KPCR()+0x7000, demoDTB)
	if k, err := compat(g); err != nil || k.DTBFrom != "[cpu0 KERNEL_GS_BASE+7000]" {
		t.Error(err)
	}
	g.m.CPUs[1].X64.HasKernelGSBase = false
	if _, err := compat(g); err == nil {
		t.Errorf("a CPU without KERNEL_GS_BASE ends upstream's third way")
	}
	g.found(nil, demoDTB, "kpcr scan cpu0")
}

func TestCancel(t *testing.T) {
	g := newGuest(t)
	g.lose()
	for i := mem.PA(256); i < 512; i++ {
		g.phys64(demoDTB+8*i, 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	o := Options{Sink: progress.Sink{OnProgress: func(stage string, done, total int64) {
		if done < 0 || done > total || stage == "" {
			t.Errorf("%s %d of %d", stage, done, total)
		}
		if calls++; calls == 3 {
			cancel()
		}
	}}}
	if _, err := Locate(ctx, g.m, o); !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("%v after %d reports", err, calls)
	}
	if _, err := Locate(ctx, g.m, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// emptyMemory is a lot of memory with nothing in it.
type emptyMemory struct{ bytes uint64 }

func (m emptyMemory) ReadAt(p []byte, _ mem.PA) error { clear(p); return nil }
func (m emptyMemory) Extents() []mem.Extent           { return []mem.Extent{{Bytes: m.bytes}} }

func TestNothingThere(t *testing.T) {
	m := &machine.Machine{Mem: emptyMemory{512 << 20}, CPUs: []machine.CPU{{X64: reset()}}}
	_, err := Locate(context.Background(), m, Options{})
	if !fault.Is(err, fault.KernelPagedState) {
		t.Errorf("empty memory: %v", err)
	}
	if hints := strings.Join(fault.As(err).Remedy(), "\n"); !strings.Contains(hints, "self-map scan") || !strings.Contains(hints, "low stub") {
		t.Errorf("the strategies are not named: %s", hints)
	}
}

// circular is memory in which every table entry leads to the same page: the
// whole space is mapped, and the sweep has no end of its own.
type circular struct{ emptyMemory }

func (m circular) ReadAt(p []byte, pa mem.PA) error {
	for i := range p {
		p[i] = []byte{0x63, 0x10, 0, 0, 0, 0, 0, 0}[(int(pa)+i)%8]
	}
	return nil
}

func TestTablesThatLeadToThemselves(t *testing.T) {
	x := reset()
	x.CR0, x.CR3, x.IDT.Base, x.RIP, x.GS.Base = 0x80050033, 0x1000, 0xfffff80000000000, 0xfffff90000000000, 0xffff800000000000
	m := &machine.Machine{Mem: circular{emptyMemory{16 << 20}}, CPUs: []machine.CPU{{X64: x}}}
	if _, err := Locate(context.Background(), m, Options{}); err == nil {
		t.Error("a kernel was found")
	}
}

// TestEndlessKernels: tables that map one page nearly everywhere, and that page
// is the header of an image that looks like the kernel, with a large section to
// search. The search gives up after so many.
func TestEndlessKernels(t *testing.T) {
	data := make([]byte, 64<<10)
	p := data[0x1000:0x2000]
	copy(p, le64(0x5a4d)) // "MZ", and a table entry that leads to 0x5000
	for off := 0x800; off < 0x1000; off += 8 {
		copy(p[off:], le64(0x1063))
	}
	const nt = 0x80
	p[0x3c] = nt
	copy(p[nt:], "PE\x00\x00\x64\x86\x01")
	p[nt+0x14] = 0xf0
	copy(p[nt+0x18:], []byte{0x0b, 2})
	copy(p[nt+0x50:], le32(0x08000000))
	p[nt+0x84] = 16
	section := p[nt+0x18+0xf0:]
	copy(section, "POOLCODE")
	copy(section[8:], le32(0x07000000))
	copy(section[12:], le32(0x1000))
	copy(section[36:], le32(0xc0000040))
	copy(data[0x5000:], le64(0x6063))
	copy(data[0x6000:], le64(0x7063))
	copy(data[0x7800:], []byte{0, 0xf0, 0x10, 0, 0, 0x8e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	file, err := mem.NewFile(bytes.NewReader(data), int64(len(data)), []mem.Extent{{Bytes: uint64(len(data))}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := reset()
	x.CR0, x.CR3, x.IDT.Base = 0x80050033, 0x1000, uint64(sharedData)+0x800
	var kernels int
	o := Options{Sink: progress.Sink{OnLine: func(l string) {
		if strings.HasPrefix(l, "kernel image at") {
			kernels++
		}
	}}}
	k, err := Locate(context.Background(), &machine.Machine{Mem: file, CPUs: []machine.CPU{{X64: x}}}, o)
	if !fault.Is(err, fault.KDBGMissing) || k == nil || kernels < 2 || kernels > maxKernels {
		t.Errorf("%d kernels, %v", kernels, err)
	}
}

func TestEncryptedLooks(t *testing.T) {
	random := rand.New(rand.NewSource(5))
	noise := make([]byte, 4<<20)
	random.Read(noise)
	text := bytes.Repeat([]byte("a guest's memory is not random at all"), 4<<20/37)
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{"noise": {noise, true}, "text": {text, false}, "zeros": {make([]byte, 4<<20), false}} {
		n := int64(len(c.data)) &^ (mem.PageSize - 1)
		file, err := mem.NewFile(bytes.NewReader(c.data), int64(len(c.data)), []mem.Extent{{Bytes: uint64(n / 2)}, {Start: 1 << 30, Bytes: uint64(n / 2), Offset: n / 2}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := looksEncrypted(file); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		m := &machine.Machine{Mem: file, CPUs: []machine.CPU{{X64: reset()}}}
		m.CPUs[0].X64.CR0 |= machine.CR0Paging
		if _, err := Locate(context.Background(), m, Options{}); fault.Is(err, fault.EncryptedGuest) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// streamer is a source with a stream, as a browser's file has one.
type streamer struct {
	*bytes.Reader
	streamed int64
}

func (s *streamer) Stream(off, n int64, buffer []byte, visit func(p []byte) error) error {
	for n > 0 {
		p := buffer[:min(int64(len(buffer)), n)]
		if _, err := s.ReadAt(p, off); err != nil {
			return err
		}
		if err := visit(p); err != nil {
			return err
		}
		off, n, s.streamed = off+int64(len(p)), n-int64(len(p)), s.streamed+int64(len(p))
	}
	return nil
}

// TestScanStreams: a pass over all of memory reads by the source's stream where
// it has one, through every layer between.
func TestScanStreams(t *testing.T) {
	files, err := demoFiles()
	if err != nil {
		t.Fatal(err)
	}
	src := &streamer{Reader: bytes.NewReader(files[0])}
	m, err := elfcore.Open(context.Background(), machine.Source{ReaderAt: src, Size: src.Size(), Name: "core"}, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.CPUs {
		c.X64.CR3, c.X64.GS.Base = 0x3000, 0
	}
	k, err := Locate(context.Background(), m, Options{})
	if err != nil || k.DTBFrom != "self-map scan" || k.HeaderDTB != demoDTB {
		t.Fatal(err)
	}
	if src.streamed != 12<<20 {
		t.Errorf("%d bytes were streamed, the core holds %d", src.streamed, 12<<20)
	}
}
