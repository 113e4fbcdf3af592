// Package demo holds the built-in example: a small core of our own guest and
// the PDB of its kernel, for a first try without a core of one's own and for
// tests. It does not open them.
package demo

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the two files
	"io"

	"coredrop/core/fault"
)

// CoreName is the name to show for the core.
const CoreName = "demo.elf"

// PDBKey is the path of the PDB in a symbol store.
const PDBKey = "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb"

// CoreSHA256 and PDBSHA256 are what the unpacked files hash to.
const (
	CoreSHA256 = "6c858dc9c16a8a27d4a716f7a03aeae741f6d91c58950b5a4d80c7cd54a21002"
	PDBSHA256  = "ed522476c3fb565c43b56d417b8df7d62cba007feeeae96b5f88e266697819ea"
)

// What the unpacked files measure, in bytes.
const (
	coreBytes = 12584859
	pdbBytes  = 143360
)

//go:embed core.elf.gz
var coreGZ []byte

//go:embed ntkrnlmp.pdb.gz
var pdbGZ []byte

// Core unpacks the core: an ELF file of 12.6 MB. The caller owns the slice.
func Core() ([]byte, error) { return unpack(coreGZ, coreBytes) }

// PDB unpacks the kernel's PDB. The caller owns the slice.
func PDB() ([]byte, error) { return unpack(pdbGZ, pdbBytes) }

func unpack(packed []byte, size int) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(z, data); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	// Only the read behind the last byte lets gzip compare its checksum.
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	return data, nil
}
