package synth

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Tables is where one real kernel keeps things, as its PDB has them: numbers
// only. Offsets that a release does not have are 0.
type Tables struct {
	Key   string // GUID and age
	Build uint16
	PDB   struct {
		GUID string
		Age  uint32
		Name string `json:"database"`
	}
	Sym                              map[string]uint32 // RVAs
	KPCR, KPRCB, KPS, EPROCESS, KUSD map[string]uint32
}

// ReadTables reads a list of tables, ordered by build and key.
func ReadTables(r io.Reader) ([]*Tables, error) {
	var all map[string]*Tables
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, err
	}
	var list []*Tables
	for key, t := range all {
		t.Key = key
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *Tables) int {
		if a.Build != b.Build {
			return int(a.Build) - int(b.Build)
		}
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return list, nil
}

// guid gives the PDB's GUID as an image's record has it.
func (t *Tables) guid() (g [16]byte) {
	raw, err := hex.DecodeString(t.PDB.GUID)
	if err != nil || len(raw) != 16 {
		panic(fmt.Sprintf("GUID %q", t.PDB.GUID))
	}
	slices.Reverse(raw[0:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	copy(g[:], raw)
	return g
}

// KernelDTB is where a processor's control region has the kernel's page-table
// base of a guest with KVA shadow.
func (t *Tables) KernelDTB() int { return int(t.KPCR["Prcb"] + t.KPRCB["KernelDirectoryTableBase"]) }

// KDBGSize is the size of the debugger block of the release.
func (t *Tables) KDBGSize() uint32 {
	switch {
	case t.Build < 9200:
		return 0x340
	case t.Build < 14393:
		return 0x360
	case t.Build < 17763:
		return 0x368
	}
	return 0x380
}
