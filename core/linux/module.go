package linux

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"coredrop/core/fault"
)

// Module is a loaded kernel module.
type Module struct {
	Name string
	Base uint64 // of its core memory
	Size uint64 // in bytes
	Addr uint64 // of its struct module

	memory   []span // all memory that belongs to it
	textEnd  uint64 // where code ends, as the kernel's symbol search uses it
	symbols  moduleSymbols
	sorted   []moduleSymbol // of symbols, once loaded
	loaded   bool
	orcIP    uint64 // arch.orc_unwind_ip
	orc      uint64 // arch.orc_unwind
	orcCount uint32
}

// moduleSymbols is struct mod_kallsyms.
type moduleSymbols struct {
	symtab, strtab uint64
	count          uint32
}

// struct module, include/linux/module.h. Only the first members have the same
// place in every configuration; the others are found by what they hold.
const (
	modList     = 8
	modName     = 24
	modNameSize = 56 // MODULE_NAME_LEN

	maxModules      = 4096
	maxModuleStruct = 0x600
	maxModuleSize   = 64 << 20
	maxModuleSyms   = 1 << 18
	maxModuleAreas  = 8 // MOD_MEM_NUM_TYPES is 7
	maxModuleOrc    = 1 << 20
)

// Elf64_Sym, include/uapi/linux/elf.h.
const (
	symSize  = 24
	symShndx = 6
	symValue = 8
)

// modulesReaders are functions that walk the list of modules.
var modulesReaders = []string{"find_module_all", "print_modules", "module_flags_taint", "m_start", "m_next", "find_module", "__module_address"}

// modulesHead finds the list's head: by name, or, where kallsyms has no data
// symbols, as an address in code that walks the list: its first entry lies in the
// module area and points back to it.
func (k *Kernel) modulesHead() (uint64, bool) {
	if head, ok := k.Symbols.Lookup("modules"); ok {
		return head, true
	}
	for _, c := range k.Code(modulesReaders...) {
		for _, o := range k.Operands(c) {
			first, ok := k.view.u64(o.Target)
			if !ok || o.Target%8 != 0 || first < kernelMap || first >= moduleEnd {
				continue
			}
			if back, ok := k.view.u64(first + 8); ok && back == o.Target && first != o.Target {
				return o.Target, true
			}
		}
	}
	return 0, false
}

// findModules walks the modules list. A kernel without modules, or whose list is
// not found, has none.
func (k *Kernel) findModules() {
	head, ok := k.modulesHead()
	if !ok {
		return
	}
	at, ok := k.view.u64(head)
	seen := map[uint64]bool{}
	var nodes []uint64
	for ok && at != head {
		if len(nodes) == maxModules || seen[at] || at < kernelHalf {
			k.warn(fault.UnknownLayout, "the list of modules is damaged: %d were read", len(nodes))
			break
		}
		seen[at] = true
		nodes = append(nodes, at)
		at, ok = k.view.u64(at)
	}
	name := k.moduleNames(nodes)
	for _, node := range nodes {
		if m, good := k.readModule(node, name); good {
			k.Modules = append(k.Modules, m)
		}
	}
}

// moduleNames finds where, seen from a module's place in the list, its name is:
// struct module may be randomised (RANDSTRUCT), and the name is then the one
// member that holds a name in all of them.
func (k *Kernel) moduleNames(nodes []uint64) int64 {
	const usual = modName - modList
	named := func(off int64) bool {
		for _, node := range nodes {
			if _, ok := moduleName(k.view.prefix(node+uint64(off), modNameSize)); !ok {
				return false
			}
		}
		return true
	}
	if len(nodes) == 0 || named(usual) {
		return usual
	}
	for off := int64(8 - maxModuleStruct); off < maxModuleStruct; off += 8 {
		if named(off) {
			return off
		}
	}
	return usual
}

// moduleName reads a name: a C identifier, padded with zeros.
func moduleName(p []byte) (string, bool) {
	n := bytes.IndexByte(p, 0)
	if n <= 0 || len(p) < modNameSize {
		return "", false
	}
	for i, c := range p {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-'
		if i < n && !letter || i >= n && c != 0 {
			return "", false
		}
	}
	return string(p[:n]), true
}

// readModule takes name, memory, symbols and unwind tables from the struct module
// with an entry of the list at node; name is how far behind it the name is.
func (k *Kernel) readModule(node uint64, name int64) (Module, bool) {
	at := node + uint64(name)
	n, ok := moduleName(k.view.prefix(at, modNameSize))
	if !ok {
		return Module{}, false
	}
	m := Module{Name: n, Addr: node - modList}
	p := k.view.prefix(m.Addr, maxModuleStruct)
	if name != modName-modList { // randomised: the list may be anywhere in it
		if p = k.view.prefix(node-maxModuleStruct, 2*maxModuleStruct); len(p) <= maxModuleStruct {
			p = k.view.prefix(node&^(mem4K-1), 2*maxModuleStruct)
		}
	}
	m.findMemory(p)
	if len(m.memory) == 0 || !m.holds(node) {
		return m, true // its name is known, nothing more
	}
	m.findKallsyms(k.view, p)
	m.findOrc(k.view, p, k.orcFormat())
	return m, true
}

// findMemory looks for the module's areas: core_layout up to 6.3, the array
// mem[] from 6.4 on. A base is a page in the module area, its size follows:
//
//	up to 6.3        base, u32 size, u32 text_size
//	6.4 and later    base, u32 size
//	6.13             base, rw_copy, bool is_rox, u32 size
//	newer, to 7.3    base, bool is_rox, u32 size
func (m *Module) findMemory(p []byte) {
	for off := 0; off+16 <= len(p) && len(m.memory) < maxModuleAreas; off += 8 {
		base := le64(p, off)
		if base < kernelMap || base >= moduleEnd || base%mem4K != 0 || m.holds(base) {
			continue // or a pointer into what is known already
		}
		at := off + 8
		if copy := le64(p, at); (copy == 0 || copy >= kernelHalf) && le32(p, at+8) <= 1 {
			at += 8 // rw_copy
		}
		flag := le32(p, at) <= 1
		if flag {
			at += 4
		}
		size := uint64(le32(p, at))
		if size == 0 || size > maxModuleSize {
			continue
		}
		m.memory = append(m.memory, span{base, base + size})
		if m.Size == 0 {
			m.Base, m.Size = base, size
			m.textEnd = base + size
			if text := uint64(le32(p, at+4)); !flag && text != 0 && text <= size {
				m.textEnd = base + text
			}
		}
	}
}

func (m *Module) holds(a uint64) bool {
	for _, s := range m.memory {
		if s.holds(a) {
			return true
		}
	}
	return false
}

// findKallsyms finds struct mod_kallsyms {symtab, num_symtab, strtab, typetab}.
// The member kallsyms points to the one in use: to the whole table in the init
// memory while the module is being initialised, then to core_kallsyms, which is
// in struct module itself. The first that has symbols of the module counts.
func (m *Module) findKallsyms(v view, p []byte) {
	for _, follow := range []bool{true, false} {
		for off := 0; off+32 <= len(p); off += 8 {
			table := p[off : off+32]
			if follow {
				at := le64(p, off)
				if !m.holds(at) {
					continue
				}
				var ok bool
				if table, ok = v.bytes(at, 32); !ok {
					continue
				}
			}
			symtab, count, strtab := le64(table, 0), le64(table, 8), le64(table, 16)
			if !m.holds(symtab) || !m.holds(strtab) || !m.holds(le64(table, 24)) || count == 0 || count > maxModuleSyms {
				continue
			}
			s := moduleSymbols{symtab: symtab, strtab: strtab, count: uint32(count)}
			if m.symbols.count == 0 || s.inUse(v, m) {
				m.symbols = s
			}
			if m.symbols.inUse(v, m) {
				return
			}
		}
	}
}

// inUse reports whether one of the first symbols is of the module's memory.
func (s moduleSymbols) inUse(v view, m *Module) bool {
	p := v.prefix(s.symtab, int(min(s.count, 64))*symSize)
	for off := 0; off+symSize <= len(p); off += symSize {
		if le32(p, off+symShndx-2)>>16 != 0 && m.holds(le64(p, off+symValue)) {
			return true
		}
	}
	return false
}

// findOrc looks for struct mod_arch_specific {num_orcs, orc_unwind_ip,
// orc_unwind}: arrays of 4 and 6 bytes an entry in the module's memory. Other
// members may look like it: of those whose addresses ascend and are the module's
// the largest is taken.
func (m *Module) findOrc(v view, p []byte, format *orcFormat) {
	for off := 0; off+24 <= len(p); off += 8 {
		count, ip, orc := le64(p, off), le64(p, off+8), le64(p, off+16)
		if count <= uint64(m.orcCount) || count > maxModuleOrc || !m.holds(ip) || !m.holds(orc) {
			continue
		}
		if !m.holds(ip+orcIPSize*count-1) || !m.holds(orc+orcEntrySize*count-1) || ip < orc+orcEntrySize*count && orc < ip+orcIPSize*count {
			continue
		}
		t, ok := openOrc(v, ip, orc, count, format)
		if !ok {
			continue
		}
		first, _ := t.addr(0)
		last, _ := t.addr(uint32(count - 1))
		if m.holds(first) && m.holds(last) {
			m.orcIP, m.orc, m.orcCount = ip, orc, uint32(count)
		}
	}
}

// moduleAt finds the module that holds an address.
func (k *Kernel) moduleAt(a uint64) *Module {
	for i := range k.Modules {
		if k.Modules[i].holds(a) {
			return &k.Modules[i]
		}
	}
	return nil
}

// moduleSymbol is a symbol of a module: its address and where its name is.
type moduleSymbol struct {
	addr uint64
	name uint32
}

// load reads the module's symbols once, sorted by address, equal addresses in
// the table's order. Undefined ones and those without a name are left out, as
// find_kallsyms_symbol does.
func (m *Module) load(v view) []moduleSymbol {
	if m.loaded {
		return m.sorted
	}
	m.loaded = true
	table := v.prefix(m.symbols.symtab, int(m.symbols.count)*symSize)
	for off := symSize; off+symSize <= len(table); off += symSize {
		s := moduleSymbol{le64(table, off+symValue), le32(table, off)}
		if le32(table, off+symShndx-2)>>16 == 0 || !m.holds(s.addr) { // SHN_UNDEF
			continue
		}
		if first, ok := v.bytes(m.symbols.strtab+uint64(s.name), 1); ok && first[0] != 0 {
			m.sorted = append(m.sorted, s)
		}
	}
	slices.SortStableFunc(m.sorted, func(a, b moduleSymbol) int { return cmp.Compare(a.addr, b.addr) })
	return m.sorted
}

// symbolAt resolves an address in the module, as find_kallsyms_symbol does: the
// nearest symbol at or below it, sized to the next different one or the end of
// the code.
func (m *Module) symbolAt(v view, a uint64) (Symbol, bool) {
	all := m.load(v)
	next := sort.Search(len(all), func(i int) bool { return all[i].addr > a })
	if next == 0 {
		return Symbol{}, false
	}
	best := all[next-1].addr
	first := sort.Search(next, func(i int) bool { return all[i].addr >= best })
	end := m.textEnd
	if a >= end {
		end = m.Base + m.Size
	}
	if next < len(all) {
		end = min(end, all[next].addr)
	}
	if end < best {
		end = best
	}
	name, ok := v.cstring(m.symbols.strtab+uint64(all[first].name), maxNameBytes)
	return Symbol{Name: name, Kind: 't', Addr: best, Size: end - best}, ok && name != ""
}

// Resolve finds the symbol that covers an address, in the kernel or in a module.
// module is "" for the kernel's own.
func (k *Kernel) Resolve(a uint64) (s Symbol, module string, ok bool) {
	if s, ok := k.Symbols.At(a); ok {
		return s, "", true
	}
	if m := k.moduleAt(a); m != nil {
		s, ok := m.symbolAt(k.view, a)
		return s, m.Name, ok
	}
	return Symbol{}, "", false
}
