// Package linuxtest builds tiny Linux guests for tests: page tables, a kernel
// image with symbol table, vmcoreinfo, tasks, stacks and a log, laid out as a
// kernel does. It is imported by tests only; no kernel's code is in it.
package linuxtest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// Where things are in a guest's memory. The image is mapped at linkText plus the
// slide, modules at moduleArea; all memory is mapped once more at directMap.
const (
	linkText   = 0xffffffff81000000
	kernelMap  = 0xffffffff80000000
	moduleArea = 0xffffffffc0000000
	directMap  = 0xffff888000000000

	physTables  = 0x100000
	physInfo    = 0x180000 // the vmcoreinfo page
	physHeap    = 0x200000 // tasks, stacks, per-CPU data
	physModules = 0xe00000 // 2 MiB
	physImage   = 0x1000000
	imageBytes  = 0x400000
	largePage   = 2 << 20

	textBytes  = 0x100000
	rodataFrom = 0x200000 // on a boundary of large pages, as the kernel's linker script has it
	dataFrom   = 0x300000
)

// Config says what the guest is.
type Config struct {
	Release     string // "5.9.1"
	Slide       uint64
	Table       Order
	Words       Words // see Table, as the three that follow
	Align       int
	Plain       bool
	Lengths     int  // 0 is 1
	Note        bool // a VMCOREINFO note; the page in memory is always there
	NoInfo      bool // no vmcoreinfo anywhere
	Keys        bool // vmcoreinfo has the kallsyms keys
	DataSymbols bool // KALLSYMS_ALL
	LA57        bool
	NoNX        bool   // the tables have no no-execute bits
	InfoBytes   int    // of a struct printk_info; 0 is 88
	ReadOnly    uint64 // bytes of read-only data, multiple of 2 MiB; 0 is 1 MiB
	Gap         uint64 // bytes of nothing behind the code, multiple of 2 MiB
}

// Guest is a guest under construction.
type Guest struct {
	Config
	ram     []byte
	symbols []Symbol
	text    uint64 // next free addresses
	rodata  uint64
	data    uint64
	heap    uint64
	modules uint64
	idle    uint64 // init_task
	info    strings.Builder
	cpus    []machine.CPU
}

// New begins a guest.
func New(c Config) *Guest {
	g := &Guest{Config: c, ram: make([]byte, physImage+imageBytes+c.ReadOnly+largePage), heap: directMap + physHeap, modules: moduleArea}
	g.text = linkText + c.Slide
	g.rodata, g.data = g.text+c.Gap+rodataFrom, g.text+c.Gap+dataFrom
	if c.ReadOnly != 0 { // behind the data
		g.rodata = g.text + c.Gap + imageBytes
	}
	g.symbols = append(g.symbols, Symbol{"cpu_base", 'A', 0}, Symbol{"current_task", 'A', 0x40},
		Symbol{"_text", 'T', g.text}, Symbol{"_stext", 'T', g.text})
	g.text += 16
	return g
}

// phys translates an address of the image or of the direct map.
func (g *Guest) phys(va uint64) uint64 {
	if va >= moduleArea {
		return va - moduleArea + physModules
	}
	if va >= kernelMap {
		if off := va - linkText - g.Slide; off >= g.Gap+rodataFrom {
			return off - g.Gap + physImage
		}
		return va - linkText - g.Slide + physImage
	}
	return va - directMap
}

// Poke writes bytes to memory.
func (g *Guest) Poke(va uint64, p []byte) { copy(g.ram[g.phys(va):], p) }

// Poke64 writes a word to memory.
func (g *Guest) Poke64(va, v uint64) { g.Poke(va, binary.LittleEndian.AppendUint64(nil, v)) }

// Peek64 reads a word of memory back.
func (g *Guest) Peek64(va uint64) uint64 { return binary.LittleEndian.Uint64(g.ram[g.phys(va):]) }

// Func places a function, aligned to 16 and padded, and gives its address.
func (g *Guest) Func(name string, code []byte) uint64 {
	at := g.text
	g.symbols = append(g.symbols, Symbol{name, 't', at})
	g.Poke(at, code)
	g.text += uint64(len(code)+31) &^ 15
	return at
}

// String places a text in read-only data.
func (g *Guest) String(s string) uint64 {
	at := g.rodata
	g.Poke(at, append([]byte(s), 0))
	g.rodata += uint64(len(s) + 1)
	return at
}

// Data places an object of n bytes, aligned to 32.
func (g *Guest) Data(name string, n int) uint64 {
	g.data = (g.data + 31) &^ 31
	at := g.data
	if g.DataSymbols {
		g.symbols = append(g.symbols, Symbol{name, 'b', at})
	}
	g.data += uint64(n)
	return at
}

// Heap gives n bytes of the direct map, aligned to 4096.
func (g *Guest) Heap(n int) uint64 {
	at := g.heap
	g.heap += uint64(n+4095) &^ 4095
	return at
}

// Symbol adds a symbol.
func (g *Guest) Symbol(name string, kind byte, addr uint64) {
	g.symbols = append(g.symbols, Symbol{name, kind, addr})
}

// Key adds a line to vmcoreinfo.
func (g *Guest) Key(format string, args ...any) { fmt.Fprintf(&g.info, format+"\n", args...) }

// CPU adds a CPU in kernel mode with some registers; its per-CPU base is new memory
// of a page.
func (g *Guest) CPU(registers cpu.Values) (perCPU uint64) {
	x := cpu.New(cpu.X64)
	for _, r := range append(cpu.General, cpu.RIP, cpu.RFLAGS, cpu.KernelGSBase) {
		x.Set(r, registers[r])
	}
	x.SetAll(cpu.Values{cpu.CR0: cpu.CR0Paging, cpu.CR3: physTables, cpu.CR4: cpu.CR4PAE})
	if g.LA57 {
		x.Set(cpu.CR4, x.Get(cpu.CR4)|cpu.CR4LA57)
	}
	x.Set(cpu.CS, 0x10)
	perCPU = g.Heap(4096)
	x.Set(cpu.GSBase, perCPU)
	g.cpus = append(g.cpus, machine.CPU{Index: len(g.cpus), State: x})
	return perCPU
}

// Offsets of the members of the guest's struct task_struct.
const (
	TaskTasks = 0x80
	TaskPID   = 0xc0
	TaskComm  = 0x140
	TaskBytes = 0x400
)

// Tasks makes init_task and a list of tasks, and gives their addresses; the
// first two names must be init's and kthreadd. PIDs count from 1.
func (g *Guest) Tasks(names ...string) []uint64 {
	idle := g.Data("init_task", TaskBytes)
	g.Poke(idle+TaskComm, []byte("swapper/0"))
	g.idle = idle
	list := []uint64{idle}
	for i, name := range names {
		t := g.Heap(TaskBytes)
		g.Poke64(t+TaskPID, uint64(i+1)<<32|uint64(i+1))
		g.Poke(t+TaskComm, []byte(name))
		list = append(list, t)
	}
	for i, t := range list {
		next := list[(i+1)%len(list)]
		g.Poke64(t+TaskTasks, next+TaskTasks)
		g.Poke64(next+TaskTasks+8, t+TaskTasks)
	}
	return list[1:]
}

// Log makes a log and the pointer to it.
func (g *Guest) Log(records []Record) {
	at := g.Data("ring", 0)
	size := g.InfoBytes
	if size == 0 {
		size = infoBytes
	}
	b := RingSized(size, at, 6, 14, 0xfffffff0, ^uint64(0)-0x3f7, records)
	g.data += uint64(len(b))
	g.Poke(at, b)
	prb := g.Data("prb", 8)
	g.Poke64(prb, at)
	g.Key("SYMBOL(prb)=%x", prb)
}

// Machine finishes the guest.
func (g *Guest) Machine() *machine.Machine {
	banner := "Linux version " + g.Release + " (us@here) (cc) #1 SMP today\n"
	at := g.String(banner)
	if g.DataSymbols {
		g.Symbol("linux_banner", 'R', at)
	}
	text := linkText + g.Slide
	if !g.NoInfo {
		g.Poke64(g.Data("vmcoreinfo_data", 8), directMap+physInfo)
	}
	g.Symbol("_etext", 'T', text+textBytes)
	if g.DataSymbols {
		g.Symbol("_end", 'B', text+g.Gap+imageBytes+g.ReadOnly)
	}
	for i := range 80 { // a table of a few symbols is not believed
		g.Symbol(fmt.Sprintf("kcsan_report_symbol_%d", i), 't', g.text)
		g.text += 16
	}
	g.table()
	g.vmcoreinfo()
	g.pageTables()
	size := int64(len(g.ram))
	f, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(g.ram), Size: size}, []mem.Extent{{Start: 0, Bytes: uint64(size), Offset: 0}}, 0)
	if err != nil {
		panic(err)
	}
	m := &machine.Machine{Format: "test", Arch: cpu.X64, CPUs: g.cpus, Mem: f}
	if g.Note && !g.NoInfo {
		m.Guest = []machine.Note{{Name: "VMCOREINFO", Desc: []byte(g.info.String())}}
	}
	return m
}

// table writes kallsyms into read-only data, sorted by address.
func (g *Guest) table() {
	symbols := g.symbols
	if g.Plain || g.Words == FromSelf { // no per-CPU symbols as small numbers there
		symbols = symbols[2:]
	}
	slices.SortStableFunc(symbols, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	g.rodata = (g.rodata + 63) &^ 63
	at := g.rodata
	b, p := Table{Order: g.Table, Base: linkText + g.Slide, Plain: g.Plain, Lengths: max(g.Lengths, 1),
		Words: g.Words, Align: g.Align, At: at}.Encode(symbols)
	g.Poke(at, b)
	g.rodata += uint64(len(b))
	if !g.Keys {
		return
	}
	keys := map[string]int{"num_syms": p.NumSyms, "names": p.Names, "token_table": p.TokenTable, "token_index": p.TokenIndex}
	if g.Words == Addresses {
		keys["addresses"] = p.Offsets
	} else {
		keys["offsets"] = p.Offsets
	}
	if g.Words == FromBase {
		keys["relative_base"] = p.RelativeBase
	}
	for name, off := range keys {
		g.Key("SYMBOL(kallsyms_%s)=%x", name, at+uint64(off))
	}
}

func (g *Guest) vmcoreinfo() {
	l5 := 0
	if g.LA57 {
		l5 = 1
	}
	head := fmt.Sprintf("OSRELEASE=%s\nPAGESIZE=4096\nSYMBOL(_stext)=%x\nSYMBOL(swapper_pg_dir)=%x\nNUMBER(phys_base)=%d\nNUMBER(pgtable_l5_enabled)=%d\nKERNELOFFSET=%x\n",
		g.Release, linkText+g.Slide, kernelMap+physTables-g.physBase(), int64(g.physBase()), l5, g.Slide)
	rest := g.info.String()
	g.info.Reset()
	g.info.WriteString(head + rest)
	if !g.NoInfo {
		copy(g.ram[physInfo:physInfo+4096], g.info.String())
	}
}

// physBase is what vmcoreinfo calls so.
func (g *Guest) physBase() uint64 { return physImage - (linkText + g.Slide - kernelMap) }

// pageTables maps the image in pages of 2 MiB and all memory at the direct map.
func (g *Guest) pageTables() {
	le := binary.LittleEndian
	next := uint64(physTables + 0x1000)
	table := func(at uint64, index int) uint64 {
		e := at + uint64(8*index)
		if le.Uint64(g.ram[e:]) == 0 {
			le.PutUint64(g.ram[e:], next|3)
			next += 0x1000
		}
		return le.Uint64(g.ram[e:]) &^ 0xfff
	}
	large := func(va, pa uint64) {
		t := uint64(physTables)
		if g.LA57 {
			t = table(t, int(va>>48&511))
		}
		t = table(t, int(va>>39&511))
		t = table(t, int(va>>30&511))
		le.PutUint64(g.ram[t+8*(va>>21&511):], pa|0x83)
	}
	const noExecute = 1 << 63
	for off := uint64(0); off < imageBytes+g.ReadOnly; off += largePage {
		va, pa := linkText+g.Slide+off, physImage+off
		if off >= rodataFrom {
			va += g.Gap
			if !g.NoNX {
				pa |= noExecute
			}
		}
		large(va, pa)
	}
	for off := uint64(0); off < g.Gap; off += largePage {
		large(linkText+g.Slide+rodataFrom+off, uint64(len(g.ram))-largePage) // nothing's page
	}
	large(moduleArea, physModules)
	for pa := uint64(0); pa < uint64(len(g.ram)); pa += largePage {
		large(directMap+pa, pa)
	}
}

// Memory is the guest's physical memory from address 0 on, once Machine finished
// it.
func (g *Guest) Memory() []byte { return g.ram }
