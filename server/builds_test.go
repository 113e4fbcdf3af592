package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/symstore"
)

// build is the demo's PDB with another GUID, and its key, made longer by zeros.
type build struct {
	key  symstore.Key
	data []byte
}

func builds(t testing.TB, n, size int) []build {
	t.Helper()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	key, err := symstore.ParseKey(demo.PDBKey)
	if err != nil {
		t.Fatal(err)
	}
	guid, age, ok := key.GUIDAge()
	if !ok || !bytes.Contains(data, guid[:]) {
		t.Fatal("the PDB does not hold its GUID")
	}
	list := make([]build, n)
	for i := range list {
		other := guid
		binary.LittleEndian.PutUint32(other[:], uint32(i))
		b := build{data: bytes.ReplaceAll(data, guid[:], other[:])}
		if len(b.data) < size {
			b.data = append(b.data, make([]byte, size-len(b.data))...)
		}
		if b.key, err = symstore.PDBKey(key.Name, other, age); err != nil {
			t.Fatal(err)
		}
		list[i] = b
	}
	return list
}
