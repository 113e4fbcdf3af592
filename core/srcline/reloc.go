package srcline

import (
	"bytes"
	"debug/elf"
	"math"
	"sort"
)

// relocations are those of a section of a relocatable file: the section's bytes
// hold nothing until they are applied.
type relocations struct {
	f     *File
	table *elf.Section
	count int64
	prev  map[uint32]uint64 // values of symbols, once read
}

// Elf64_Rela and Elf64_Sym.
const (
	relaBytes = 24
	symBytes  = 24
	symShndx  = 6
	symValue  = 8
	symSize   = 16

	maxApplied = 4 << 20 // relocations of one range
	maxSymbols = 1 << 20 // values that are kept
)

// sectionBase is where a loaded section of a relocatable file, all of which begin
// at 0, is taken to lie: apart from all others.
func sectionBase(i elf.SectionIndex) uint64 { return (uint64(i) + 1) << 32 }

// relocationsOf finds the relocations of a section.
func (f *File) relocationsOf(s *elf.Section) *relocations {
	for _, r := range f.elf.Sections {
		if r.Type == elf.SHT_RELA && r.Size/relaBytes <= math.MaxInt32 && int(r.Info) < len(f.elf.Sections) && f.elf.Sections[r.Info] == s && r.Flags&elf.SHF_COMPRESSED == 0 {
			return &relocations{f: f, table: r, count: int64(r.Size / relaBytes), prev: map[uint32]uint64{}}
		}
	}
	return nil
}

func (r *relocations) read(i int64, n int64) ([]byte, error) {
	p := make([]byte, n*relaBytes)
	if m, err := r.table.ReadAt(p, i*relaBytes); m < len(p) {
		return nil, damaged("%s cannot be read: %v", r.table.Name, err)
	}
	return p, nil
}

// apply relocates the bytes that lie at an offset of the section. Assemblers
// write the table in the order of the places.
func (r *relocations) apply(p []byte, off int64) error {
	var failed error
	at := func(i int64) uint64 {
		e, err := r.read(i, 1)
		if err != nil {
			failed = err
			return 0
		}
		return le.Uint64(e)
	}
	find := func(place uint64) int64 {
		return int64(sort.Search(int(r.count), func(i int) bool { return failed != nil || at(int64(i)) >= place }))
	}
	first, last := find(uint64(off)), find(uint64(off)+uint64(len(p)))
	if failed != nil {
		return failed
	}
	if last-first > maxApplied {
		return damaged("%s has %d entries for one unit", r.table.Name, last-first)
	}
	const chunk = 4096
	for ; first < last; first += chunk {
		table, err := r.read(first, min(chunk, last-first))
		if err != nil {
			return err
		}
		for ; len(table) > 0; table = table[relaBytes:] {
			info := le.Uint64(table[8:])
			value, err := r.symbol(uint32(info >> 32))
			if err != nil {
				return err
			}
			value += le.Uint64(table[16:])
			place := le.Uint64(table) - uint64(off)
			switch elf.R_X86_64(uint32(info)) {
			case elf.R_X86_64_64:
				if place <= uint64(len(p)) && uint64(len(p))-place >= 8 {
					le.PutUint64(p[place:], value)
				}
			case elf.R_X86_64_32, elf.R_X86_64_32S:
				if place <= uint64(len(p)) && uint64(len(p))-place >= 4 {
					le.PutUint32(p[place:], uint32(value))
				}
			}
		}
	}
	return nil
}

// symbol is a symbol's value; of one in a loaded section it counts from where
// that is taken to lie.
func (r *relocations) symbol(i uint32) (uint64, error) {
	if v, ok := r.prev[i]; ok {
		return v, nil
	}
	table := r.f.elf.SectionByType(elf.SHT_SYMTAB)
	var p [symBytes]byte
	if table == nil || uint64(i)*symBytes+symBytes > table.Size {
		return 0, damaged("a relocation names symbol %d", i)
	}
	if m, err := table.ReadAt(p[:], int64(i)*symBytes); m < len(p) {
		return 0, damaged("the symbol table cannot be read: %v", err)
	}
	v := r.f.symbolAddr(p[:])
	if len(r.prev) < maxSymbols {
		r.prev[i] = v
	}
	return v, nil
}

// symbolAddr is the address of an Elf64_Sym.
func (f *File) symbolAddr(p []byte) uint64 {
	v := le.Uint64(p[symValue:])
	shndx := elf.SectionIndex(le.Uint16(p[symShndx:]))
	if f.Relocatable() && int(shndx) < len(f.elf.Sections) && f.elf.Sections[shndx].Flags&elf.SHF_ALLOC != 0 {
		v += sectionBase(shndx)
	}
	return v
}

// Place is where a function lies, as the file counts addresses.
type Place struct{ Addr, Size uint64 }

// maxNames bounds the names of functions that are kept.
const maxNames = 32 << 20

// Places finds functions by name: in a module, whose code is loaded where the
// kernel had room, an address is told by its function and the offset in it.
func (f *File) Places(name string) ([]Place, error) {
	if f.functions == nil {
		f.functions = map[string][]Place{}
		if err := f.readFunctions(); err != nil {
			return nil, err
		}
	}
	return f.functions[name], nil
}

// bannerSymbol is the kernel's own line of release, builder, compiler and build.
const (
	bannerSymbol = "linux_banner"
	maxBanner    = 1024
)

// Banner is the text of linux_banner without its line end: what a kernel prints
// first of all. It is "" in a file that is no vmlinux, and in one that has no
// contents but debugging information.
func (f *File) Banner() string {
	if _, err := f.Places(bannerSymbol); err != nil || f.banner.Addr == 0 {
		return ""
	}
	for _, s := range f.elf.Sections {
		if f.banner.Addr < s.Addr || f.banner.Addr-s.Addr >= s.Size || s.Type != elf.SHT_PROGBITS || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		p := make([]byte, min(maxBanner, s.Size-(f.banner.Addr-s.Addr)))
		if n, err := s.ReadAt(p, int64(f.banner.Addr-s.Addr)); n < len(p) && err != nil {
			return ""
		}
		if i := bytes.IndexAny(p, "\n\x00"); i >= 0 {
			return string(p[:i])
		}
	}
	return ""
}

// readFunctions reads the names and places of all functions.
func (f *File) readFunctions() error {
	table := f.elf.SectionByType(elf.SHT_SYMTAB)
	if table == nil || int(table.Link) >= len(f.elf.Sections) || table.Flags&elf.SHF_COMPRESSED != 0 {
		return nil
	}
	strtab := f.elf.Sections[table.Link]
	if strtab.Size > maxNames || table.Size/symBytes > maxSymbols {
		return damaged("it has %d symbols with %d bytes of names", table.Size/symBytes, strtab.Size)
	}
	names := make([]byte, strtab.Size)
	if n, err := strtab.ReadAt(names, 0); n < len(names) {
		return damaged("the names of symbols cannot be read: %v", err)
	}
	const chunk = 2048
	count := int64(table.Size / symBytes)
	for i := int64(0); i < count; i += chunk {
		p := make([]byte, min(chunk, count-i)*symBytes)
		if n, err := table.ReadAt(p, i*symBytes); n < len(p) {
			return damaged("the symbol table cannot be read: %v", err)
		}
		for ; len(p) > 0; p = p[symBytes:] {
			at, kind := le.Uint32(p), elf.ST_TYPE(p[4])
			if kind != elf.STT_FUNC && kind != elf.STT_OBJECT || le.Uint16(p[symShndx:]) == 0 || uint64(at) >= uint64(len(names)) {
				continue
			}
			n := bytes.IndexByte(names[at:], 0)
			if n <= 0 {
				continue
			}
			place := Place{f.symbolAddr(p), le.Uint64(p[symSize:])}
			switch name := names[at:][:n]; {
			case kind == elf.STT_FUNC:
				f.functions[string(name)] = append(f.functions[string(name)], place)
			case string(name) == bannerSymbol:
				f.banner = place
			}
		}
	}
	return nil
}
