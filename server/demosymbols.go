package main

import (
	"bytes"
	"context"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
)

// demoSymbols gives the PDB that is built in, and no other.
type demoSymbols struct{}

// PDB implements windows.Symbols.
func (demoSymbols) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, string, error) {
	data, err := demo.PDB()
	if err != nil {
		return nil, "", err
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, "", err
	}
	if !f.Matches(cv.GUID, cv.Age) {
		return nil, "", fault.New(fault.SymbolsMismatch, "the demo's PDB does not belong to %s", cv.Name)
	}
	return f, "built in", nil
}
