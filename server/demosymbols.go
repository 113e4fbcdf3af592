package main

import (
	"bytes"
	"context"
	"path"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
)

// demoSymbols gives the PDB that is built in, and no other.
type demoSymbols struct{}

// PDB implements windows.Symbols.
func (demoSymbols) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	data, err := demo.PDB()
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	if !f.Matches(cv.GUID, cv.Age) {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsMismatch, "the demo's PDB does not belong to %s", cv.Name)
	}
	return f, pdb.Origin{Kind: pdb.FromFile, Name: path.Base(demo.PDBKey)}, nil
}
