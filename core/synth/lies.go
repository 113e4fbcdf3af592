package synth

import "coredrop/core/mem"

// What an edit may do to what lies around a kernel, or says where it is.

// header gives the offset of the kernel image's NT headers from its base, and of
// its section table.
func (g *Editor) header() (nt, table uint64) {
	nt = uint64(le.Uint32(g.Read(kernelBase+0x3c, 4)))
	return nt, nt + 0x18 + uint64(le.Uint16(g.Read(kernelBase+nt+0x14, 2)))
}

// NoSections says in the kernel's header that its section table is empty.
func (g *Editor) NoSections() {
	nt, _ := g.header()
	g.Write(kernelBase+nt+6, []byte{0, 0})
}

// Sections gives the address of the kernel's section table and how many entries
// it has.
func (g *Editor) Sections() (table uint64, entries int) {
	_, at := g.header()
	return kernelBase + at, len(g.lay.sections)
}

// ReadOnly takes the right to be written from every section of the kernel.
func (g *Editor) ReadOnly() {
	table, n := g.Sections()
	for i := range n {
		at := table + uint64(40*i) + 0x24
		g.Write32(at, le.Uint32(g.Read(at, 4))&^(1<<31))
	}
}

// MoveSections moves every section of the kernel's table by some bytes: none is
// where the table has it.
func (g *Editor) MoveSections(by uint32) {
	table, n := g.Sections()
	for i := range n {
		at := table + uint64(40*i) + 0xc
		g.Write32(at, le.Uint32(g.Read(at, 4))+by)
	}
}

// ImageBytes says in the kernel's header that its image has n bytes.
func (g *Editor) ImageBytes(n uint32) {
	nt, _ := g.header()
	g.Write32(kernelBase+nt+0x50, n)
}

// Lose leaves the page at a kernel address out of the core: it is mapped, and its
// memory is not there.
func (g *Editor) Lose(va uint64) {
	g.lost = append(g.lost, g.pages[va&^(mem.PageSize-1)])
}

// loads gives the guest's memory without the pages that are lost.
func (g *Editor) loads() []Load {
	if g.ram.apart != 0 {
		return []Load{g.ram.load()}
	}
	out := []Load{{PA: ramBase, Data: g.ram.data}}
	for _, pa := range g.lost {
		for i, l := range out {
			if pa >= l.PA && pa < l.PA+mem.PA(len(l.Data)) {
				before, after := l.Data[:pa-l.PA], l.Data[pa-l.PA+mem.PageSize:]
				out = append(out[:i:i], append([]Load{{PA: l.PA, Data: before}, {PA: pa + mem.PageSize, Data: after}}, out[i+1:]...)...)
				break
			}
		}
	}
	return out
}

// CodeView is the address of the kernel's CodeView record.
func (g *Editor) CodeView() uint64 { return kernelBase + uint64(g.lay.records) }

// Exports is the address of the kernel's export directory.
func (g *Editor) Exports() uint64 { return kernelBase + uint64(g.lay.exports) }

// FarGate makes every processor's gates lead to some GiB of mapped memory above
// the kernel: one page, mapped everywhere.
func (g *Editor) FarGate(gib int) {
	const first = kernelBase&^(1<<30-1) + 1<<30
	page := g.ram.alloc(1, mem.PageSize)
	g.WritePhysical(page, Noise(9, mem.PageSize))
	small, large := g.ram.alloc(1, mem.PageSize), g.ram.alloc(1, mem.PageSize)
	for i := range 512 {
		g.ram.page(small).u64(8*i, uint64(page)|kernelPage)
		g.ram.page(large).u64(8*i, uint64(small)|tableEntry)
	}
	for i := range uint64(gib) {
		g.system.set(first+i<<30, 3, uint64(large)|tableEntry)
	}
	g.Truth.Handler = first + uint64(gib)<<30 - 0xf00
	for _, kpcr := range g.Truth.KPCR {
		for v := 0; kpcr != 0 && v < 32; v++ {
			g.gate(kpcr+idtOffset, v, g.Truth.Handler+uint64(0x40*v))
		}
	}
}

// TearLists makes both lists that the debugger block leads to unusable: their
// heads lead nowhere.
func (g *Editor) TearLists() {
	for _, head := range []uint64{g.Truth.ModuleList, g.Truth.ProcessHead} {
		g.Write64(head, 0xffffdead00000000)
		g.Write64(head+8, 0xffffdead00000010)
	}
}

// SetProcess gives the process at an index another name and page-table base.
func (g *Editor) SetProcess(i int, name string, dtb mem.PA) {
	p := &g.Truth.Processes[i]
	p.Name, p.DTB = name, dtb
	g.Write(p.VA+uint64(g.lay.process.Name), append([]byte(name), make([]byte, 15-len(name))...))
	g.Write64(p.VA+0x28, uint64(dtb))
}

// OwnTables makes page tables that map nothing of Windows.
func (g *Editor) OwnTables() mem.PA {
	t := g.newTables()
	t.set(userCode, 1, uint64(g.ram.alloc(1, mem.PageSize))|userPage)
	return t.root
}

// KernelTables makes page tables of a process that has the kernel's half, as it is
// by now, and nothing else.
func (g *Editor) KernelTables() mem.PA {
	t := g.newTables()
	t.shareKernel(g.system)
	t.selfMap()
	return t.root
}

// EndProcesses ends the process list behind its first n.
func (g *Editor) EndProcesses(n int) {
	var entries []uint64
	for _, p := range g.Truth.Processes[:n] {
		entries = append(entries, p.VA+uint64(g.lay.process.Links))
	}
	g.link(g.Truth.ProcessHead, entries...)
	g.Truth.Processes = g.Truth.Processes[:n]
}

// NoSelfMaps takes the entry away by which each root maps itself.
func (g *Editor) NoSelfMaps() {
	for _, t := range []*tables{g.system, g.process} {
		t.ram.page(t.root).u64(8*selfIndex, 0)
	}
}

// SecondBlock registers a driver's debugger block beside the kernel's: the links
// of the kernel's own list entry are no longer equal.
func (g *Editor) SecondBlock() {
	g.opts.SecondBlock = true
	g.debuggerBlock()
}

// StaleBlock puts a debugger block in clear, which leads to no processes, into a
// section that the table says can be written to.
func (g *Editor) StaleBlock() {
	at := kernelBase + uint64(g.lay.rdata) + 0x800
	b := append(image{}, g.Truth.KDBGPlain...)
	b.u64(0x50, at-0x100)
	g.Write(at-0x100, make([]byte, 0x100))
	g.Write(at, b)
	table, n := g.Sections()
	for i := range n {
		s := table + uint64(40*i)
		if uint64(le.Uint32(g.Read(s+0xc, 4))) == uint64(g.lay.rdata) {
			g.Write32(s+0x24, 0xc0000040)
		}
	}
}
