package synth_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"coredrop/core/pdb"
	"coredrop/core/synth"
)

func TestPDBsAreReadBack(t *testing.T) {
	symbols := synth.Guest(synth.Options{}).Symbols
	names := slices.Collect(maps.Keys(symbols))
	guid := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for name, o := range map[string]synth.PDBOptions{
		"plain":          {},
		"small blocks":   {BlockSize: 512, Filler: 2000},
		"large blocks":   {BlockSize: 32768},
		"reverse":        {BlockSize: 512, Filler: 500, Reverse: true},
		"absent streams": {Absent: true},
		"reordered":      {OMAP: true},
		"cut":            {CutRecord: true},
	} {
		o.GUID, o.Age, o.InfoAge, o.Symbols = guid, 0x1b, 3, symbols
		data := synth.PDB(o)
		f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !f.Matches(guid, 0x1b) || f.Age() != 0x1b || f.InfoAge() != 3 {
			t.Errorf("%s: identity", name)
		}
		got, err := f.Lookup(names...)
		if err != nil || !maps.Equal(got, symbols) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for name, o := range map[string]synth.PDBOptions{
		"no sections": {NoSections: true},
		"no publics":  {NoPublics: true},
		"segment":     {Segment: true},
		"truncated":   {Truncate: 9000},
		"edited":      {Edit: func(s [][]byte) { s[3] = s[3][:20] }},
	} {
		o.Symbols = symbols
		data := synth.PDB(o)
		f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			continue
		}
		if got, err := f.Lookup(names...); err == nil && len(got) > 0 {
			t.Errorf("%s: %d symbols", name, len(got))
		}
	}
}
