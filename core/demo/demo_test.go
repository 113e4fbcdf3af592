package demo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
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

func TestRaceLogHoldsReportsOnly(t *testing.T) {
	if n := bytes.Count(RaceLog, []byte("BUG: KCSAN: ")); n != 46 {
		t.Errorf("%d reports", n)
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(RaceLog, []byte("\n")), []byte("\n")) {
		if !bytes.HasPrefix(line, []byte("[")) && !bytes.HasPrefix(line, []byte("     ")) { // a record's second line
			t.Errorf("line %d is none of a record: %q", i+1, line)
		}
	}
}

func TestPackedCoreIsTheCore(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(Crash.Packed()))
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, z); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != Crash.CoreSHA256 {
		t.Error(got)
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
