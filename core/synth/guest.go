package synth

import (
	"fmt"
	"unicode/utf16"

	"coredrop/core/machine"
	"coredrop/core/mem"
)

// Editor is a guest while it is built; Options.Edit may change it.
type Editor struct {
	Truth *Truth
	opts  Options
	lay   *layout
	ram   ram
	noise noise
	pages map[uint64]mem.PA // kernel addresses

	system, process, shadow *tables
	others                  map[string]*tables

	poolNext uint64
	spare    []mem.PA
	lost     []mem.PA // pages that are not in the core
	cpus     []machine.CPU
	notes    []machine.Note
}

// Where the guest's things are; the regions are those of Windows 10.
const (
	kernelBase   = 0xfffff80312a00000
	impostorAt   = kernelBase + 0x400000
	decoyAt      = kernelBase + 0x600000
	handlerAt    = kernelBase + 0x800000
	halAt        = decoyAt + 0x40000
	driverAt     = kernelBase + 0x2000000
	dumpDriverAt = kernelBase + 0x2100000
	hypervisorAt = 0xfffff87500000000
	secureAt     = 0xfffff80500000000
	stackAt      = 0xffff9e0a00000000
	stackGo      = 0x7000 // a kernel stack and the guard page below the next
	sharedAt     = 0xfffff78000000000
	sharedUser   = 0x7ffe0000
	processorAt  = 0xffffa78000000000
	processorGo  = 0x20000 // from one processor's pages to the next
	poolAt       = 0xffff8d0c00000000
	userCode     = 0x7ff612340000
	userStack    = 0x000000a45d200000
	userTEB      = 0x000000a45d0f1000
)

// Guest builds a guest and takes its core.
func Guest(o Options) *Built {
	g := &Editor{opts: o, noise: noise(o.Seed + 1), pages: map[uint64]mem.PA{}, poolNext: poolAt + 0x1000, ram: ram{spread: spreadOf(o)}}
	if len(g.opts.CPUs) == 0 {
		g.opts.CPUs = []Mode{Kernel}
	}
	g.lay = defaultLayout(o)
	if t := o.Tables; t != nil {
		g.lay = realLayout(t)
		o.Build, o.PDBName, o.GUID, o.Age = t.Build, t.PDB.Name, t.guid(), t.PDB.Age
		g.opts.KDBGSize = or(o.KDBGSize, t.KDBGSize())
	}
	g.opts.Layout = g.lay.process
	g.Truth = &Truth{
		KernelBase: kernelBase, PDBName: or(o.PDBName, "ntkrnlmp.pdb"), Age: or(o.Age, 1),
		GUID:        or(o.GUID, [16]byte{0x0f, 0xa0, 0xdc, 0xad, 0x45, 0xc3, 0x6b, 0x45, 0xa1, 0x6e, 0x26, 0x87, 0x45, 0x72, 0x40, 0x99}),
		ProductType: 1, SuiteMask: 0x110, Build: uint32(or(o.Build, 19041)),
		SystemTime: 0x01da05f3a5c7b2d4, InterruptTime: 0x0000000a1b2c3d4e,
	}
	g.system = g.newTables()
	g.system.selfMap()
	g.process = g.newTables()
	g.shared()
	g.kernelImage()
	g.processors()
	g.lists()
	g.debuggerBlock()
	g.between()
	g.process.shareKernel(g.system)
	g.process.selfMap()
	g.userHalf()
	g.states()
	g.fwCfg()
	if o.Edit != nil {
		o.Edit(g)
	}
	return g.core()
}

func (g *Editor) core() *Built {
	e := ELF{CPUs: g.cpus, Guest: g.notes}
	e.Loads = append(g.loads(), Fragments(g.opts.ExtraRuns, 0x40000000)...)
	if g.opts.ShuffleRuns != 0 {
		e.Loads = Shuffle(e.Loads, g.opts.ShuffleRuns)
	}
	return &Built{Truth: *g.Truth, ELF: e, Core: WriteELF(e), Opts: g.opts, ram: g.ram}
}

// CPUs gives the CPUs' registers, to be changed in place.
func (g *Editor) CPUs() []machine.CPU { return g.cpus }

// Sym is the address of a kernel variable.
func (g *Editor) Sym(name string) uint64 {
	rva, ok := g.Truth.Symbols[name]
	if !ok {
		panic("no symbol " + name)
	}
	return kernelBase + uint64(rva)
}

// Map maps one page of the kernel half at va and gives its physical address; a
// page that is mapped already stays.
func (g *Editor) Map(va uint64) mem.PA {
	page := va &^ (mem.PageSize - 1)
	pa, ok := g.pages[page]
	if !ok {
		// Reversed, so that what is neighbours in virtual memory is not in physical.
		if len(g.spare) == 0 {
			first := g.ram.alloc(g.ram.group, mem.PageSize)
			for i := range g.ram.group {
				g.spare = append(g.spare, first+mem.PA(i*mem.PageSize))
			}
		}
		pa = g.spare[len(g.spare)-1]
		g.spare = g.spare[:len(g.spare)-1]
		g.mapTo(page, pa, kernelPage)
	}
	return pa + mem.PA(va-page)
}

func (g *Editor) mapTo(page uint64, pa mem.PA, flags uint64) {
	g.pages[page] = pa
	g.system.set(page, 1, uint64(pa)|flags)
}

// Unmap takes away the page at va; its memory stays. It must not be part of a
// large page.
func (g *Editor) Unmap(va uint64) {
	g.system.set(va&^(mem.PageSize-1), 1, 0)
}

// Trim takes the page at va from Windows' working set, not from memory: its
// entry becomes a transition one, with the bit that Windows sets against L1TF.
func (g *Editor) Trim(va uint64) {
	page := va &^ (mem.PageSize - 1)
	g.system.set(page, 1, uint64(g.pages[page])|pteTransition)
}

// Write puts bytes at a kernel address, mapping pages as needed.
func (g *Editor) Write(va uint64, p []byte) {
	for len(p) > 0 {
		pa := g.Map(va)
		n := min(len(p), int(mem.PageSize-pa%mem.PageSize))
		copy(g.ram.data[g.ram.at(pa):], p[:n])
		p, va = p[n:], va+uint64(n)
	}
}

// WritePhysical puts bytes at a physical address of the guest's memory.
func (g *Editor) WritePhysical(pa mem.PA, p []byte) { g.ram.data.put(g.ram.at(pa), p) }

// Write64 puts a 64-bit word at a kernel address.
func (g *Editor) Write64(va, v uint64) { g.Write(va, le.AppendUint64(nil, v)) }

// Write32 puts a 32-bit word at a kernel address.
func (g *Editor) Write32(va uint64, v uint32) { g.Write(va, le.AppendUint32(nil, v)) }

// Read gives bytes at a mapped kernel address.
func (g *Editor) Read(va uint64, n int) []byte {
	var out []byte
	for len(out) < n {
		pa, ok := g.pages[va&^(mem.PageSize-1)]
		if !ok {
			panic(fmt.Sprintf("%#x is not mapped", va))
		}
		part := g.ram.page(pa)[va%mem.PageSize:]
		out = append(out, part[:min(len(part), n-len(out))]...)
		va = (va | (mem.PageSize - 1)) + 1
	}
	return out
}

// Alloc takes n bytes of pool, aligned to 16.
func (g *Editor) Alloc(n int) uint64 {
	va := g.poolNext
	g.poolNext = (va + uint64(n) + 15) &^ 15
	for page := va &^ (mem.PageSize - 1); page < va+uint64(n); page += mem.PageSize {
		g.Map(page)
	}
	return va
}

// allocCrossing takes n bytes of pool that cross a page boundary.
func (g *Editor) allocCrossing(n int) uint64 {
	at := (g.poolNext+mem.PageSize-1)&^(mem.PageSize-1) + mem.PageSize - 0x2d0
	g.poolNext = at
	return g.Alloc(n)
}

// unicode puts a UNICODE_STRING at va and its text into pool.
func (g *Editor) unicode(va uint64, s string) {
	var raw []byte
	for _, u := range utf16.Encode([]rune(s)) {
		raw = le.AppendUint16(raw, u)
	}
	text := g.Alloc(len(raw) + 2)
	g.Write(text, raw)
	h := make(image, 16)
	h.u16(0, uint16(len(raw)))
	h.u16(2, uint16(len(raw)+2))
	h.u64(8, text)
	g.Write(va, h)
}

// link makes a ring of a list head and entries.
func (g *Editor) link(head uint64, entries ...uint64) {
	ring := append([]uint64{head}, entries...)
	for i, at := range ring {
		g.Write64(at, ring[(i+1)%len(ring)])
		g.Write64(at+8, ring[(i+len(ring)-1)%len(ring)])
	}
}

// shared lays out KUSER_SHARED_DATA.
func (g *Editor) shared() {
	k := make(image, mem.PageSize)
	clock := func(off int, t uint64) {
		k.u32(off, uint32(t))
		k.u32(off+4, uint32(t>>32))
		k.u32(off+8, uint32(t>>32))
	}
	clock(0x08, g.Truth.InterruptTime)
	clock(0x14, g.Truth.SystemTime)
	for i, u := range utf16.Encode([]rune(`C:\Windows`)) {
		k.u16(0x30+2*i, u)
	}
	if g.lay.buildInShared {
		k.u32(0x260, 0xf0000000|g.Truth.Build)
	}
	k.u32(0x264, g.Truth.ProductType)
	k[0x268] = 1
	k.u32(0x26c, g.lay.major)
	k.u32(0x2d0, g.Truth.SuiteMask)
	k.u32(0x2e8, 0x3000)
	k.u64(0x320, g.Truth.InterruptTime/156250)
	n := 0
	for _, m := range g.opts.CPUs {
		if m != Reset {
			n++
		}
	}
	k.u32(0x3c0, uint32(n))
	g.Write(sharedAt, k)
}
