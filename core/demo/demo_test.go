package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"coredrop/core/fault"
)

func TestFilesAreTheOnesOfTheRecipe(t *testing.T) {
	for _, c := range []struct {
		name string
		get  func() ([]byte, error)
		sum  string
	}{{"core", Core, CoreSHA256}, {"PDB", PDB, PDBSHA256}} {
		data, err := c.get()
		if err != nil {
			t.Fatal(c.name, err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != c.sum {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for at := range pdbGZ {
		if at >= 12 && at < len(pdbGZ)-12 && at%997 != 0 {
			continue
		}
		bad := append([]byte{}, pdbGZ...)
		bad[at] ^= 0xff
		data, err := unpack(bad, pdbBytes)
		if err == nil && at >= 10 { // the first ten bytes are gzip's own header
			t.Errorf("byte %d flipped and %d bytes accepted", at, len(data))
		}
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	for _, n := range []int{0, 5, 100, len(pdbGZ) - 1} {
		if _, err := unpack(pdbGZ[:n], pdbBytes); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
}
