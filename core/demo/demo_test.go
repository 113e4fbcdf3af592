package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"coredrop/core/fault"
)

func TestFilesAreTheOnesOfTheRecipe(t *testing.T) {
	for _, e := range All {
		for _, c := range []struct {
			name string
			get  func() ([]byte, error)
			sum  string
		}{{"core", e.Core, e.CoreSHA256}, {"PDB", e.PDB, e.PDBSHA256}} {
			data, err := c.get()
			if err != nil {
				t.Fatal(e.CoreName, c.name, err)
			}
			sum := sha256.Sum256(data)
			if got := hex.EncodeToString(sum[:]); got != c.sum {
				t.Errorf("%s, %s: %s", e.CoreName, c.name, got)
			}
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	pdbGZ := Alive.pdb.gz
	for at := range pdbGZ {
		if at >= 12 && at < len(pdbGZ)-12 && at%997 != 0 {
			continue
		}
		bad := append([]byte{}, pdbGZ...)
		bad[at] ^= 0xff
		data, err := packed{bad, Alive.pdb.bytes}.unpack()
		if err == nil && at >= 10 { // the first ten bytes are gzip's own header
			t.Errorf("byte %d flipped and %d bytes accepted", at, len(data))
		}
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	for _, n := range []int{0, 5, 100, len(pdbGZ) - 1} {
		if _, err := (packed{pdbGZ[:n], Alive.pdb.bytes}).unpack(); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
}
