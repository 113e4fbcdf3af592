package srcline

import (
	"context"
	"debug/dwarf"
	"errors"
	"io"
	"path"
)

// Frame is a place in the source.
type Frame struct {
	Func   string // the source's name of the function; "" where none is known
	File   string // with its directory; "" where none is known
	Line   int    // 0 where none is known
	Inline bool   // the function was inlined into that of the next frame
}

// Frames gives the places of the source that an address stands for, the innermost
// first: the functions that were inlined there, and last the one that they were
// inlined into. A return address stands behind the call; look up the byte before
// it. There is none for an address without debugging information.
func (f *File) Frames(ctx context.Context, addr uint64) ([]Frame, error) {
	off, ok, err := f.unitOf(ctx, addr)
	if err != nil || !ok {
		return nil, err
	}
	u, err := f.unit(ctx, off)
	if err != nil {
		return nil, err
	}
	at, err := u.lineAt(addr)
	if err != nil {
		return nil, err
	}
	var out []Frame
	for i := u.innermost(addr); i >= 0; i = int(u.funcs[i].parent) {
		fn := &u.funcs[i]
		name, err := f.nameOf(ctx, u, int64(fn.entry), maxOrigins)
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		} else if err != nil {
			name = "" // the line is known all the same
		}
		out = append(out, Frame{Func: name, File: at.File, Line: at.Line, Inline: fn.inlined})
		if !fn.inlined {
			break
		}
		at = Frame{File: u.fileName(fn.callFile), Line: fn.callLine}
	}
	if len(out) == 0 && at.File != "" {
		out = append(out, at)
	}
	return out, nil
}

// innermost finds the function that an address is in, by its index; -1 for none.
// The functions are nested depth first: of those that hold the address each next
// one is inside the one before.
func (u *unit) innermost(addr uint64) int {
	best := -1
	for i := range u.funcs {
		fn := &u.funcs[i]
		if best >= 0 && (!fn.inlined || !u.inside(i, best)) {
			continue
		}
		for _, s := range u.spans[fn.from:fn.to] {
			if addr >= s.start && addr < s.end {
				best = i
				break
			}
		}
	}
	return best
}

// inside reports whether a function is inlined into another, at any depth.
func (u *unit) inside(i, outer int) bool {
	for i = int(u.funcs[i].parent); i > outer; i = int(u.funcs[i].parent) {
	}
	return i == outer
}

// lineAt runs the unit's line program up to the row that holds an address.
func (u *unit) lineAt(addr uint64) (Frame, error) {
	if u.lines == nil {
		return Frame{}, nil
	}
	u.lines.Reset()
	var row, next dwarf.LineEntry
	for ok := false; ; row, ok = next, !next.EndSequence {
		if err := u.lines.Next(&next); errors.Is(err, io.EOF) {
			return Frame{}, nil
		} else if err != nil {
			return Frame{}, damaged("%v", err)
		}
		if ok && row.Address <= addr && addr < next.Address {
			return Frame{File: u.path(row.File), Line: row.Line}, nil
		}
	}
}

// fileName is the i-th name of the unit's line program.
func (u *unit) fileName(i int) string {
	if u.lines == nil {
		return ""
	}
	if files := u.lines.Files(); i >= 0 && i < len(files) {
		return u.path(files[i])
	}
	return ""
}

// path is a file's name with its directory: in version 5 it may be relative to
// where the unit was compiled.
func (u *unit) path(file *dwarf.LineFile) string {
	switch {
	case file == nil:
		return ""
	case path.IsAbs(file.Name) || u.compDir == "":
		return file.Name
	}
	return path.Join(u.compDir, file.Name)
}

// maxOrigins bounds how often an entry refers to another for its name: a
// function's code to its abstract instance, that to its declaration.
const maxOrigins = 8

// nameOf gives the name of the entry at an offset of a unit.
func (f *File) nameOf(ctx context.Context, u *unit, entry int64, depth int) (string, error) {
	if depth == 0 || entry < 0 || entry >= u.end-u.off {
		return "", damaged("a function's name leads nowhere")
	}
	r := u.data.Reader()
	r.Seek(dwarf.Offset(entry))
	e, err := r.Next()
	if err != nil || e == nil {
		return "", damaged("a function's name leads nowhere: %v", err)
	}
	if name, err := f.textOf(u, e, dwarf.AttrName); err != nil || name != "" {
		return name, err
	}
	for _, attr := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		off, global, ok := reference(e, attr)
		if !ok {
			continue
		}
		if global {
			at, err := f.unitAt(ctx, off)
			if err != nil {
				return "", err
			}
			if at != u.off {
				if u, err = f.unit(ctx, at); err != nil {
					return "", err
				}
			}
			off -= at
		}
		return f.nameOf(ctx, u, off, depth-1)
	}
	return "", nil
}
