package stacks

import (
	"sort"
	"strings"

	"coredrop/core/mem"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// module is an image that is loaded.
type module struct {
	windows.Module
	name   string // as debuggers write it: "nt", "minidrv"
	memory pe.Memory
	loaded bool
	image  unwind.Image
	pe     *pe.Image // nil: its header could not be read

	exports     *pe.Exports
	exportsRead bool

	// Symbols: nearest public below an RVA, from the PDB that was named.
	publics map[uint32]pdb.Public
	noPDB   bool
}

// load reads the image's header and finds its exception data: by the header,
// or by the loader's entry where the header's page is missing.
func (m *module) load() {
	if m.loaded {
		return
	}
	m.loaded = true
	m.image = unwind.Image{Base: m.Base, Size: m.Size, Executable: func(uint32) bool { return true }}
	img, err := pe.Read(m.memory, m.Base)
	if err != nil {
		m.image.Why = err
		if at := m.Exceptions - m.Base; m.Exceptions >= m.Base && at < mem.VA(m.Size) {
			if f, err := pe.FunctionsAt(m.memory, m.Base, m.Size, uint32(at), m.ExceptionBytes); err == nil {
				m.image.Functions = f
			}
		}
		return
	}
	m.pe = img
	m.image.Functions, m.image.Why = img.Functions(m.memory)
	m.image.Executable = func(rva uint32) bool {
		s, ok := img.SectionAt(rva)
		return ok && s.Executable()
	}
}

// exportTable reads the export table once; nil: there is none that can be read.
func (m *module) exportTable() *pe.Exports {
	if !m.exportsRead {
		m.exportsRead = true
		if m.pe != nil {
			m.exports, _ = m.pe.ExportTable(m.memory)
		}
	}
	return m.exports
}

// kernelName is what debuggers call the kernel, whatever its file's name is.
const kernelName = "nt"

// shortName makes the name that debuggers give a module: its file's name
// without the extension, with _ for what cannot be in a symbol.
func shortName(file string) string {
	file = file[strings.LastIndexAny(file, `\/`)+1:]
	if dot := strings.LastIndexByte(file, '.'); dot > 0 {
		file = file[:dot]
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, file)
}

// modules is a list of images by address.
type modules []*module

// newModules takes a list of loaded images; kernel is the base of the kernel's.
func newModules(list []windows.Module, kernel mem.VA, memory pe.Memory) modules {
	var out modules
	for _, m := range list {
		if m.Size == 0 || m.Base+mem.VA(m.Size) < m.Base {
			continue
		}
		name := shortName(m.Name)
		switch {
		case m.Base == kernel:
			name = kernelName
		case name == "":
			name = "unnamed"
		}
		out = append(out, &module{Module: m, name: name, memory: memory})
	}
	// Not slices.SortFunc: that is another 8 KB of the browser's download.
	sort.Slice(out, func(i, j int) bool { return out[i].Base < out[j].Base })
	return out
}

// at finds the image at an address.
func (list modules) at(va uint64) *module {
	i := sort.Search(len(list), func(i int) bool { return list[i].Base > mem.VA(va) })
	if i == 0 || mem.VA(va)-list[i-1].Base >= mem.VA(list[i-1].Size) {
		return nil
	}
	return list[i-1]
}
