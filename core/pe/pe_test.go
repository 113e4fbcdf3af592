package pe_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/pe"
)

// memory is guest memory from base on; pages listed as missing cannot be read.
type memory struct {
	base    mem.VA
	data    []byte
	missing map[int]bool
	largest int
	bytes   int
	below   bool // something before base was asked for: an offset wrapped around
}

var errMissing = errors.New("page missing")

func (m *memory) ReadAt(p []byte, va mem.VA) error {
	m.largest, m.bytes = max(m.largest, len(p)), m.bytes+len(p)
	m.below = m.below || va < m.base
	off := uint64(va - m.base)
	if va < m.base || off > uint64(len(m.data)) || uint64(len(m.data))-off < uint64(len(p)) {
		return errMissing
	}
	for page := off / 4096; page*4096 < off+uint64(len(p)); page++ {
		if m.missing[int(page)] {
			return errMissing
		}
	}
	copy(p, m.data[off:])
	return nil
}

const base = mem.VA(0xfffff80012340000)

var guid = [16]byte{0x4d, 0xba, 0x8f, 0xbb, 0xc8, 0xbd, 0xf7, 0xea, 0x4c, 0x4c, 0x44, 0x20, 0x50, 0x44, 0x42, 0x2e}

// Where the builder puts things.
const (
	atNT     = 0x100
	atDebug  = 0x2000
	atRecord = 0x3000
	atExport = 0x5000
	atName   = 0x6000
	imageEnd = 0x7000
)

// debugEntry describes one entry of the debug directory.
type debugEntry struct{ kind, size, rva, pointer uint32 }

// image builds an image of seven pages.
type image struct {
	pe32     bool
	machine  uint16
	entries  []debugEntry
	dirBytes uint32 // 0: as many as there are entries
	record   []byte
	at       int // where the record stands; 0: atRecord
	dirCount uint32
	sections int
}

func rsds(age uint32, name string) []byte {
	r := append([]byte("RSDS"), guid[:]...)
	return append(binary.LittleEndian.AppendUint32(r, age), name...)
}

func standard() image {
	record := rsds(1, "ntkrnlmp.pdb\x00")
	return image{machine: 0x8664, record: record, dirCount: 16, sections: 3,
		entries: []debugEntry{{2, uint32(len(record)), atRecord, 0x999}}}
}

func (i image) build() *memory {
	le := binary.LittleEndian
	b := make([]byte, imageEnd)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], atNT)
	nt := b[atNT:]
	copy(nt, "PE\x00\x00")
	le.PutUint16(nt[4:], i.machine)
	le.PutUint16(nt[6:], uint16(i.sections))
	le.PutUint32(nt[8:], 0x5f5e100)
	le.PutUint32(nt[0x50:], imageEnd)
	le.PutUint32(nt[0x58:], 0xc0de)
	dirs, optional := 0x88, 0xf0
	if i.pe32 {
		dirs, optional = 0x78, 0xe0
		le.PutUint16(nt[0x18:], 0x10b)
		le.PutUint32(nt[0x34:], 0x80400000)
	} else {
		le.PutUint16(nt[0x18:], 0x20b)
		le.PutUint64(nt[0x30:], 0x140000000)
	}
	le.PutUint16(nt[0x14:], uint16(optional))
	le.PutUint32(nt[dirs-4:], i.dirCount)
	size := i.dirBytes
	if size == 0 {
		size = uint32(28 * len(i.entries))
	}
	le.PutUint32(nt[dirs:], atExport)
	le.PutUint32(nt[dirs+4:], 0x28)
	le.PutUint32(nt[dirs+48:], atDebug)
	le.PutUint32(nt[dirs+52:], size)
	for s := range min(i.sections, 60) {
		h := nt[0x18+optional+40*s:]
		copy(h, []string{".text", "POOLCODE", ".data"}[s%3])
		le.PutUint32(h[8:], 0x234)
		le.PutUint32(h[12:], uint32(0x1000*(s+1)))
		le.PutUint32(h[36:], 0x60000020)
	}
	for n, e := range i.entries {
		d := b[atDebug+28*n:]
		le.PutUint32(d[12:], e.kind)
		le.PutUint32(d[16:], e.size)
		le.PutUint32(d[20:], e.rva)
		le.PutUint32(d[24:], e.pointer)
	}
	if i.at == 0 {
		i.at = atRecord
	}
	copy(b[i.at:], i.record)
	le.PutUint32(b[atExport+12:], atName)
	copy(b[atName:], "ntoskrnl.exe\x00")
	return &memory{base: base, data: b, missing: map[int]bool{}}
}

func read(t *testing.T, m pe.Memory) *pe.Image {
	t.Helper()
	img, err := pe.Read(m, base)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func wantCodeView(t *testing.T, img *pe.Image, name string, age uint32) {
	t.Helper()
	if img.CodeViewErr != nil || img.CodeView == nil {
		t.Fatalf("no record: %v", img.CodeViewErr)
	}
	if *img.CodeView != (pe.CodeView{GUID: guid, Age: age, Name: name}) {
		t.Errorf("record %+v", *img.CodeView)
	}
}

func wantNone(t *testing.T, img *pe.Image, say string) {
	t.Helper()
	if img.CodeView != nil || !fault.Is(img.CodeViewErr, fault.NoCodeView) {
		t.Fatalf("record %+v, error %v", img.CodeView, img.CodeViewErr)
	}
	if !strings.Contains(img.CodeViewErr.Error(), say) {
		t.Errorf("%q does not say %q", img.CodeViewErr, say)
	}
}

func TestImage(t *testing.T) {
	for _, c := range []struct {
		name    string
		pe32    bool
		machine uint16
		base    uint64
		pointer int
	}{
		{"x64", false, pe.MachineAMD64, 0x140000000, 8},
		{"ARM64", false, pe.MachineARM64, 0x140000000, 8},
		{"x86", true, pe.MachineI386, 0x80400000, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := standard()
			i.pe32, i.machine = c.pe32, c.machine
			img := read(t, i.build())
			wantCodeView(t, img, "ntkrnlmp.pdb", 1)
			if img.Base != base || img.Machine != c.machine || img.PE32 != c.pe32 || img.PointerBytes() != c.pointer ||
				img.ImageBase != c.base || img.TimeDateStamp != 0x5f5e100 || img.SizeOfImage != imageEnd {
				t.Errorf("%+v", img)
			}
			if img.Exports != "ntoskrnl.exe" || img.Key() != "05F5E1007000" {
				t.Errorf("exports %q, key %q", img.Exports, img.Key())
			}
			if time, sum, err := pe.Stamps(i.build(), base); err != nil || time != 0x5f5e100 || sum != 0xc0de {
				t.Errorf("stamps %#x %#x %v", time, sum, err)
			}
			s, ok := img.Section("POOLCODE") // eight letters, not terminated
			if !ok || len(img.Sections) != 3 || s != (pe.Section{Name: "POOLCODE", VirtualAddress: 0x2000, VirtualSize: 0x234, Characteristics: 0x60000020}) {
				t.Errorf("sections %+v", img.Sections)
			}
			if _, ok := img.Section("PAGE"); ok {
				t.Error("a section that is not there")
			}
		})
	}
}

func TestCodeViewKey(t *testing.T) {
	for age, want := range map[uint32]string{1: "1", 0: "0", 0x1f: "1F", 0xffffffff: "FFFFFFFF"} {
		if got := (pe.CodeView{GUID: guid, Age: age}).Key(); got != "BB8FBA4DBDC8EAF74C4C44205044422E"+want {
			t.Errorf("age %#x: %s", age, got)
		}
	}
}

func TestCodeViewEdges(t *testing.T) {
	good := rsds(1, "ntkrnlmp.pdb\x00")
	full := uint32(len(good))
	for _, c := range []struct {
		name    string
		record  []byte
		entries []debugEntry
		want    string // name of the PDB; "": none
		age     uint32
		say     string
	}{
		{"second entry", good, []debugEntry{{13, 100, 0x4000, 0}, {2, full, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"last of 32", good, append(make([]debugEntry, 31), debugEntry{2, full, atRecord, 0}), "ntkrnlmp.pdb", 1, ""},
		{"beyond the limit", good, append(make([]debugEntry, 32), debugEntry{2, full, atRecord, 0}), "", 0, "no CodeView entry"},
		{"no CodeView entry", good, []debugEntry{{13, full, atRecord, 0}}, "", 0, "no CodeView entry"},
		{"too short", good, []debugEntry{{2, 25, atRecord, 0}}, "", 0, "only 25 bytes"},
		{"too short, then right", good, []debugEntry{{2, 25, atRecord, 0}, {2, full, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"shortest", rsds(1, "ab\x00"), []debugEntry{{2, 26, atRecord, 0}}, "ab", 1, ""},
		{"larger than the name", good, []debugEntry{{2, 500, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"not terminated", rsds(1, "ntkrnlmp.pdbXYZ"), []debugEntry{{2, full - 1, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"path", rsds(1, "D:\\os\\obj\\ntkrnlmp.pdb\x00"), []debugEntry{{2, 100, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"slashes", rsds(1, "/os\\obj/ntkrnlmp.pdb\x00"), []debugEntry{{2, 100, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"path without a name", rsds(1, "D:\\os\\\x00"), []debugEntry{{2, 100, atRecord, 0}}, "", 0, "no name"},
		{"no name", rsds(1, "\x00\x00"), []debugEntry{{2, 100, atRecord, 0}}, "", 0, "no name"},
		{"other case", rsds(1, "NtKrnlMp.PDB\x00"), []debugEntry{{2, full, atRecord, 0}}, "NtKrnlMp.PDB", 1, ""},
		{"age 0", rsds(0, "ntkrnlmp.pdb\x00"), []debugEntry{{2, full, atRecord, 0}}, "ntkrnlmp.pdb", 0, ""},
		{"age 16", rsds(16, "ntkrnlmp.pdb\x00"), []debugEntry{{2, full, atRecord, 0}}, "ntkrnlmp.pdb", 16, ""},
		{"NB10", append([]byte("NB10"), good[4:]...), []debugEntry{{2, full, atRecord, 0}}, "", 0, "format NB10"},
		{"unknown", append([]byte("NB09"), good[4:]...), []debugEntry{{2, full, atRecord, 0}}, "", 0, `"NB09"`},
		{"not mapped", good, []debugEntry{{2, full, 0, 0x888}}, "", 0, "not mapped (file offset 0x888)"},
		{"not mapped, then right", good, []debugEntry{{2, full, 0, 0x888}, {2, full, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"outside", good, []debugEntry{{2, full, imageEnd, 0}}, "", 0, "could not be read"},
		{"at the end of 32 bits", good, []debugEntry{{2, full, 0xfffffff0, 0}}, "", 0, "could not be read"},
		{"huge", good, []debugEntry{{2, 0xffffffff, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
		{"first that is usable", good, []debugEntry{{2, full, 0x4000, 0}, {2, full, atRecord, 0}}, "ntkrnlmp.pdb", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := standard()
			i.record, i.entries = c.record, c.entries
			img := read(t, i.build())
			if c.want == "" {
				wantNone(t, img, c.say)
			} else {
				wantCodeView(t, img, c.want, c.age)
			}
		})
	}
}

func TestNoDebugDirectory(t *testing.T) {
	i := standard()
	i.dirCount = 6 // the debug directory is the seventh
	img := read(t, i.build())
	wantNone(t, img, "no debug directory")
	if img.Exports != "ntoskrnl.exe" {
		t.Error("the directories before are there")
	}
	i = standard()
	i.dirBytes = 27
	wantNone(t, read(t, i.build()), "empty")
	i.dirBytes, i.dirCount = 0, 0xffffffff // more than there can be: the first sixteen count
	wantCodeView(t, read(t, i.build()), "ntkrnlmp.pdb", 1)
}

func TestMissingPages(t *testing.T) {
	m := standard().build()
	m.missing[atDebug/4096] = true
	img := read(t, m)
	wantNone(t, img, "debug directory")
	if !errors.Is(img.CodeViewErr, errMissing) || img.Exports != "ntoskrnl.exe" || len(img.Sections) != 3 {
		t.Errorf("%+v", img)
	}
	m = standard().build()
	m.missing[atRecord/4096] = true
	wantNone(t, read(t, m), "could not be read")
	for _, page := range []int{atExport / 4096, atName / 4096} {
		m = standard().build()
		m.missing[page] = true
		img := read(t, m)
		wantCodeView(t, img, "ntkrnlmp.pdb", 1)
		if img.Exports != "" {
			t.Errorf("exports %q", img.Exports)
		}
	}
	m = standard().build()
	m.missing[0] = true
	if _, err := pe.Read(m, base); !errors.Is(err, errMissing) || errors.Is(err, pe.ErrNotImage) {
		t.Error(err)
	}
	// Pages that nothing needs.
	m = standard().build()
	m.missing[1], m.missing[4] = true, true
	wantCodeView(t, read(t, m), "ntkrnlmp.pdb", 1)
}

// A record's end may lie in a missing page if its name does not.
func TestRecordAtAPageEnd(t *testing.T) {
	i := standard()
	i.at = 0x4000 - len(i.record)
	i.entries = []debugEntry{{2, 500, uint32(i.at), 0}}
	m := i.build()
	m.missing[4] = true
	wantCodeView(t, read(t, m), "ntkrnlmp.pdb", 1)
	i.at += 4 // now the name crosses
	i.entries[0].rva += 4
	wantCodeView(t, read(t, i.build()), "ntkrnlmp.pdb", 1)
	m = i.build()
	m.missing[4] = true
	wantNone(t, read(t, m), "could not be read")
}

func TestNotAnImage(t *testing.T) {
	for name, damage := range map[string]func([]byte){
		"DOS signature":   func(b []byte) { b[1] = 'X' },
		"NT signature":    func(b []byte) { b[atNT+2] = 1 },
		"optional header": func(b []byte) { b[atNT+0x18] = 7 },
		"ROM image":       func(b []byte) { b[atNT+0x18] = 0x07 },
		"far NT headers":  func(b []byte) { binary.LittleEndian.PutUint32(b[0x3c:], 0x4001) },
		"negative":        func(b []byte) { binary.LittleEndian.PutUint32(b[0x3c:], 0xffffff00) },
	} {
		m := standard().build()
		damage(m.data)
		if img, err := pe.Read(m, base); img != nil || !errors.Is(err, pe.ErrNotImage) {
			t.Errorf("%s: %v, %v", name, img, err)
		}
	}
	if _, err := pe.Read(&memory{base: base}, base); !errors.Is(err, errMissing) {
		t.Error(err)
	}
	// The last page of the address space: offsets wrap around.
	top := ^mem.VA(0) - 4095
	m := standard().build()
	m.base, m.data = top, m.data[:4096]
	img, err := pe.Read(m, top)
	if err != nil || img.CodeView != nil || img.Exports != "" {
		t.Errorf("%+v, %v", img, err)
	}
}

func TestSectionsBounded(t *testing.T) {
	i := standard()
	i.sections = 0xffff
	m := i.build()
	img := read(t, m)
	if len(img.Sections) != 96 {
		t.Errorf("%d sections", len(img.Sections))
	}
	// A table that runs out of memory gives what is there.
	m = i.build()
	m.missing[1] = true
	if n := len(read(t, m).Sections); n == 0 || n > 96 {
		t.Errorf("%d sections", n)
	}
	if m.largest > 4096 || m.bytes > 32<<10 {
		t.Errorf("%d bytes read, the largest %d", m.bytes, m.largest)
	}
}

// An image cut off anywhere gives an error or what is there, and reads little.
func TestTruncations(t *testing.T) {
	whole := standard().build()
	for n := 0; n <= len(whole.data); n += 1 + n/200 {
		m := &memory{base: base, data: whole.data[:n]}
		img, err := pe.Read(m, base)
		if (img == nil) == (err == nil) {
			t.Fatalf("%d bytes: %v, %v", n, img, err)
		}
		if n < atNT+0x88 && err == nil {
			t.Errorf("%d bytes are enough", n)
		}
		if img != nil && (img.CodeView != nil) != (n >= atRecord+len(standard().record)) {
			t.Errorf("%d bytes: record %v, %v", n, img.CodeView, img.CodeViewErr)
		}
		if img != nil && (img.CodeView == nil) != fault.Is(img.CodeViewErr, fault.NoCodeView) {
			t.Errorf("%d bytes: %v", n, img.CodeViewErr)
		}
	}
}

func TestKernelPDBName(t *testing.T) {
	for _, n := range []string{"ntkrnlmp.pdb", "ntoskrnl.pdb", "ntkrnlpa.pdb", "ntkrpamp.pdb", "ntkrla57.pdb", "NTKRNLMP.PDB", "NtKrLa57.pdb"} {
		if !pe.KernelPDBName(n) {
			t.Error(n)
		}
	}
	for _, n := range []string{"", ".pdb", "ntkrnlmp", "ntkrnlmp.exe", "hal.pdb", "xntkrnlmp.pdb", "ntkrnlmp.pdb ", "securekernel.pdb"} {
		if pe.KernelPDBName(n) {
			t.Error(n)
		}
	}
}
