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
	maxModuleOrc    = 1 << 20
)

// Elf64_Sym, include/uapi/linux/elf.h.
const (
	symSize  = 24
	symShndx = 6
	symValue = 8
)

// findModules walks the modules list. Without the symbol (no KALLSYMS_ALL) the
// list's head is not known; modules' addresses then stay numbers.
func (k *Kernel) findModules() {
	head, ok := k.Symbols.Lookup("modules")
	if !ok {
		return
	}
	at, ok := k.view.u64(head)
	seen := map[uint64]bool{}
	for ok && at != head {
		if len(k.Modules) == maxModules || seen[at] || at < kernelHalf {
			k.warn(fault.UnknownLayout, "the list of modules is damaged: %d were read", len(k.Modules))
			return
		}
		seen[at] = true
		if m, good := k.readModule(at - modList); good {
			k.Modules = append(k.Modules, m)
		}
		at, ok = k.view.u64(at)
	}
}

// readModule takes name, memory, symbols and unwind tables from a struct module.
func (k *Kernel) readModule(addr uint64) (Module, bool) {
	p := k.view.prefix(addr, maxModuleStruct)
	if len(p) < modName+modNameSize {
		return Module{}, false
	}
	name := p[modName:][:modNameSize]
	if i := bytes.IndexByte(name, 0); i > 0 {
		name = name[:i]
	} else {
		return Module{}, false
	}
	m := Module{Name: string(name), Addr: addr}
	m.findMemory(p)
	if len(m.memory) == 0 {
		return m, true // its name is known, nothing more
	}
	m.findKallsyms(k.view, p)
	m.findOrc(p)
	return m, true
}

// findMemory looks for the pairs {base, size}: core_layout up to 6.3, the array
// mem[] from 6.4 on. Bases are pages in the module area.
func (m *Module) findMemory(p []byte) {
	for off := modName + modNameSize; off+16 <= len(p); off += 8 {
		base, size := le64(p, off), uint64(le32(p, off+8))
		if base < kernelMap || base >= moduleEnd || base%mem4K != 0 || size == 0 || size > maxModuleSize {
			continue
		}
		if m.holds(base) {
			continue // a pointer into what is known already
		}
		m.memory = append(m.memory, span{base, base + size})
		if m.Size == 0 {
			m.Base, m.Size = base, size
			m.textEnd = base + size
			if text := uint64(le32(p, off+12)); text != 0 && text <= size {
				m.textEnd = base + text
			}
		}
		if len(m.memory) == 8 {
			return
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
		for off := modName + modNameSize; off+32 <= len(p); off += 8 {
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
// orc_unwind}: arrays of 4 and 6 bytes an entry in the module's memory.
func (m *Module) findOrc(p []byte) {
	for off := modName + modNameSize; off+24 <= len(p); off += 8 {
		count, ip, orc := le64(p, off), le64(p, off+8), le64(p, off+16)
		if count == 0 || count > maxModuleOrc || !m.holds(ip) || !m.holds(orc) || ip == orc {
			continue
		}
		if m.holds(ip+4*count-1) && m.holds(orc+orcEntrySize*count-1) && (ip+4*count <= orc || orc+orcEntrySize*count <= ip) {
			m.orcIP, m.orc, m.orcCount = ip, orc, uint32(count)
			return
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
