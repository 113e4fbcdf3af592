package pdb_test

import (
	"bytes"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pdb/pdbtest"
)

func FuzzOpen(f *testing.F) {
	for _, s := range []pdbtest.Spec{small(), {GUID: guid, Age: 1, BlockSize: 512, Sections: []uint32{0x1000}, Publics: many(3),
		Original: []uint32{0x2000}, Omap: [][2]uint32{{0, 0x100}, {0x2000, 0x3000}}}, {BlockSize: 1024, Machine: 0x14c}} {
		f.Add(pdbtest.New(s))
	}
	f.Add([]byte("MSCF"))
	f.Add([]byte("Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &counter{r: bytes.NewReader(data)}
		file, err := pdb.Open(c, int64(len(data)))
		if (file == nil) == (err == nil) {
			t.Fatalf("%v, %v", file, err)
		}
		if err != nil {
			if fault.As(err).Code == fault.Internal { // every failure has a code of its own
				t.Fatal(err)
			}
			return
		}
		found, err := file.Lookup("symbol000000", "symbol000002", "nothing")
		if err != nil && fault.As(err).Code == fault.Internal {
			t.Fatal(err)
		}
		again, err2 := file.Lookup("symbol000000", "symbol000002", "nothing")
		if len(found) != len(again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%v, %v, then %v, %v", found, err, again, err2)
		}
		below, err := file.Below(0x1010, 0x3000)
		if err != nil && fault.As(err).Code == fault.Internal {
			t.Fatal(err)
		}
		for rva, p := range below {
			if p.RVA > rva || p.Name == "" {
				t.Fatalf("%+v is not below %#x", p, rva)
			}
		}
		if !file.Matches(file.GUID(), file.Age()) {
			t.Fatal("it is not itself")
		}
		if c.widest > 64<<10 {
			t.Fatalf("a read of %d bytes", c.widest)
		}
	})
}
