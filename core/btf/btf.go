// Package btf reads BTF, the type information that a Linux kernel carries: sizes,
// members, and which variables a section has. Source: include/uapi/linux/btf.h and
// Documentation/bpf/btf.rst. All of it is hostile: types may lead to themselves,
// counts and offsets may lie; every walk has a bound.
package btf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ID is a type's number; 0 is void.
type ID uint32

// kind is what a type is.
type kind uint8

const (
	kindInt kind = iota + 1
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
	kinds
)

// What follows the 12 bytes of struct btf_type: bytes once, and for each of vlen.
var follows = [kinds]struct{ once, each int }{
	kindInt: {4, 0}, kindArray: {12, 0}, kindStruct: {0, 12}, kindUnion: {0, 12}, kindEnum: {0, 8},
	kindFuncProto: {0, 8}, kindVar: {4, 0}, kindDatasec: {0, 12}, kindDeclTag: {4, 0}, kindEnum64: {0, 12},
}

// The header, the size of a type and the bounds.
const (
	magic       = 0xeb9f
	headBytes   = 24
	typeBytes   = 12
	maxHead     = 256
	MaxBytes    = 32 << 20 // the largest BTF of a stock kernel has 6 MB
	maxTypes    = 1 << 21
	maxDepth    = 32 // of modifiers in a row, and of members in each other
	maxName     = 512
	maxMembers  = 1 << 16
	pointerSize = 8
)

// ErrNone says that there is no BTF.
var ErrNone = errors.New("no BTF")

// Spec is a parsed BTF. A module's continues the numbers and names of the kernel's.
type Spec struct {
	types   []byte
	strings []byte
	offsets []uint32 // of each type in types
	first   ID       // the number of offsets[0]
	base    *Spec    // nil: none
	named   map[string]ID
}

// Size gives the length of the BTF whose header p begins with, in bytes.
func Size(p []byte) (int, error) {
	h, err := readHeader(p)
	if err != nil {
		return 0, err
	}
	return int(h.end), nil
}

// header is struct btf_header; all offsets count from its own end.
type header struct {
	types, typesEnd, strings, stringsEnd, end uint64
}

func readHeader(p []byte) (header, error) {
	if len(p) < headBytes || binary.LittleEndian.Uint16(p) != magic || p[2] != 1 {
		return header{}, ErrNone
	}
	u := func(off int) uint64 { return uint64(binary.LittleEndian.Uint32(p[off:])) }
	head := u(4)
	h := header{types: head + u(8), strings: head + u(16)}
	h.typesEnd, h.stringsEnd = h.types+u(12), h.strings+u(20)
	h.end = max(h.typesEnd, h.stringsEnd)
	if head < headBytes || head > maxHead || h.end > MaxBytes {
		return header{}, fmt.Errorf("a BTF of %d bytes behind a header of %d", h.end, head)
	}
	return h, nil
}

// Parse reads a BTF; base is the kernel's where p is a module's. It keeps p.
func Parse(p []byte, base *Spec) (*Spec, error) {
	h, err := readHeader(p)
	if err != nil {
		return nil, err
	}
	if h.end > uint64(len(p)) {
		return nil, fmt.Errorf("the BTF has %d bytes, of which %d are there", h.end, len(p))
	}
	s := &Spec{types: p[h.types:h.typesEnd], strings: p[h.strings:h.stringsEnd], first: 1, base: base, named: map[string]ID{}}
	if base != nil {
		s.first = base.first + ID(len(base.offsets))
	}
	if err := s.checkNames(); err != nil {
		return nil, err
	}
	for off := 0; off < len(s.types); {
		if len(s.offsets) == maxTypes {
			return nil, fmt.Errorf("more than %d types", maxTypes)
		}
		if off+typeBytes > len(s.types) {
			return nil, fmt.Errorf("type %d has no end", len(s.offsets)+1)
		}
		info := binary.LittleEndian.Uint32(s.types[off+4:])
		k := kind(info >> 24 & 0x1f)
		if k == 0 || k >= kinds {
			return nil, fmt.Errorf("type %d is of kind %d", len(s.offsets)+1, k)
		}
		n := typeBytes + follows[k].once + follows[k].each*int(info&0xffff)
		if off+n > len(s.types) {
			return nil, fmt.Errorf("type %d has no end", len(s.offsets)+1)
		}
		s.offsets = append(s.offsets, uint32(off))
		if k == kindStruct || k == kindUnion {
			id := s.first + ID(len(s.offsets)) - 1
			if name := s.name(binary.LittleEndian.Uint32(s.types[off:])); name != "" {
				if _, twice := s.named[name]; twice {
					id = 0 // of two structures of one name neither is meant
				}
				s.named[name] = id
			}
		}
		off += n
	}
	return s, nil
}

// checkNames refuses names that no compiler wrote: a piece of zeros or of something
// else would give members names that they do not have. The empty name is the first,
// and stands there once.
func (s *Spec) checkNames() error {
	last := byte(1)
	for i, c := range s.strings {
		if c != 0 && (c <= ' ' || c > '~') && c != '\t' && c != ' ' || c == 0 && last == 0 {
			return fmt.Errorf("byte %d of the names is %#x", i, c)
		}
		last = c
	}
	if len(s.strings) == 0 || s.base == nil && s.strings[0] != 0 || last != 0 {
		return errors.New("the names have no beginning or no end")
	}
	return nil
}

// name reads a string; offsets below a base's strings are that one's.
func (s *Spec) name(off uint32) string {
	if s.base != nil {
		if off < uint32(len(s.base.strings)) {
			return s.base.name(off)
		}
		off -= uint32(len(s.base.strings))
	}
	if uint64(off) >= uint64(len(s.strings)) {
		return ""
	}
	p := s.strings[off:min(len(s.strings), int(off)+maxName)]
	for i, c := range p {
		if c == 0 {
			return string(p[:i])
		}
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return ""
}

// entry is a type as it stands there.
type entry struct {
	spec *Spec
	kind kind
	flag bool // kind_flag: a member's offset has the bits of a bit field in its top byte
	vlen int
	size uint32 // or the type it leads to
	name uint32
	rest []byte // what follows
}

func (e entry) to() ID { return ID(e.size) }

func (e entry) u32(off int) uint32 { return binary.LittleEndian.Uint32(e.rest[off:]) }

// at gives a type; false: there is none of that number.
func (s *Spec) at(id ID) (entry, bool) {
	if id < s.first {
		if s.base == nil || id == 0 {
			return entry{}, false
		}
		return s.base.at(id)
	}
	i := uint64(id - s.first)
	if i >= uint64(len(s.offsets)) {
		return entry{}, false
	}
	p := s.types[s.offsets[i]:]
	info := binary.LittleEndian.Uint32(p[4:])
	e := entry{spec: s, kind: kind(info >> 24 & 0x1f), flag: info>>31 != 0, vlen: int(info & 0xffff),
		name: binary.LittleEndian.Uint32(p), size: binary.LittleEndian.Uint32(p[8:])}
	e.rest = p[typeBytes : typeBytes+follows[e.kind].once+follows[e.kind].each*e.vlen]
	return e, true
}

// resolve passes by typedefs and qualifiers.
func (s *Spec) resolve(id ID) (ID, entry, bool) {
	for range maxDepth {
		e, ok := s.at(id)
		if !ok {
			return 0, e, false
		}
		switch e.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = e.to()
		default:
			return id, e, true
		}
	}
	return 0, entry{}, false
}

// Struct finds the structure or union of a name; false: there is none, or there are
// several.
func (s *Spec) Struct(name string) (ID, bool) {
	id, found := s.named[name]
	if !found && s.base != nil {
		return s.base.Struct(name)
	}
	return id, id != 0
}

// Size is a type's size in bytes; false: it has none, or does not say.
func (s *Spec) Size(id ID) (uint64, bool) { return s.size(id, maxDepth) }

func (s *Spec) size(id ID, depth int) (uint64, bool) {
	_, e, ok := s.resolve(id)
	if !ok || depth == 0 {
		return 0, false
	}
	switch e.kind {
	case kindPtr:
		return pointerSize, true
	case kindInt, kindStruct, kindUnion, kindEnum, kindEnum64, kindFloat:
		return uint64(e.size), true
	case kindArray:
		one, ok := s.size(ID(e.u32(0)), depth-1)
		return one * uint64(e.u32(8)), ok && one <= MaxBytes
	}
	return 0, false
}

// Compound gives the name of a type that is a structure or a union, as C has it:
// "struct task_struct"; false: it is none, or has no name.
func (s *Spec) Compound(id ID) (string, bool) {
	for range maxDepth {
		e, ok := s.at(id)
		if !ok {
			return "", false
		}
		name := e.spec.name(e.name)
		switch e.kind {
		case kindStruct, kindUnion:
			if name == "" {
				return "", false
			}
			return map[kind]string{kindStruct: "struct ", kindUnion: "union "}[e.kind] + name, true
		case kindTypedef:
			// A structure that has a name only as a typedef is called by that.
			if _, to, ok := s.resolve(id); ok && name != "" && (to.kind == kindStruct || to.kind == kindUnion) && to.spec.name(to.name) == "" {
				return name, true
			}
			id = e.to()
		case kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = e.to()
		default:
			return "", false
		}
	}
	return "", false
}

// Offset gives where a structure's direct member of a name is, in bytes; members of
// anonymous structures inside it count as its own.
func (s *Spec) Offset(id ID, member string) (uint64, bool) {
	left := maxMembers
	return s.offset(id, member, maxDepth, &left)
}

func (s *Spec) offset(id ID, member string, depth int, left *int) (uint64, bool) {
	_, e, ok := s.resolve(id)
	if !ok || depth == 0 || e.kind != kindStruct && e.kind != kindUnion {
		return 0, false
	}
	for i := range e.vlen {
		if *left--; *left < 0 {
			return 0, false
		}
		m := e.member(i)
		if m.name == member {
			return m.bit / 8, true
		}
		if m.name == "" {
			if off, ok := s.offset(m.typ, member, depth-1, left); ok {
				return m.bit/8 + off, true
			}
		}
	}
	return 0, false
}

// member is a structure's.
type member struct {
	name string
	typ  ID
	bit  uint64 // from the structure's beginning
	bits uint64 // of a bit field; 0: it is none
}

func (e entry) member(i int) member {
	off := 12 * i
	m := member{name: e.spec.name(e.u32(off)), typ: ID(e.u32(off + 4)), bit: uint64(e.u32(off + 8))}
	if e.flag {
		m.bit, m.bits = m.bit&0xffffff, m.bit>>24
	}
	return m
}

// Var is a variable of a section.
type Var struct {
	Name   string
	Type   ID
	Offset uint64 // from the section's beginning, in bytes
	Size   uint64
}

// Sections gives every section's variables, by its name.
func (s *Spec) Sections() map[string][]Var {
	out := map[string][]Var{}
	for i := range s.offsets {
		e, _ := s.at(s.first + ID(i))
		if e.kind != kindDatasec {
			continue
		}
		name := e.spec.name(e.name)
		for j := range e.vlen {
			v, ok := s.at(ID(e.u32(12 * j)))
			if !ok || v.kind != kindVar {
				continue
			}
			out[name] = append(out[name], Var{Name: v.spec.name(v.name), Type: v.to(), Offset: uint64(e.u32(12*j + 4)), Size: uint64(e.u32(12*j + 8))})
		}
	}
	return out
}
