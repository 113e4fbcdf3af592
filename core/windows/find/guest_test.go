package find

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"
	"strings"
	"sync"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// The built-in core's facts, from its truth.json.
const (
	demoDTB    = 0x1ad000
	demoBase   = mem.VA(0xfffff80312a00000)
	demoKDBG   = demoBase + demoKDBGAt
	demoTop    = mem.PA(0xd00000) // its memory is 1 MiB to 13 MiB
	lowMemory  = 1 << 20
	demoKDBGAt = 0x1ce20
)

var demoFiles = sync.OnceValues(func() ([2][]byte, error) {
	core, err := demo.Core()
	if err != nil {
		return [2][]byte{}, err
	}
	symbols, err := demo.PDB()
	return [2][]byte{core, symbols}, err
})

// Where a debugger block has its tag, "KDBG".
const (
	tagAt    = 0x10
	tagValue = 0x4742444b
)

// guest is the built-in core with its memory and registers open to changes: the
// real thing is the one where everything fits together, and a test breaks what
// it is about.
type guest struct {
	t     testing.TB
	m     *machine.Machine
	mem   *mem.Overlay
	s     *paging.Space // of System
	free  mem.PA        // next page to hand out, downwards
	lines []string
}

// newGuest opens the core anew, with 1 MiB of empty memory below it.
func newGuest(t testing.TB) *guest {
	t.Helper()
	files, err := demoFiles()
	if err != nil {
		t.Fatal(err)
	}
	src := source.Source{ReaderAt: bytes.NewReader(files[0]), Size: int64(len(files[0])), Name: demo.CoreName}
	m, err := elfcore.Open(context.Background(), src, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	extents := append([]mem.Extent{{Bytes: lowMemory, Offset: int64(len(files[0]))}}, m.Mem.Extents()...)
	file, err := mem.NewFile(source.Source{ReaderAt: withZeros{files[0]}, Size: int64(len(files[0])) + lowMemory}, extents, 0)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, m: m, mem: mem.NewOverlay(file), free: demoTop}
	m.Mem = g.mem
	g.s = paging.New(g.mem, demoDTB, paging.X64)
	return g
}

// withZeros is bytes with zeros behind them.
type withZeros struct{ p []byte }

func (z withZeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z.p)) {
		copy(p, z.p[off:])
	}
	return len(p), nil
}

// demoSymbols gives the built-in PDB, whatever is asked for when any is set.
type demoSymbols struct{ any bool }

func (d demoSymbols) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	if !d.any && !strings.Contains(demo.PDBKey, cv.Key()) {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
	}
	files, err := demoFiles()
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	f, err := pdb.Open(bytes.NewReader(files[1]), int64(len(files[1])))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "demo"}, err
}

// locate runs the search.
func (g *guest) locate(s windows.Symbols) (*windows.Kernel, error) {
	return g.locateWith(Options{Symbols: s})
}

func (g *guest) locateWith(o Options) (*windows.Kernel, error) {
	g.lines = nil
	o.Sink = progress.Sink{OnLine: func(l string) { g.lines = append(g.lines, l) }}
	return Locate(context.Background(), g.m, o)
}

// found demands that the kernel is found, through dtb, by the strategy from.
func (g *guest) found(s windows.Symbols, dtb mem.PA, from string) *windows.Kernel {
	g.t.Helper()
	k, err := g.locate(s)
	if err != nil {
		g.t.Fatalf("%v %q\n%s", err, fault.As(err).Remedy(), strings.Join(g.lines, "\n"))
	}
	if k.Image.Base != demoBase || k.DTB != dtb || k.DTBFrom.String() != from {
		g.t.Fatalf("kernel %v through %#x from %q, want %v through %#x from %q\n%s", k.Image.Base, uint64(k.DTB), k.DTBFrom, demoBase, uint64(dtb), from, strings.Join(g.lines, "\n"))
	}
	if len(k.Modules) == 0 || len(k.Processes) == 0 || len(k.Processors) != 2 {
		g.t.Fatalf("%d modules, %d processes, %d processors", len(k.Modules), len(k.Processes), len(k.Processors))
	}
	return k
}

// refused demands an error with a code.
func (g *guest) refused(s windows.Symbols, code fault.Code) *fault.Error {
	g.t.Helper()
	_, err := g.locate(s)
	if !fault.Is(err, code) {
		g.t.Fatalf("got %v, want %s\n%s", err, code, strings.Join(g.lines, "\n"))
	}
	return fault.As(err)
}

// warned reports whether a kernel carries a warning with the code.
func warned(k *windows.Kernel, code fault.Code) bool {
	for _, w := range k.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// get and put read and write guest memory by System's addresses.
func (g *guest) get(va mem.VA, n int) []byte {
	g.t.Helper()
	p := make([]byte, n)
	if err := g.s.ReadAt(p, va); err != nil {
		g.t.Fatal(err)
	}
	return p
}

func (g *guest) put(va mem.VA, p []byte) {
	g.t.Helper()
	for len(p) > 0 {
		pa, left, err := g.s.Translate(va)
		if err != nil {
			g.t.Fatal(err)
		}
		n := min(len(p), int(left), int(mem.PageSize-va%mem.PageSize))
		g.write(pa, p[:n])
		p, va = p[n:], va+mem.VA(n)
	}
}

func (g *guest) write(pa mem.PA, p []byte) {
	g.t.Helper()
	if err := g.mem.Write(pa, p); err != nil {
		g.t.Fatal(err)
	}
}

func le64(values ...uint64) (p []byte) {
	for _, v := range values {
		p = binary.LittleEndian.AppendUint64(p, v)
	}
	return p
}

func (g *guest) get64(va mem.VA) uint64     { return binary.LittleEndian.Uint64(g.get(va, 8)) }
func (g *guest) put64(va mem.VA, v uint64)  { g.t.Helper(); g.put(va, le64(v)) }
func (g *guest) phys64(pa mem.PA, v uint64) { g.t.Helper(); g.write(pa, le64(v)) }

func (g *guest) physGet64(pa mem.PA) uint64 {
	var p [8]byte
	if err := g.mem.ReadAt(p[:], pa); err != nil {
		g.t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(p[:])
}

// page hands out a page of memory that nothing uses, filled with zeros.
func (g *guest) page() mem.PA {
	for {
		g.free -= mem.PageSize
		p, _, err := mem.ReadPage(g.mem, g.free)
		if err != nil {
			g.t.Fatal(err)
		}
		if bytes.Equal(p, make([]byte, mem.PageSize)) {
			return g.free
		}
	}
}

// mapPage maps a page in the tables below a root.
func (g *guest) mapPage(rootPA mem.PA, mode *paging.Mode, va mem.VA, pa mem.PA) {
	table := rootPA
	for _, l := range mode.Levels {
		at := table + mem.PA(8*(uint64(va)>>l.Shift&511))
		if l.Shift == 12 {
			g.phys64(at, uint64(pa)|0x63)
			return
		}
		e := g.physGet64(at)
		if e&1 == 0 {
			e = uint64(g.page()) | 0x63
			g.phys64(at, e)
		}
		table = mem.PA(e & mode.Address)
	}
}

// userRoot makes the root of a KVA-shadow process: its tables map the control
// regions and interrupt tables of all CPUs, and nothing else of the kernel.
func (g *guest) userRoot() mem.PA {
	user := g.page()
	for _, c := range g.m.CPUs {
		for _, start := range []mem.VA{windows.KPCR(c.State), mem.VA(c.State.Get(cpu.IDTBase))} {
			for va := start.Page(); va < start+pcrBytes; va += mem.PageSize {
				if pa, _, err := g.s.Translate(va); err == nil {
					g.mapPage(user, paging.X64, va, pa)
				}
			}
		}
	}
	return user
}

// enterUser puts every CPU into user mode with a root of its own.
func (g *guest) enterUser(cr3 mem.PA) {
	for _, c := range g.m.CPUs {
		x := c.State
		kpcr := windows.KPCR(x)
		x.SetAll(cpu.Values{cpu.GSBase: 0x7ff000, cpu.KernelGSBase: uint64(kpcr), cpu.CS: 0x33, cpu.RIP: 0x7ff712345678, cpu.RSP: 0x7ff000100, cpu.CR3: uint64(cr3)})
	}
}

// lose makes every CPU's root useless and hides the control regions.
func (g *guest) lose() {
	for _, c := range g.m.CPUs {
		x := c.State
		x.SetAll(cpu.Values{cpu.CR3: 0x3000, // an empty page
			cpu.GSBase: 0, cpu.KernelGSBase: 0, cpu.CS: 0x33, cpu.RIP: 0x7ff712345678, cpu.RSP: 0x7ff000100})
	}
}

// plain is the debugger block in clear, encoded puts it back with other keys.
func (g *guest) plain() []byte {
	g.t.Helper()
	k, err := g.locate(demoSymbols{})
	if err != nil {
		g.t.Fatal(err)
	}
	return bytes.Clone(k.KDBG.Plain)
}

// encode is the encoding of Windows, written down once more and solved
// for the encoded word.
func encode(plain []byte, never, always uint64, flag mem.VA) []byte {
	out := make([]byte, len(plain))
	for i := 0; i < len(plain); i += 8 {
		p := binary.LittleEndian.Uint64(plain[i:])
		binary.LittleEndian.PutUint64(out[i:], bits.RotateLeft64(bits.ReverseBytes64(p^always)^uint64(flag), -int(never&63))^never)
	}
	return out
}

// symbol gives the address of one of the kernel's publics.
func (g *guest) symbol(name string) mem.VA {
	f, _, err := demoSymbols{any: true}.PDB(context.Background(), pe.CodeView{})
	if err != nil {
		g.t.Fatal(err)
	}
	rvas, err := f.Lookup(name)
	if err != nil || rvas[name] == 0 {
		g.t.Fatalf("%s: %v", name, err)
	}
	return demoBase + mem.VA(rvas[name])
}

// room finds n bytes of zeros in a writable section, the number-th place of that
// kind, at an address that is offset in its page when offset is not negative.
func (g *guest) room(n, offset int) mem.VA {
	img, err := pe.Read(g.s, demoBase)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, sec := range img.Sections {
		if !sec.Writable() {
			continue
		}
		for at := uint32(0); at+uint32(n) <= sec.VirtualSize; at += 8 {
			va := demoBase + mem.VA(sec.VirtualAddress+at)
			if offset >= 0 && int(va%mem.PageSize) != offset {
				continue
			}
			p := make([]byte, n)
			if g.s.ReadAt(p, va) == nil && bytes.Equal(p, make([]byte, n)) {
				return va
			}
		}
	}
	g.t.Fatalf("no room for %#x bytes", n)
	return 0
}

// erase overwrites the debugger block where it is.
func (g *guest) erase() { g.put(demoKDBG, bytes.Repeat([]byte{0xee, 1}, 0x380/2)) }

func TestGuestIsWhole(t *testing.T) {
	g := newGuest(t)
	for _, s := range []windows.Symbols{demoSymbols{}, nil} {
		k := g.found(s, demoDTB, "cpu0 cr3")
		if len(k.Warnings) != 0 || k.KDBG.VA != demoKDBG {
			t.Errorf("block at %v, warnings %v", k.KDBG.VA, k.Warnings)
		}
	}
}
