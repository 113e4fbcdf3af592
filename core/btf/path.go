package btf

import (
	"fmt"
	"strings"
)

// Path says which member of a type the bytes [off, off+size) are, as C would name
// it behind the object: "body.items[2].count", "[3]", "" for the whole of it. Of the
// members of a union one that has the access's size is named before one that has
// not. beyond: the access ends in another member than it begins in. ok is false where
// no member covers off: padding, or outside.
func (s *Spec) Path(id ID, off, size uint64) (path string, beyond, ok bool) {
	w := walk{s: s, size: size, left: maxMembers}
	if n, known := s.Size(id); !known || off >= n {
		return "", false, false
	}
	if !w.into(id, off, "", maxDepth) {
		return "", false, false
	}
	return strings.TrimPrefix(w.best, "."), w.beyond, true
}

// walk looks for the innermost member at an offset.
type walk struct {
	s     *Spec
	size  uint64
	left  int // members that may still be looked at
	found bool
	exact bool // best has the access's size and begins where it does

	best   string
	beyond bool
}

// into goes down into a type; it reports whether anything covers the offset.
func (w *walk) into(id ID, off uint64, path string, depth int) bool {
	_, e, ok := w.s.resolve(id)
	if !ok || depth == 0 {
		return false
	}
	switch e.kind {
	case kindArray:
		one, ok := w.s.Size(ID(e.u32(0)))
		if !ok || one == 0 || off/one >= uint64(e.u32(8)) {
			return false
		}
		return w.into(ID(e.u32(0)), off%one, fmt.Sprintf("%s[%d]", path, off/one), depth-1)
	case kindStruct, kindUnion:
		any := false
		for i := range e.vlen {
			if w.left--; w.left < 0 || w.exact {
				break
			}
			m := e.member(i)
			n, ok := w.s.Size(m.typ)
			at := m.bit / 8
			if m.bits > 0 {
				n = (m.bit%8 + m.bits + 7) / 8
			}
			if !ok || off < at || off >= at+n {
				continue
			}
			if at+n > uint64(e.size) {
				return false // it is not the structure that it says it is
			}
			next := path
			if m.name != "" {
				next += "." + m.name
			}
			if w.into(m.typ, off-at, next, depth-1) {
				any = true
			}
			if m.bits == 0 && e.kind == kindStruct {
				break // only bit fields and a union's members share bytes
			}
		}
		return any
	}
	n, ok := w.s.Size(id)
	if !ok {
		return false
	}
	exact := off == 0 && n == w.size
	if !w.found || exact {
		w.found, w.exact, w.best, w.beyond = true, exact, path, off+w.size > n
	}
	return true
}
