package pdb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/pdb"
	"coredrop/core/pdb/pdbtest"
	"coredrop/server/corpustest"
)

func open(t *testing.T, data []byte) *pdb.File {
	t.Helper()
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// demoSymbols are what lld's map and llvm-pdbutil say of the demo's PDB.
var demoSymbols = map[string]uint32{
	"KdDebuggerDataBlock": 0x1ce20, "KdVersionBlock": 0x1b308, "KiWaitNever": 0x27000,
	"KiWaitAlways": 0x27008, "KdpDataBlockEncoded": 0x26020, "PsLoadedModuleList": 0x26000,
	"KiDivideErrorFault": 0x180c0, "KiDivideErrorFaultShadow": 0x28000,
}

func TestDemo(t *testing.T) {
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, data)
	guid := f.GUID()
	if got := fmt.Sprintf("%X", guid); got != "4DBA8FBBC8BDF7EA4C4C44205044422E" {
		t.Errorf("GUID bytes %s", got)
	}
	if f.Age() != 1 || f.Machine() != 0x8664 || !f.Matches(guid, 1) || f.Matches(guid, 2) {
		t.Errorf("age %d, information's age %d, machine %#x", f.Age(), f.InfoAge(), f.Machine())
	}
	checkSymbols(t, f, demoSymbols)
}

// checkSymbols asks for all at once, for each alone, and for one that is absent.
func checkSymbols(t *testing.T, f *pdb.File, want map[string]uint32) {
	t.Helper()
	names := []string{"NoSuchSymbol", ""}
	for n, rva := range want {
		names = append(names, n)
		got, err := f.Lookup(n)
		if err != nil || len(got) != 1 || got[n] != rva {
			t.Errorf("%s: %#x, want %#x (%v)", n, got, rva, err)
		}
	}
	got, err := f.Lookup(names...)
	if err != nil || len(got) != len(want) {
		t.Errorf("%d of %d symbols: %v", len(got), len(want), err)
	}
	for n, rva := range want {
		if got[n] != rva {
			t.Errorf("%s: %#x, want %#x", n, got[n], rva)
		}
	}
}

func TestCorpus(t *testing.T) {
	dir := corpustest.Dir(t, "")
	checked := 0
	for _, pair := range [][2]string{{"windows", "symbols"}, {"arch", "arch/symbols"}} {
		truths, err := filepath.Glob(filepath.Join(dir, pair[0], "*", "truth.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, truth := range truths {
			t.Run(filepath.Base(filepath.Dir(truth)), func(t *testing.T) {
				if corpusCase(t, truth, filepath.Join(dir, pair[1])) {
					checked++
				}
			})
		}
	}
	if checked < 10 {
		t.Errorf("only %d cases of the corpus were compared", checked)
	}
}

func corpusCase(t *testing.T, truth, store string) bool {
	raw, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Expect struct {
			PDB struct {
				Name, GUID, Key string
				Age             uint32
				SymbolKey       string `json:"symbol_key"`
			}
			Symbols    map[string]any
			SymbolRVAs map[string]any `json:"symbol_rvas"`
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	e := doc.Expect
	if len(e.SymbolRVAs) == 0 || e.PDB.SymbolKey == "" {
		t.Skip("this case's truth lists no symbols by RVA")
	}
	data, err := os.ReadFile(filepath.Join(store, e.PDB.Name, e.PDB.SymbolKey, e.PDB.Name))
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, data)
	want := map[string]uint32{}
	for n, v := range e.SymbolRVAs {
		rva, err := strconv.ParseUint(fmt.Sprint(v), 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		want[n] = uint32(rva)
	}
	checkSymbols(t, f, want)
	if f.Age() != e.PDB.Age {
		t.Errorf("age %d, want %d", f.Age(), e.PDB.Age)
	}
	return true
}

var guid = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func public(name string, segment uint16, offset uint32) pdbtest.Public {
	return pdbtest.Public{Name: name, Segment: segment, Offset: offset}
}

// many gives more publics than one window of records holds.
func many(n int) []pdbtest.Public {
	list := make([]pdbtest.Public, n)
	for i := range list {
		list[i] = pdbtest.Public{Name: fmt.Sprintf("symbol%06d", i), Segment: uint16(1 + i%2), Offset: uint32(i)}
	}
	return list
}

func TestBlockSizes(t *testing.T) {
	for size := 512; size <= 65536; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := pdbtest.Spec{GUID: guid, Age: 3, InfoAge: 7, BlockSize: size, Padding: 5 * size / 2,
				Sections: []uint32{0x1000, 0x200000}, Publics: many(20000)}
			f := open(t, pdbtest.New(s))
			if f.Age() != 3 || f.InfoAge() != 7 || !f.Matches(guid, 3) || !f.Matches(guid, 7) || f.Matches(guid, 4) {
				t.Errorf("ages %d and %d", f.Age(), f.InfoAge())
			}
			if f.Matches([16]byte{}, 3) {
				t.Error("a foreign GUID matches")
			}
			checkSymbols(t, f, map[string]uint32{"symbol000000": 0x1000, "symbol000001": 0x200001,
				"symbol010000": 0x1000 + 10000, "symbol019999": 0x200000 + 19999})
		})
	}
}

func TestFirstRecordCounts(t *testing.T) {
	f := open(t, pdbtest.New(pdbtest.Spec{Sections: []uint32{0x1000}, Publics: []pdbtest.Public{
		public("twice", 1, 5), public("twice", 1, 6)}}))
	checkSymbols(t, f, map[string]uint32{"twice": 0x1005})
}

func TestSegmentOutsideTheList(t *testing.T) {
	f := open(t, pdbtest.New(pdbtest.Spec{Sections: []uint32{0x1000}, Publics: []pdbtest.Public{
		public("zero", 0, 5), public("beyond", 2, 5), public("wraps", 1, 0xfffff800), public("right", 1, 5)}}))
	got, err := f.Lookup("zero", "beyond", "wraps", "right")
	if err != nil || len(got) != 1 || got["right"] != 0x1005 {
		t.Errorf("%#x, %v", got, err)
	}
}

func TestOmap(t *testing.T) {
	s := pdbtest.Spec{Sections: []uint32{0x9000}, Original: []uint32{0x1000},
		Omap:    [][2]uint32{{0x1000, 0x5000}, {0x1100, 0x3000}, {0x1200, 0}, {0x1300, 0x7000}},
		Publics: []pdbtest.Public{public("a", 1, 0x10), public("b", 1, 0x100), public("c", 1, 0x1ff), public("gone", 1, 0x210), public("d", 1, 0x1000)}}
	f := open(t, pdbtest.New(s))
	checkSymbols(t, f, map[string]uint32{"a": 0x5010, "b": 0x3000, "c": 0x30ff, "d": 0x7d00})
	if got, err := f.Lookup("gone"); err != nil || len(got) != 0 {
		t.Errorf("a symbol that was thrown away: %#x, %v", got, err)
	}
	s.Omap = nil // without the map the original headers are of no use
	checkSymbols(t, open(t, pdbtest.New(s)), map[string]uint32{"a": 0x9010})
	s.Omap, s.Original = [][2]uint32{{0, 0x5000}}, nil // nor is the map without them
	checkSymbols(t, open(t, pdbtest.New(s)), map[string]uint32{"a": 0x9010})
}

func TestUnderscoreOn386(t *testing.T) {
	s := pdbtest.Spec{Machine: 0x14c, Sections: []uint32{0x1000}, Publics: []pdbtest.Public{public("_KdVersionBlock", 1, 5)}}
	checkSymbols(t, open(t, pdbtest.New(s)), map[string]uint32{"KdVersionBlock": 0x1005})
	checkSymbols(t, open(t, pdbtest.New(s)), map[string]uint32{"_KdVersionBlock": 0x1005})
	s.Machine = 0x8664
	if got, err := open(t, pdbtest.New(s)).Lookup("KdVersionBlock"); err != nil || len(got) != 0 {
		t.Errorf("x64 names have no underscore: %#x, %v", got, err)
	}
}

// The directory of a file with small blocks and long streams needs more than one
// block to list its own blocks.
func TestLongDirectory(t *testing.T) {
	data := pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, BlockSize: 512, Padding: 20 << 20,
		Sections: []uint32{0x1000}, Publics: many(10)})
	checkSymbols(t, open(t, data), map[string]uint32{"symbol000008": 0x1008})
}
