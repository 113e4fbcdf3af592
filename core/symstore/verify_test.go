package symstore_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/core/symstore/storetest"
)

func key(t *testing.T, s string) symstore.Key {
	t.Helper()
	k, err := symstore.ParseKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVerifyDemo(t *testing.T) {
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	f := symstore.Memory(data)
	k := key(t, demo.PDBKey)
	if err := symstore.Verify(f, k); err != nil {
		t.Error(err)
	}
	for i := range k.ID { // each digit of the key counts
		other := k
		digit := "0"
		if k.ID[i] == '0' {
			digit = "1"
		}
		other.ID = k.ID[:i] + digit + k.ID[i+1:]
		err := symstore.Verify(f, other)
		if !fault.Is(err, fault.SymbolsMismatch) {
			t.Errorf("digit %d: %v", i, err)
		} else if !strings.Contains(err.Error(), other.ID) || !strings.Contains(err.Error(), k.ID) {
			t.Errorf("both IDs are to be named: %v", err)
		}
	}
	if err := symstore.Verify(f, key(t, "a.pdb/123456789/a.pdb")); !fault.Is(err, fault.SymbolsMismatch) {
		t.Errorf("a key without GUID: %v", err)
	}
}

func image(stamp, size uint32) []byte {
	b := make([]byte, 1000)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	binary.LittleEndian.PutUint32(b[0x88:], stamp)
	binary.LittleEndian.PutUint32(b[0xd0:], size)
	return b
}

func TestVerifyImage(t *testing.T) {
	k := key(t, "ntoskrnl.exe/05F5E100a1b000/ntoskrnl.exe")
	good := image(0x5f5e100, 0xa1b000)
	if err := symstore.Verify(symstore.Memory(good), k); err != nil {
		t.Error(err)
	}
	for n := range 0xd4 {
		if err := symstore.Verify(symstore.Memory(good[:n]), k); !fault.Is(err, fault.SymbolsNotAPDB) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	far := image(1, 2)
	binary.LittleEndian.PutUint32(far[0x3c:], 0xffffffff)
	for name, c := range map[string]struct {
		data []byte
		code fault.Code
	}{
		"other stamp": {image(0x5f5e101, 0xa1b000), fault.SymbolsMismatch},
		"other size":  {image(0x5f5e100, 0xa1b001), fault.SymbolsMismatch},
		"far header":  {far, fault.SymbolsNotAPDB},
		"compressed":  {[]byte("MSCF\x00\x00"), fault.SymbolsCompressed},
	} {
		if err := symstore.Verify(symstore.Memory(c.data), k); !fault.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// badFile fails to read.
type badFile struct{}

var errBad = errors.New("input/output error")

func (badFile) ReadAt([]byte, int64) (int, error) { return 0, errBad }
func (badFile) Size() int64                       { return 1 << 20 }
func (badFile) Close() error                      { return nil }

func TestVerifyUnreadable(t *testing.T) {
	pdbKey, _ := storetest.PDB(1, 0)
	for _, k := range []symstore.Key{pdbKey, key(t, "ntoskrnl.exe/05F5E100a1b000/ntoskrnl.exe")} {
		if err := symstore.Verify(badFile{}, k); !fault.Is(err, fault.SymbolsUnreadable) || !errors.Is(err, errBad) {
			t.Errorf("%s: %v", k, err)
		}
	}
}
