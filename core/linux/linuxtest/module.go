package linuxtest

import "encoding/binary"

// ModuleForm is how a release, or a randomised build, lays out struct module.
type ModuleForm struct {
	Name   string
	Stride int // of the areas
	Size   int // of an area: where its size is
	Copy   bool
	Random bool // members are not where they usually are
}

// ModuleForms are those that kernels have.
func ModuleForms() []ModuleForm {
	return []ModuleForm{
		{Name: "core_layout", Stride: 80, Size: 8},
		{Name: "6.4", Stride: 72, Size: 8},
		{Name: "6.13", Stride: 80, Size: 20, Copy: true},
		{Name: "7.2", Stride: 72, Size: 12},
		{Name: "randomised", Stride: 72, Size: 12, Random: true},
	}
}

// Where a guest's first module is, in its virtual and physical memory.
const (
	ModulesVA = moduleArea
	ModulesPA = physModules
)

// Module is a module of a guest.
type Module struct {
	Name     string
	Text     uint64 // 4096 bytes of code, then as many of data and of tables
	Function uint64 // its one function, Name + "_work", 64 bytes
	Node     uint64 // its place in the list
}

// A module's parts, from its text.
const (
	moduleData   = 0x1000
	moduleTables = 0x2000
	moduleOrc    = 0x3000
	moduleBytes  = 0x4000

	// ModuleOrcs is how many unwind entries a module has: one every 4 bytes of
	// its code.
	ModuleOrcs = 40
)

// Modules loads modules: their list, areas, symbols and unwind tables. unwind is
// an entry of the unwind tables.
func (g *Guest) Modules(form ModuleForm, unwind [6]byte, names ...string) []Module {
	head := g.Data("modules", 16)
	nodes := []uint64{head}
	var out []Module
	for _, name := range names {
		m := Module{Name: name, Text: g.modules, Function: g.modules + 0x100}
		g.modules += moduleBytes
		m.Node = g.module(form, m, unwind)
		nodes = append(nodes, m.Node)
		out = append(out, m)
	}
	for i, n := range nodes {
		next := nodes[(i+1)%len(nodes)]
		g.Poke64(n, next)
		g.Poke64(next+8, n)
	}
	return out
}

// module writes one module and gives its place in the list.
func (g *Guest) module(form ModuleForm, m Module, unwind [6]byte) uint64 {
	at := m.Text + moduleData
	list, name, areas, kallsyms, arch := uint64(8), uint64(24), uint64(0x140), uint64(0x378), uint64(0x3c8)
	if form.Random {
		list, name, areas, kallsyms, arch = 0x308, 0x208, 0x10, 0x3a0, 0x2c0
	}
	g.Poke(at+name, []byte(m.Name))
	for i, part := range []uint64{0, moduleData, moduleTables} {
		area := at + areas + uint64(i*form.Stride)
		g.Poke64(area, m.Text+part)
		size := binary.LittleEndian.AppendUint32(nil, 0x1000)
		if i == 2 {
			size = binary.LittleEndian.AppendUint32(nil, moduleBytes-moduleTables)
		}
		g.Poke(area+uint64(form.Size), size)
		if form.Copy && i == 0 {
			g.Poke64(area+8, directMap+physHeap)
			g.Poke(area+16, []byte{1})
		}
	}
	// Symbols: none, the function, one that is not defined.
	tables := m.Text + moduleTables
	g.Poke64(at+kallsyms, at+kallsyms+8)
	for i, v := range []uint64{tables, 3, tables + 0x100, tables + 0x200} {
		g.Poke64(at+kallsyms+8+uint64(8*i), v)
	}
	g.Poke(tables+0x100, []byte("\x00"+m.Name+"_work\x00printk\x00"))
	g.Poke64(tables+24, 1|1<<48)
	g.Poke64(tables+24+8, m.Function)
	g.Poke64(tables+48, uint64(len(m.Name)+7))
	// Unwind tables: what does not ascend, though larger; what is too small; the
	// true one; another too small one.
	orc := m.Text + moduleOrc
	for i := range uint64(ModuleOrcs) {
		where := orc + 4*i
		g.Poke(where, binary.LittleEndian.AppendUint32(nil, uint32(m.Function+4*i-where)))
		g.Poke(orc+0x400+6*i, unwind[:])
	}
	for i, t := range [][3]uint64{{ModuleOrcs + 20, orc + 0x600, orc + 0x900}, {3, orc, orc + 0x400}, {ModuleOrcs, orc, orc + 0x400}, {5, orc, orc + 0x400}} {
		for j, v := range t {
			g.Poke64(at+arch+uint64(24*i+8*j), v)
		}
	}
	for i := range uint64(ModuleOrcs + 20) {
		where := orc + 0x600 + 4*i
		g.Poke(where, binary.LittleEndian.AppendUint32(nil, uint32(m.Function+0x100-4*i-where)))
	}
	return at + list
}
