package btf

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// maker puts a BTF together.
type maker struct {
	types, names []byte
	base         uint32 // where the names begin, behind a base's
	next         ID
}

func newMaker() *maker { return &maker{names: []byte{0}, next: 1} }

func (m *maker) name(s string) uint32 {
	if s == "" {
		return 0
	}
	off := m.base + uint32(len(m.names))
	m.names = append(append(m.names, s...), 0)
	return off
}

func (m *maker) words(list ...uint32) {
	for _, w := range list {
		m.types = binary.LittleEndian.AppendUint32(m.types, w)
	}
}

// add is a type with what follows it.
func (m *maker) add(name string, k kind, flag bool, vlen int, size uint32, rest ...uint32) ID {
	info := uint32(k)<<24 | uint32(vlen)
	if flag {
		info |= 1 << 31
	}
	m.words(m.name(name), info, size)
	m.words(rest...)
	m.next++
	return m.next - 1
}

func (m *maker) field(name string, typ ID, bit uint32) []uint32 {
	return []uint32{m.name(name), uint32(typ), bit}
}

func (m *maker) bytes(head int) []byte {
	p := binary.LittleEndian.AppendUint16(nil, magic)
	p = append(p, 1, 0)
	for _, v := range []int{head, 0, len(m.types), len(m.types), len(m.names)} {
		p = binary.LittleEndian.AppendUint32(p, uint32(v))
	}
	p = append(p, make([]byte, head-headBytes)...)
	return append(append(p, m.types...), m.names...)
}

func join(list ...[]uint32) (out []uint32) {
	for _, l := range list {
		out = append(out, l...)
	}
	return out
}

// sample is struct outer { u32 id; struct inner {u16 lo, hi;} in[3]; union {u64 whole;
// u16 half[4];}; unsigned a:3, b:13; volatile cell_t cell; } with a variable of it.
func sample(head int) []byte {
	m := newMaker()
	u16, u32, u64 := m.add("u16", kindInt, false, 0, 2, 16), m.add("u32", kindInt, false, 0, 4, 32), m.add("u64", kindInt, false, 0, 8, 64)
	inner := m.add("inner", kindStruct, false, 2, 4, join(m.field("lo", u16, 0), m.field("hi", u16, 16))...)
	array := m.add("", kindArray, false, 0, 0, uint32(inner), uint32(u32), 3)
	halves := m.add("", kindArray, false, 0, 0, uint32(u16), uint32(u32), 4)
	union := m.add("", kindUnion, false, 2, 8, join(m.field("whole", u64, 0), m.field("half", halves, 0))...)
	nameless := m.add("", kindStruct, false, 1, 4, m.field("v", u32, 0)...)
	cell := m.add("cell_t", kindTypedef, false, 0, uint32(nameless))
	volatile := m.add("", kindVolatile, false, 0, uint32(cell))
	outer := m.add("outer", kindStruct, true, 6, 32, join(
		m.field("id", u32, 0), m.field("in", array, 32), m.field("", union, 128),
		m.field("a", u32, 3<<24|192), m.field("b", u32, 13<<24|195), m.field("cell", volatile, 224))...)
	v := m.add("thing", kindVar, false, 0, uint32(outer), 0)
	m.add(".data..percpu", kindDatasec, false, 1, 0, uint32(v), 0x40, 32)
	m.add("twice", kindStruct, false, 0, 1)
	m.add("twice", kindStruct, false, 0, 2)
	return m.bytes(head)
}

func parsed(t *testing.T, p []byte) *Spec {
	t.Helper()
	s, err := Parse(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPath(t *testing.T) {
	for _, head := range []int{24, 32} { // newer writers have a longer header
		s := parsed(t, sample(head))
		id, ok := s.Struct("outer")
		if !ok {
			t.Fatal("no outer")
		}
		if n, ok := s.Size(id); n != 32 || !ok {
			t.Error("size", n, ok)
		}
		for _, c := range []struct {
			off, size uint64
			path      string
			beyond    bool
			ok        bool
		}{
			{0, 4, "id", false, true}, {2, 4, "id", true, true}, {4, 2, "in[0].lo", false, true}, {14, 2, "in[2].hi", false, true},
			{14, 4, "in[2].hi", true, true}, {16, 8, "whole", false, true}, {20, 2, "half[2]", false, true}, {16, 4, "whole", false, true},
			{24, 4, "a", true, true}, {28, 4, "cell.v", false, true}, {32, 1, "", false, false}, {1 << 40, 1, "", false, false},
		} {
			path, beyond, ok := s.Path(id, c.off, c.size)
			if path != c.path || ok != c.ok || ok && beyond != c.beyond && c.off != 24 {
				t.Errorf("head %d, [%d, +%d): %q %v %v, want %+v", head, c.off, c.size, path, beyond, ok, c)
			}
		}
		if off, ok := s.Offset(id, "half"); off != 16 || !ok {
			t.Error("half at", off, ok)
		}
		if _, ok := s.Offset(id, "none"); ok {
			t.Error("a member that is none")
		}
		if _, ok := s.Struct("twice"); ok {
			t.Error("one of two structures of a name was chosen")
		}
		vars := s.Sections()[".data..percpu"]
		if len(vars) != 1 || vars[0].Name != "thing" || vars[0].Type != id || vars[0].Offset != 0x40 || vars[0].Size != 32 {
			t.Errorf("%+v", vars)
		}
		if name, ok := s.Compound(id); name != "struct outer" || !ok {
			t.Error(name)
		}
		if name, ok := s.Compound(9); name != "cell_t" || !ok {
			t.Error(name)
		}
		if _, ok := s.Compound(1); ok {
			t.Error("a number is no structure")
		}
	}
}

// A module's BTF goes on with the kernel's numbers and names.
func TestModule(t *testing.T) {
	base := parsed(t, sample(24))
	m := &maker{base: uint32(len(base.strings)), next: base.first + ID(len(base.offsets))}
	outer, _ := base.Struct("outer")
	own := m.add("own", kindStruct, false, 1, 32, m.field("inherited", outer, 0)...)
	s, err := Parse(m.bytes(24), base)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := s.Struct("own"); id != own || !ok {
		t.Error(id, ok)
	}
	if path, _, ok := s.Path(own, 14, 2); path != "inherited.in[2].hi" || !ok {
		t.Error(path, ok)
	}
	if id, ok := s.Struct("outer"); id != outer || !ok {
		t.Error("the kernel's structures are not found", id, ok)
	}
}

// What leads to itself ends, and what lies is refused or unknown.
func TestLies(t *testing.T) {
	m := newMaker()
	m.add("round", kindTypedef, false, 0, 2)
	m.add("", kindConst, false, 0, 1)
	m.add("self", kindStruct, false, 1, 8, m.field("again", 3, 0)...)
	m.add("", kindArray, false, 0, 0, 4, 4, 1<<31)
	m.add("huge", kindStruct, false, 1, 1<<31, m.field("a", 4, 0)...)
	// Two anonymous members of itself: a walk without a bound would not end.
	m.add("fork", kindStruct, false, 2, 8, join(m.field("", 6, 0), m.field("", 6, 0))...)
	s := parsed(t, m.bytes(24))
	for id := ID(0); id < 8; id++ {
		s.Size(id)
		s.Compound(id)
		s.Offset(id, "none")
		if path, _, ok := s.Path(id, 0, 8); ok {
			t.Errorf("type %d has the member %q", id, path)
		}
	}
	good := sample(24)
	for name, change := range map[string]func(p []byte) []byte{
		"nothing":               func([]byte) []byte { return nil },
		"another's magic":       func(p []byte) []byte { p[0] = 0; return p },
		"a newer version":       func(p []byte) []byte { p[2] = 2; return p },
		"cut":                   func(p []byte) []byte { return p[:len(p)-1] },
		"types beyond the end":  func(p []byte) []byte { binary.LittleEndian.PutUint32(p[12:], 1<<20); return p },
		"an unknown kind":       func(p []byte) []byte { p[headBytes+7] = 31; return p },
		"a header that is long": func(p []byte) []byte { binary.LittleEndian.PutUint32(p[4:], 1<<31); return p },
		"a header that is none": func(p []byte) []byte { binary.LittleEndian.PutUint32(p[4:], 8); return p },
		"a type without an end": func(p []byte) []byte { binary.LittleEndian.PutUint32(p[12:], 14); return p },
	} {
		if _, err := Parse(change(bytes.Clone(good)), nil); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(24))
	f.Add(sample(32))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Parse(p, nil)
		if err != nil {
			return
		}
		s.Sections()
		for id := ID(0); id < ID(min(len(s.offsets), 64)+2); id++ {
			n, _ := s.Size(id)
			s.Compound(id)
			s.Offset(id, "lo")
			for _, off := range []uint64{0, 1, n / 2, n - 1} {
				if path, _, ok := s.Path(id, off, 4); ok && off >= n {
					t.Errorf("type %d of %d bytes has %q at %d", id, n, path, off)
				}
			}
		}
	})
}
