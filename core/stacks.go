package core

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/windows"
	"coredrop/core/windows/stacks"
)

// stand notes where the processors of a Windows guest stood, with the names that
// the kernel's PDB gives where it is used already: no other is asked for.
func (c *Case) stand(ctx context.Context) error {
	k := c.facts.Windows
	if k == nil || c.o.Compat {
		return nil
	}
	var err error
	c.facts.Stacks, err = stacks.Read(ctx, k, kernelPDB(k, c.o.Symbols), false)
	return err
}

// Stacks reads where every processor stood, and with threads every thread that
// can be reached; the summary has them too. PDBs are asked for of every module
// on the stacks. A Linux guest's stacks are in the summary only: the report is
// nil then. A file that holds no kernel is an error.
func (c *Case) Stacks(ctx context.Context, threads bool) (*stacks.Report, error) {
	var rep *stacks.Report
	err := c.do(ctx, func() error {
		if c.guest.Linux != nil {
			return c.stackOfLinux(ctx)
		}
		if c.cannot != nil {
			return c.cannot
		}
		var err error
		if rep, err = stacks.Read(ctx, c.facts.Windows, c.o.Symbols, threads); err == nil {
			c.facts.Stacks = rep
		}
		return err
	})
	return rep, err
}

// onlyOne gives one PDB and no other.
type onlyOne struct {
	windows.Symbols
	cv pe.CodeView
}

func (o onlyOne) PDB(ctx context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	if cv != o.cv {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
	}
	return o.Symbols.PDB(ctx, cv)
}

// kernelPDB gives the kernel's PDB where it was found, and otherwise none.
func kernelPDB(k *windows.Kernel, s windows.Symbols) windows.Symbols {
	if s == nil || k.PDB == nil || k.SymbolsStatus != windows.SymbolsFound {
		return nil
	}
	return onlyOne{s, *k.PDB}
}
