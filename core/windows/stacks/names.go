package stacks

import (
	"context"
	"fmt"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// Where a frame's symbol comes from.
const (
	FromPDB    = "pdb"
	FromExport = "export"
)

// Name is what an address is called.
type Name struct {
	Module string // "nt"; "": outside every module
	Symbol string // "": only the module is known
	Offset uint64 // bytes behind the symbol, or behind the module's base
	From   string // FromPDB, FromExport; "": there is no symbol
}

// String writes the name as debuggers do: nt!KeBugCheckEx+0x107,
// minidrv+0x1040. It is empty outside every module.
func (n Name) String() string {
	switch {
	case n.Module == "":
		return ""
	case n.Symbol == "":
		return fmt.Sprintf("%s+%#x", n.Module, n.Offset)
	case n.Offset == 0:
		return n.Module + "!" + n.Symbol
	}
	return fmt.Sprintf("%s!%s+%#x", n.Module, n.Symbol, n.Offset)
}

// place is an address that is to be named, in its module.
type place struct {
	module *module
	rva    uint32 // the address
	lookup uint32 // by which its function is looked up: one less behind a call
}

// function is what the exception data says about a place.
type function struct {
	known   bool   // the data could be read that decides
	covered bool   // an entry covers the place
	begin   uint32 // of the primary function
	below   uint32 // not covered: where the entry below ends; nothing begins between
}

func (p place) function() function {
	img := &p.module.image
	if img.Functions == nil {
		return function{}
	}
	f, found, err := img.Functions.Find(p.lookup)
	if err != nil {
		return function{}
	}
	if !found {
		return function{known: true, below: f.End}
	}
	primary, err := img.Primary(p.module.memory, f)
	if err != nil {
		return function{}
	}
	return function{known: true, covered: true, begin: primary.Begin}
}

// namer names addresses. It asks for a module's PDB once.
type namer struct {
	ctx      context.Context
	symbols  windows.Symbols
	warnings []fault.Warning
	files    map[*module]*pdb.File
}

// learn looks up all places in their modules' PDBs, one pass for each PDB.
func (n *namer) learn(places []place) {
	wanted := map[*module][]uint32{}
	for _, p := range places {
		if _, known := p.module.publics[p.lookup]; !known && !p.module.noPDB {
			wanted[p.module] = append(wanted[p.module], p.lookup)
		}
	}
	for _, p := range places { // in the order of the places, not the map's
		if rvas := wanted[p.module]; len(rvas) > 0 {
			delete(wanted, p.module)
			n.learnModule(p.module, rvas)
		}
	}
}

func (n *namer) learnModule(m *module, rvas []uint32) {
	f := n.pdb(m)
	if f == nil {
		m.noPDB = true
		return
	}
	found, err := f.Below(rvas...)
	if err != nil {
		n.warn(m, err)
		m.noPDB = true
	}
	if m.publics == nil {
		m.publics = map[uint32]pdb.Public{}
	}
	for _, rva := range rvas {
		m.publics[rva] = found[rva] // zero where there is none: it is not asked for again
	}
}

func (n *namer) warn(m *module, err error) {
	e := fault.As(err)
	n.warnings = append(n.warnings, fault.Warn(e.Code, "symbols of %s: %v", m.name, e.Text))
}

// pdb gives the module's PDB, or nil. One of another build is not used.
func (n *namer) pdb(m *module) *pdb.File {
	if n.symbols == nil || m.pe == nil || m.pe.CodeView == nil || n.ctx.Err() != nil {
		return nil
	}
	if f, ok := n.files[m]; ok {
		return f
	}
	cv := *m.pe.CodeView
	f, from, err := n.symbols.PDB(n.ctx, cv)
	if err == nil && f != nil && !f.Matches(cv.GUID, cv.Age) {
		err = fault.New(fault.SymbolsMismatch, "the PDB from %s belongs to another build: %s is needed", from, cv.Key())
		f = nil
	}
	if err != nil {
		f = nil
		// That nobody has a module's PDB is no news: exports do. Neither is a PDB
		// that was given for the kernel and does not fit another module.
		quiet := fault.Is(err, fault.SymbolsNotFound) || fault.Is(err, fault.SymbolsOffline) ||
			fault.Is(err, fault.SymbolsMismatch) && m.name != kernelName
		if !quiet {
			n.warn(m, err)
		}
	}
	n.files[m] = f
	return f
}

// name names a place: by the PDB, else by an export, else by the module alone.
func (n *namer) name(p place) Name {
	m := p.module
	fn := p.function()
	if s, ok := m.publics[p.lookup]; ok && s.Name != "" && m.belongs(s.RVA, p, fn) {
		return Name{m.name, printable(s.Name), uint64(p.rva) - uint64(s.RVA), FromPDB}
	}
	if x, ok := m.export(p, fn); ok {
		return Name{m.name, x.text(), uint64(p.rva) - uint64(x.RVA), FromExport}
	}
	return Name{Module: m.name, Offset: uint64(p.rva)}
}

// belongs reports whether a symbol at or below a place is its function's: the
// nearest one may be that of another function, where the place's own has none.
func (m *module) belongs(symbol uint32, p place, fn function) bool {
	if m.pe != nil {
		if s, ok := m.pe.SectionAt(p.lookup); ok && symbol < s.VirtualAddress {
			return false
		}
	}
	switch {
	case !fn.known || symbol == fn.begin && fn.covered:
		return true
	case !fn.covered:
		return symbol >= fn.below
	}
	its := place{m, symbol, symbol}.function()
	return its.known && its.covered && its.begin == fn.begin
}

// exportName is an export that names a place.
type exportName struct{ pe.Export }

func (x exportName) text() string {
	if x.Name == "" {
		return fmt.Sprintf("Ordinal%d", x.Ordinal)
	}
	return printable(x.Name)
}

// export gives the export that begins the place's function. The nearest one
// below says nothing: functions that are not exported stand between. In code
// without entries, which has leaf functions only, it may stand before the place
// as long as no entry is between.
func (m *module) export(p place, fn function) (exportName, bool) {
	table := m.exportTable()
	if table == nil || !fn.known {
		return exportName{}, false
	}
	if fn.covered {
		x, ok := table.At(fn.begin)
		return exportName{x}, ok && p.rva >= fn.begin
	}
	x, ok := table.Below(p.lookup)
	return exportName{x}, ok && m.belongs(x.RVA, p, fn) && m.image.Executable(x.RVA)
}

// printable replaces what is not printable ASCII: names come from the guest.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// placeOf is the place of a walked frame.
func placeOf(m *module, f *unwind.Frame) place { return place{m, f.RVA(), f.Lookup()} }
