package pe_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/pe"
)

// withDirectory makes an image of some pages whose data directory with a number
// is at an RVA.
func withDirectory(pages, number int, rva, bytes uint32) *memory {
	m := standard().build()
	m.data = append(m.data, make([]byte, pages*4096-len(m.data))...)
	le := binary.LittleEndian
	le.PutUint32(m.data[atNT+0x50:], uint32(len(m.data)))
	le.PutUint32(m.data[atNT+0x88+8*number:], rva)
	le.PutUint32(m.data[atNT+0x88+8*number+4:], bytes)
	return m
}

const atTable = 0x7000

// table makes an image with a table of n functions: function i is at
// 0x100000+32*i and 24 bytes long.
func table(n int) *memory {
	m := withDirectory(8+n*12/4096, 3, atTable, uint32(12*n))
	for i := range n {
		e := m.data[atTable+12*i:]
		binary.LittleEndian.PutUint32(e, uint32(0x100000+32*i))
		binary.LittleEndian.PutUint32(e[4:], uint32(0x100000+32*i+24))
		binary.LittleEndian.PutUint32(e[8:], uint32(0x5000+4*i))
	}
	return m
}

func functions(t *testing.T, m *memory) *pe.Functions {
	t.Helper()
	f, err := read(t, m).Functions(m)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFunctions(t *testing.T) {
	const n = 2000
	m := table(n)
	f := functions(t, m)
	if f.Len() != n {
		t.Fatalf("%d entries", f.Len())
	}
	for i := range n {
		begin := uint32(0x100000 + 32*i)
		want := pe.Function{Begin: begin, End: begin + 24, Unwind: uint32(0x5000 + 4*i)}
		for _, rva := range []uint32{begin, begin + 23} {
			if got, ok, err := f.Find(rva); got != want || !ok || err != nil {
				t.Fatalf("%#x: %+v, %v, %v", rva, got, ok, err)
			}
		}
		if got, ok, err := f.Find(begin + 24); ok || err != nil || got != want {
			t.Fatalf("the gap at %#x: %+v, %v, %v", begin+24, got, ok, err)
		}
	}
	if got, ok, err := f.Find(0xfffff); ok || err != nil || got != (pe.Function{}) {
		t.Errorf("below all: %+v, %v, %v", got, ok, err)
	}
	m.bytes = 0
	if _, _, err := f.Find(0x100000 + 32*1234); err != nil || m.bytes > 12*12 {
		t.Errorf("%d bytes read: %v", m.bytes, err)
	}
}

// TestFunctionsHole takes pages of a table away: what the others prove stays,
// and what they do not is an error, never "no function".
func TestFunctionsHole(t *testing.T) {
	const n = 2000
	for page := 7; page < 7+n*12/4096+1; page++ {
		m := table(n)
		m.missing[page] = true
		f := functions(t, m)
		found, holes := 0, 0
		for i := range n {
			// An entry that straddles a page's end is on both.
			there := (atTable+12*i)/4096 != page && (atTable+12*i+11)/4096 != page
			got, ok, err := f.Find(uint32(0x100000 + 32*i + 5))
			switch {
			case there && (err != nil || !ok || got.Begin != uint32(0x100000+32*i)):
				t.Fatalf("page %d, entry %d: %+v, %v, %v", page, i, got, ok, err)
			case !there && (err == nil || ok):
				t.Fatalf("page %d, entry %d is missing: %+v, %v, %v", page, i, got, ok, err)
			case there:
				found++
			default:
				holes++
				if !errors.Is(err, errMissing) {
					t.Fatal(err)
				}
			}
		}
		if found == 0 || holes == 0 {
			t.Errorf("page %d: %d found, %d missing", page, found, holes)
		}
	}
}

func TestFunctionsRefused(t *testing.T) {
	for _, c := range []struct {
		rva, bytes uint32
		want       error
	}{
		{0, 0, pe.ErrNoTable}, {atTable, 0, pe.ErrNoTable}, {atTable, 11, pe.ErrNoTable},
		{0x7fff0000, 120, pe.ErrDamaged}, {atTable, 0xfffffff4, pe.ErrDamaged}, {atTable, 0x2000, pe.ErrDamaged},
	} {
		m := withDirectory(8, 3, c.rva, c.bytes)
		if f, err := read(t, m).Functions(m); f != nil || !errors.Is(err, c.want) {
			t.Errorf("%#x+%#x: %v, %v", c.rva, c.bytes, f, err)
		}
	}
	m := table(10)
	binary.LittleEndian.PutUint16(m.data[atNT+4:], pe.MachineARM64)
	if _, err := read(t, m).Functions(m); !errors.Is(err, pe.ErrNoTable) {
		t.Error("a table of another machine:", err)
	}
	m = withDirectory(8, 3, atTable, 12*3+5) // rounded down
	if f := functions(t, m); f.Len() != 3 {
		t.Errorf("%d entries", f.Len())
	}
	m = table(3)
	binary.LittleEndian.PutUint32(m.data[atTable+12+4:], 0x100000) // entry 1 ends before it begins
	if _, ok, err := functions(t, m).Find(0x100020); ok || !errors.Is(err, pe.ErrDamaged) {
		t.Error(ok, err)
	}
	if _, err := functions(t, m).Linked(0xfffffff8); !errors.Is(err, pe.ErrDamaged) {
		t.Error(err)
	}
	if f, err := pe.FunctionsAt(m, base, 0x9000, atTable, 36); err != nil || f.Len() != 3 {
		t.Error(f, err)
	}
}

// exported is a function of an export table.
type exported struct {
	rva   uint32
	names []string // none: it has an ordinal only
}

const exportDirBytes = 0x1800

// exports makes an image with an export table at atTable; ordinals begin at 5.
func exports(list []exported) *memory {
	m := withDirectory(16, 0, atTable, exportDirBytes)
	le := binary.LittleEndian
	d := m.data[atTable:]
	const functions, names, ordinals = atTable + 0x100, atTable + 0x400, atTable + 0x700
	text := uint32(atTable + 0x900)
	n := 0
	for i, e := range list {
		le.PutUint32(m.data[functions+4*i:], e.rva)
		for _, name := range e.names {
			le.PutUint32(m.data[names+4*n:], text)
			le.PutUint16(m.data[ordinals+2*n:], uint16(i))
			text += uint32(copy(m.data[text:], name+"\x00"))
			n++
		}
	}
	for off, v := range map[int]int{0x10: 5, 0x14: len(list), 0x18: n, 0x1c: functions, 0x20: names, 0x24: ordinals} {
		le.PutUint32(d[off:], uint32(v))
	}
	return m
}

func TestExports(t *testing.T) {
	m := exports([]exported{
		{0x1400, []string{"Second"}}, {0x1000, []string{"First", "Alias"}}, {0, nil},
		{0x1800, nil}, {atTable + 0x20, []string{"Forwarded"}},
	})
	e, err := read(t, m).ExportTable(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rva  uint32
		want string
	}{{0x1000, "First 6 0x1000"}, {0x1400, "Second 5 0x1400"}, {0x1800, " 8 0x1800"}} {
		x, ok := e.At(c.rva)
		if got := fmt.Sprintf("%s %d %#x", x.Name, x.Ordinal, x.RVA); got != c.want || !ok {
			t.Errorf("%#x: %q, %v", c.rva, got, ok)
		}
	}
	for _, rva := range []uint32{0, 1, 0x1001, atTable + 0x20} {
		if x, ok := e.At(rva); ok {
			t.Errorf("%#x is %+v", rva, x)
		}
	}
	for rva, want := range map[uint32]string{0x13ff: "First", 0x1400: "Second", 0x17ff: "Second", atTable + 0x20: ""} {
		if x, ok := e.Below(rva); x.Name != want || !ok {
			t.Errorf("below %#x: %+v", rva, x)
		}
	}
	if x, ok := e.Below(0xfff); ok {
		t.Errorf("below all: %+v", x)
	}
}

// TestExportsRefused has tables that claim too much, names without an end, and
// one function with very many names.
func TestExportsRefused(t *testing.T) {
	le := binary.LittleEndian
	first := []exported{{0x1000, []string{"First"}}}
	for off := range map[int]bool{0x14: true, 0x18: true} {
		m := exports(first)
		le.PutUint32(m.data[atTable+off:], 1<<16+1)
		if _, err := read(t, m).ExportTable(m); !errors.Is(err, pe.ErrDamaged) {
			t.Errorf("field %#x: %v", off, err)
		}
	}
	m := exports(first)
	le.PutUint32(m.data[atTable+0x1c:], 0xfffffff0)
	if _, err := read(t, m).ExportTable(m); err == nil {
		t.Error("functions outside the image")
	}
	m = exports(first)
	copy(m.data[atTable+0x900:], strings.Repeat("n", 5000))
	e, err := read(t, m).ExportTable(m)
	if err != nil {
		t.Fatal(err)
	}
	if x, ok := e.At(0x1000); !ok || len(x.Name) != 512 {
		t.Errorf("a name of %d letters", len(x.Name))
	}
	m = exports(first)
	le.PutUint32(m.data[atTable+0x400:], 0xffff0000) // its name is nowhere
	le.PutUint32(m.data[atTable+0x18:], 1<<16)
	le.PutUint32(m.data[atTable+0x24:], atTable+0x700)
	m.data = append(m.data, make([]byte, 2<<16)...)
	if e, err = read(t, m).ExportTable(m); err != nil {
		t.Fatal(err)
	}
	m.bytes = 0
	if x, ok := e.At(0x1000); !ok || x.Name != "" || m.bytes > 2<<16+4096 {
		t.Errorf("%+v, %v, %d bytes", x, ok, m.bytes)
	}
	if m = withDirectory(8, 0, 0, 0); true {
		if _, err := read(t, m).ExportTable(m); !errors.Is(err, pe.ErrNoTable) {
			t.Error(err)
		}
	}
}

// FuzzTables reads an image's exception directory and export table and looks
// things up in them.
func FuzzTables(f *testing.F) {
	add := func(m *memory) { f.Add(m.data, uint16(0), uint32(0x100040)) }
	add(table(20))
	add(table(1000))
	add(exports([]exported{{0x1000, []string{"First", "Alias"}}, {0x1400, nil}, {atTable + 0x20, []string{"F"}}}))
	f.Fuzz(func(t *testing.T, data []byte, missing uint16, rva uint32) {
		m := &memory{base: base, data: data, missing: map[int]bool{}}
		for i := range 16 {
			m.missing[i] = missing>>i&1 != 0
		}
		img, err := pe.Read(m, base)
		if err != nil {
			return
		}
		if fs, err := img.Functions(m); err == nil {
			m.bytes = 0
			e, ok, err := fs.Find(rva)
			if ok && (rva < e.Begin || rva >= e.End || err != nil) {
				t.Fatalf("%#x is in %+v (%v)", rva, e, err)
			}
			if m.bytes > 1<<17 {
				t.Fatalf("%d bytes for one look-up", m.bytes)
			}
		}
		if x, err := img.ExportTable(m); err == nil {
			m.bytes = 0
			at, ok := x.Below(rva)
			if ok && at.RVA > rva {
				t.Fatalf("%+v is not below %#x", at, rva)
			}
			if again, found := x.At(at.RVA); ok && (!found || again != at) {
				t.Fatalf("%+v, then %+v", at, again)
			}
			if m.bytes > 1<<19 {
				t.Fatalf("%d bytes for one name", m.bytes)
			}
		}
	})
}
