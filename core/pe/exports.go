package pe

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Exports is an image's export table in memory. The functions' addresses are
// held, names are read one at a time.
type Exports struct {
	r         reader
	dir       directory
	base      uint32 // ordinal of the first function
	functions []uint32
	names     uint32 // how many
	nameList  uint32 // RVA
	ordinals  uint32 // RVA
}

// Export is a function that an image exports. Name is "" for one that has an
// ordinal only.
type Export struct {
	Name    string
	Ordinal uint32
	RVA     uint32
}

// ExportTable reads the image's export table. Its name and its functions are in
// no order of addresses, so all addresses are read: at most 256 KiB.
func (i *Image) ExportTable(m Memory) (*Exports, error) {
	d := i.exportDir
	if d.rva == 0 || d.size < exportBytes {
		return nil, fmt.Errorf("export table: %w", ErrNoTable)
	}
	r := reader{m, i.Base}
	var h [exportBytes]byte
	if err := r.read(h[:], d.rva); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	count, names := le.Uint32(h[exportFunctions:]), le.Uint32(h[exportNames:])
	if count > maxExports || names > maxExports {
		return nil, fmt.Errorf("export table of %d functions and %d names: %w", count, names, ErrDamaged)
	}
	raw := make([]byte, 4*count)
	if err := r.read(raw, le.Uint32(h[exportAddresses:])); err != nil {
		return nil, err
	}
	e := &Exports{r: r, dir: d, base: le.Uint32(h[exportBase:]), names: names,
		nameList: le.Uint32(h[exportNameList:]), ordinals: le.Uint32(h[exportOrdinals:]), functions: make([]uint32, count)}
	for n := range e.functions {
		e.functions[n] = le.Uint32(raw[4*n:])
	}
	return e, nil
}

// code reports whether a function's RVA is one of code: 0 is a gap, and one
// inside the directory is the text of a forwarder.
func (e *Exports) code(rva uint32) bool {
	return rva != 0 && (rva < e.dir.rva || rva-e.dir.rva >= e.dir.size)
}

// At gives the export whose address is rva; of several, the first by name.
func (e *Exports) At(rva uint32) (Export, bool) {
	index := slices.Index(e.functions, rva)
	if !e.code(rva) || index < 0 {
		return Export{}, false
	}
	x := Export{RVA: rva, Ordinal: e.base + uint32(index)}
	raw := make([]byte, 2*e.names)
	if e.r.read(raw, e.ordinals) != nil {
		return x, true
	}
	le := binary.LittleEndian
	for n := range e.names {
		f := le.Uint16(raw[2*n:])
		if int(f) >= len(e.functions) || e.functions[f] != rva {
			continue
		}
		name, ok := e.name(n)
		if !ok {
			return x, true // one that cannot be read is enough: a table may name one function 65,536 times
		}
		return Export{Name: name, RVA: rva, Ordinal: e.base + uint32(f)}, true
	}
	return x, true
}

// Below gives the export with the highest address that is not above rva.
func (e *Exports) Below(rva uint32) (Export, bool) {
	var best uint32
	for _, f := range e.functions {
		if f <= rva && f > best && e.code(f) {
			best = f
		}
	}
	return e.At(best)
}

// name reads a name by its place in the list of names.
func (e *Exports) name(n uint32) (string, bool) {
	var p [4]byte
	at := e.nameList + 4*n
	if at < e.nameList || e.r.read(p[:], at) != nil {
		return "", false
	}
	text, err := e.r.text(binary.LittleEndian.Uint32(p[:]), maxSymbolName)
	return string(text), err == nil && len(text) > 0
}
