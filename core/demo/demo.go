// Package demo holds the built-in examples: small cores of our own guest and the
// PDBs of their kernels, for a first try without a core of one's own and for
// tests. It does not open them.
package demo

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the files
	"io"

	"coredrop/core/fault"
)

// Example is a core and the PDB of its kernel.
type Example struct {
	CoreName              string // to show
	PDBKey                string // the PDB's path in a symbol store
	CoreSHA256, PDBSHA256 string // of the unpacked files
	core, pdb             packed
}

// packed is a file compressed with gzip, and its length unpacked.
type packed struct {
	gz    []byte
	bytes int
}

//go:embed core.elf.gz
var aliveCore []byte

//go:embed ntkrnlmp.pdb.gz
var alivePDB []byte

//go:embed crash.elf.gz
var crashCore []byte

//go:embed crash.pdb.gz
var crashPDB []byte

// RaceLog is the log of a kernel with KCSAN: 46 race reports, two of a kind
// at most.
//
//go:embed races.log
var RaceLog []byte

// Alive is a guest of two processors that was running when its core was taken.
var Alive = &Example{
	CoreName:   CoreName,
	PDBKey:     PDBKey,
	CoreSHA256: "6c858dc9c16a8a27d4a716f7a03aeae741f6d91c58950b5a4d80c7cd54a21002",
	PDBSHA256:  "ed522476c3fb565c43b56d417b8df7d62cba007feeeae96b5f88e266697819ea",
	core:       packed{aliveCore, 12584859},
	pdb:        packed{alivePDB, 143360},
}

// Crash is a guest of four processors in a driver's bug check, with stacks and
// sleeping threads.
var Crash = &Example{
	CoreName:   "crash.elf",
	PDBKey:     "ntkrnlmp.pdb/87F528AE52F67DA34C4C44205044422E1/ntkrnlmp.pdb",
	CoreSHA256: "95492e4a59819bfead847f4e9b687b99365956d1624319a839f7ba5b3b3ab4bf",
	PDBSHA256:  "8d372b6510ef52a0084139fac2a86b3f1bbec02e230a0a3d58d3c4540d9d34dc",
	core:       packed{crashCore, 12586491},
	pdb:        packed{crashPDB, 172032},
}

// All lists the examples.
var All = []*Example{Alive, Crash}

// Core unpacks the core, an ELF file of 12.6 MB. The caller owns the slice.
func (e *Example) Core() ([]byte, error) { return e.core.unpack() }

// PDB unpacks the kernel's PDB. The caller owns the slice.
func (e *Example) PDB() ([]byte, error) { return e.pdb.unpack() }

// Packed gives the core compressed with gzip. The caller does not change it.
func (e *Example) Packed() []byte { return e.core.gz }

// The first example, for those who need just one.
const (
	CoreName = "demo.elf"
	PDBKey   = "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb"
)

// Core unpacks Alive's core.
func Core() ([]byte, error) { return Alive.Core() }

// PDB unpacks Alive's PDB.
func PDB() ([]byte, error) { return Alive.PDB() }

func (p packed) unpack() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(p.gz))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	data := make([]byte, p.bytes)
	if _, err := io.ReadFull(z, data); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	// Only the read behind the last byte lets gzip compare its checksum.
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fault.Wrap(err, fault.Internal, "the built-in example is damaged: %v", err)
	}
	return data, nil
}
