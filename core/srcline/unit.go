package srcline

import (
	"context"
	"debug/dwarf"

	"coredrop/core/fault"
)

// unit is a compilation unit: its entries, which debug/dwarf reads, and what was
// found in them of code.
type unit struct {
	unitHead
	root
	data  *dwarf.Data
	lines *dwarf.LineReader // nil without a line program
	funcs []function        // as they are nested, depth first
	spans []span            // of the functions
	bytes int64             // that it keeps in memory, roughly
}

// root is what a unit's first entry says.
type root struct {
	entry                     dwarf.Offset
	spans                     []span
	compDir                   string
	lowPC                     uint64
	stmtList                  int64 // -1 for none
	addrBase, strBase, rngBas int64
}

// function is a function with code, or one that was inlined into another.
type function struct {
	entry    dwarf.Offset
	parent   int32 // the function around it; -1 for none
	inlined  bool
	callFile int
	callLine int
	from, to int32 // of unit.spans
}

// Bounds of a unit.
const (
	maxLine      = 16 << 20 // bytes of a line program
	maxLineNames = 16 << 20
	maxFunctions = 1 << 20
	maxCached    = 8 << 20 // of all units that are kept
	rootBytes    = 8 << 10
)

// open makes debug/dwarf's view of a unit; rootOnly cuts it behind its first entry.
func (f *File) open(h unitHead, rootOnly bool) (*dwarf.Data, []byte, error) {
	n := h.end - h.off
	if rootOnly {
		n = min(n, rootBytes)
	} else if n > maxUnit {
		return nil, nil, fault.New(fault.DebugTooLarge, "a unit of %d bytes is larger than what is read at once", n)
	}
	info, err := f.info.read(h.off, n)
	if err != nil {
		return nil, nil, err
	}
	abbrev, err := f.rewrite(h.abbrev, h.version)
	if err != nil {
		return nil, nil, err
	}
	// Its abbreviations are the only ones now, and its length what is here.
	if h.wide {
		le.PutUint64(info[h.abbrevAt:], 0)
		le.PutUint64(info[4:], uint64(n-12))
	} else {
		le.PutUint32(info[h.abbrevAt:], 0)
		le.PutUint32(info, uint32(n-4))
	}
	var line []byte
	if !rootOnly {
		if line, err = f.lineProgram(h, info, abbrev); err != nil {
			return nil, nil, err
		}
	}
	d, err := dwarf.New(abbrev, nil, nil, info, line, nil, nil, nil)
	if err != nil {
		return nil, nil, damaged("%v", err)
	}
	return d, info, nil
}

// lineProgram reads the line program that a unit's first entry names; nil without
// one.
func (f *File) lineProgram(h unitHead, info, abbrev []byte) ([]byte, error) {
	d, err := dwarf.New(abbrev, nil, nil, info, nil, nil, nil, nil)
	if err != nil {
		return nil, damaged("%v", err)
	}
	e, err := d.Reader().Next()
	if err != nil || e == nil {
		return nil, damaged("%v", err)
	}
	off, ok := e.Val(dwarf.AttrStmtList).(int64)
	if !ok {
		return nil, nil
	}
	p, err := f.line.prefix(off, 16)
	if err != nil {
		return nil, err
	}
	n, at, _, ok := unitLength(p)
	if !ok || n > maxLine {
		return nil, damaged("a line program of %d bytes", n)
	}
	return f.line.read(off, int64(at)+int64(n))
}

// readRoot reads a unit's first entry alone.
func (f *File) readRoot(h unitHead) (root, error) {
	d, _, err := f.open(h, true)
	if err != nil {
		return root{}, err
	}
	e, err := d.Reader().Next()
	if err != nil || e == nil {
		return root{}, damaged("%v", err)
	}
	return f.rootOf(h, e)
}

// rootOf reads what a unit's first entry says.
func (f *File) rootOf(h unitHead, e *dwarf.Entry) (root, error) {
	r := root{entry: e.Offset, stmtList: -1, addrBase: 8, strBase: 8, rngBas: 12} // the defaults are behind the sections' headers
	if h.wide {
		r.addrBase, r.strBase, r.rngBas = 16, 16, 20
	}
	for attr, to := range map[dwarf.Attr]*int64{dwarf.AttrAddrBase: &r.addrBase, dwarf.AttrStrOffsetsBase: &r.strBase,
		dwarf.AttrRnglistsBase: &r.rngBas, dwarf.AttrStmtList: &r.stmtList} {
		if v, ok := e.Val(attr).(int64); ok {
			*to = v
		}
	}
	u := &unit{unitHead: h, root: r}
	r.compDir, _ = f.textOf(u, e, dwarf.AttrCompDir)
	r.lowPC, _ = f.addressOf(u, e, dwarf.AttrLowpc)
	u.root = r
	var err error
	r.spans, err = f.spansOf(u, e, nil)
	return r, err
}

// unit gives the unit that begins at an offset, from the few that are kept or
// from the file.
func (f *File) unit(ctx context.Context, off int64) (*unit, error) {
	for i, u := range f.cache {
		if u.off == off {
			f.cache = append(append(f.cache[:i:i], f.cache[i+1:]...), u)
			return u, nil
		}
	}
	h, err := f.readHead(off)
	if err != nil {
		return nil, err
	}
	for total := h.end - h.off; len(f.cache) > 0; { // make room first
		for _, u := range f.cache {
			total += u.bytes
		}
		if total <= maxCached {
			break
		}
		f.cache = f.cache[1:]
		total = h.end - h.off
	}
	d, info, err := f.open(h, false)
	if err != nil {
		return nil, err
	}
	u := &unit{unitHead: h, data: d}
	if err := f.readFunctionsOf(ctx, u); err != nil {
		return nil, err
	}
	if err := f.openLines(u); err != nil {
		return nil, err
	}
	u.bytes = int64(len(info)) + int64(len(u.funcs))*64 + int64(len(u.spans))*24
	f.cache = append(f.cache, u)
	return u, nil
}

// openLines opens the unit's line program.
func (f *File) openLines(u *unit) error {
	if u.stmtList < 0 {
		return nil
	}
	if f.fileNames == nil && f.lineStr.size > 0 {
		if f.lineStr.size > maxLineNames {
			return fault.New(fault.DebugTooLarge, "the names of source files have %d bytes", f.lineStr.size)
		}
		p, err := f.lineStr.read(0, f.lineStr.size)
		if err != nil {
			return err
		}
		f.fileNames = p
	}
	if err := u.data.AddSection(".debug_line_str", f.fileNames); err != nil {
		return damaged("%v", err)
	}
	// Its line program is the only one now.
	var err error
	u.lines, err = u.data.LineReader(&dwarf.Entry{Offset: u.entry, Tag: dwarf.TagCompileUnit, Field: []dwarf.Field{
		{Attr: dwarf.AttrStmtList, Val: int64(0), Class: dwarf.ClassLinePtr},
		{Attr: dwarf.AttrCompDir, Val: u.compDir, Class: dwarf.ClassString}}})
	if err != nil {
		return damaged("%v", err)
	}
	return nil
}

// readFunctionsOf collects the functions of a unit that have code.
func (f *File) readFunctionsOf(ctx context.Context, u *unit) error {
	r := u.data.Reader()
	around := []int32{-1}
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return cancelled(ctx)
		}
		e, err := r.Next()
		if err != nil {
			return damaged("%v", err)
		}
		if e == nil {
			return nil
		}
		if n == 0 {
			if u.root, err = f.rootOf(u.unitHead, e); err != nil {
				return err
			}
		}
		if e.Tag == 0 {
			if len(around) > 1 {
				around = around[:len(around)-1]
			}
			continue
		}
		inside := around[len(around)-1]
		if e.Tag == dwarf.TagSubprogram || e.Tag == dwarf.TagInlinedSubroutine {
			fn := function{entry: e.Offset, parent: inside, inlined: e.Tag == dwarf.TagInlinedSubroutine, from: int32(len(u.spans))}
			if u.spans, err = f.spansOf(u, e, u.spans); err != nil {
				return err
			}
			if fn.to = int32(len(u.spans)); fn.to > fn.from {
				file, _ := e.Val(dwarf.AttrCallFile).(int64)
				line, _ := e.Val(dwarf.AttrCallLine).(int64)
				fn.callFile, fn.callLine = int(file), int(line)
				if inside = int32(len(u.funcs)); inside == maxFunctions {
					return fault.New(fault.DebugTooLarge, "a unit with more than %d functions", maxFunctions)
				}
				u.funcs = append(u.funcs, fn)
			}
		}
		if e.Children {
			around = append(around, inside)
		}
	}
}

func cancelled(ctx context.Context) error { return fault.Wrap(ctx.Err(), fault.Cancelled, "") }
