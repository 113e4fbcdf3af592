package pdb_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"coredrop/core/pdb"
	"coredrop/core/pdb/pdbtest"
)

// TestBelow compares with a search through all symbols.
func TestBelow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := pdbtest.Spec{GUID: guid, Age: 1, Sections: []uint32{0x1000, 0x80000}}
	place := map[uint32]string{}
	for i := range 3000 {
		p := public(fmt.Sprintf("symbol%d", i), uint16(1+i%2), rnd.Uint32N(0x70000))
		s.Publics = append(s.Publics, p)
		rva := s.Sections[p.Segment-1] + p.Offset
		if _, ok := place[rva]; !ok {
			place[rva] = p.Name // the first of a place counts
		}
	}
	s.Publics = append(s.Publics, public("nowhere", 9, 0x1234))
	f := open(t, pdbtest.New(s))
	var rvas []uint32
	for range 400 {
		rvas = append(rvas, rnd.Uint32N(0x100000))
	}
	rvas = append(rvas, rvas[:3]...)
	rvas = append(rvas, 0, 0xfff, 0xffffffff)
	got, err := f.Below(rvas...)
	if err != nil {
		t.Fatal(err)
	}
	for _, rva := range rvas {
		var want pdb.Public
		for at, name := range place {
			if at <= rva && (want.Name == "" || at > want.RVA) {
				want = pdb.Public{Name: name, RVA: at}
			}
		}
		if got[rva] != want {
			t.Errorf("%#x: %+v, want %+v", rva, got[rva], want)
		}
	}
	if none, err := f.Below(); err != nil || len(none) != 0 {
		t.Error(none, err)
	}
}

// TestBelowMoved looks up in an image that was rearranged after linking.
func TestBelowMoved(t *testing.T) {
	f := open(t, pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, Sections: []uint32{0x1000}, Original: []uint32{0x2000},
		Omap:    [][2]uint32{{0, 0}, {0x2000, 0x5000}, {0x2100, 0x3000}},
		Publics: []pdbtest.Public{public("A", 1, 0x10), public("B", 1, 0x110)}}))
	got, err := f.Below(0x3020, 0x5020, 0x3000)
	if err != nil || len(got) != 2 || got[0x3020] != (pdb.Public{Name: "B", RVA: 0x3010}) || got[0x5020] != (pdb.Public{Name: "A", RVA: 0x5010}) {
		t.Errorf("%+v, %v", got, err)
	}
}
