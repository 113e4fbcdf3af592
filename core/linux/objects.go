package linux

// Object is a variable of a module, as its symbol table has it.
type Object struct {
	Name string
	Addr uint64 // of a per-CPU variable: what the base of a CPU's area is added to
	Size uint64 // in bytes, as its source declares it; 0: not said
}

// symSizeAt is the offset of st_size in Elf64_Sym.
const symSizeAt = 16

// ModuleObjects lists those of a module's symbols that match accepts, with their true
// sizes, in the table's order. Per-CPU variables are among them, which lie outside the
// module's memory. Names are read of what is accepted only.
func (k *Kernel) ModuleObjects(m *Module, match func(addr, size uint64) bool) []Object {
	var out []Object
	table := k.view.prefix(m.symbols.symtab, int(m.symbols.count)*symSize)
	for off := symSize; off+symSize <= len(table); off += symSize {
		if le32(table, off+symShndx-2)>>16 == 0 { // SHN_UNDEF
			continue
		}
		addr, size := le64(table, off+symValue), le64(table, off+symSizeAt)
		if !match(addr, size) {
			continue
		}
		name, ok := k.view.cstring(m.symbols.strtab+uint64(le32(table, off)), maxObjectName)
		if ok && name != "" {
			out = append(out, Object{Name: name, Addr: addr, Size: size})
		}
	}
	return out
}

// maxObjectName bounds a symbol's name, as KSYM_NAME_LEN does.
const maxObjectName = 512

// ModuleAt finds the module whose memory an address lies in; nil: none's.
func (k *Kernel) ModuleAt(a uint64) *Module { return k.moduleAt(a) }

// InImage reports whether an address lies in the kernel's image, code or data.
func (k *Kernel) InImage(a uint64) bool {
	for _, s := range k.image {
		if s.holds(a) {
			return true
		}
	}
	return false
}
