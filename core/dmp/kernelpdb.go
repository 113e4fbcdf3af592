package dmp

import (
	"errors"
	"io"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// offLdrBase is the image's address in a KLDR_DATA_TABLE_ENTRY.
const offLdrBase = 0x30

// KernelPDB gives the record that names the kernel's PDB in a 64-bit crash dump,
// full or bitmap, ours or Windows' own: by the header's page tables and its list
// of modules, of which the kernel is one of the first. The error's code is
// no-codeview.
func KernelPDB(r io.ReaderAt, size int64) (pe.CodeView, error) {
	cv, err := kernelPDB(r, size)
	if err != nil {
		return pe.CodeView{}, fault.Wrap(err, fault.NoCodeView, "the dump does not say which PDB its kernel needs: %v", err).
			Instead(fault.Step{Text: "in WinDbg, !lmi nt prints the PDB's name, GUID and age: ask for NAME,GUID,AGE"})
	}
	return cv, nil
}

func kernelPDB(r io.ReaderAt, size int64) (pe.CodeView, error) {
	var none pe.CodeView
	d, err := open(r, size)
	if err != nil {
		return none, err
	}
	phys, err := mem.NewFile(source.Source{ReaderAt: r, Size: size, Name: "the dump"}, d.extents, cacheToCheck)
	if err != nil {
		return none, err
	}
	head := mem.VA(d.u64(offPsLoadedModuleList))
	var first error
	// The header does not say how many levels the page tables have: a debugger
	// tries.
	for _, mode := range windows.Modes {
		s := paging.New(phys, d.u64(offDirectoryTableBase), mode)
		var cv *pe.CodeView
		err := windows.WalkList(s, head, windows.MaxModules, func(entry mem.VA) bool {
			base, err := s.Uint64(entry + offLdrBase)
			if err != nil {
				return true
			}
			img, err := pe.Read(s, mem.VA(base))
			if err != nil || img.CodeView == nil || !pe.KernelPDBName(img.CodeView.Name) {
				return true
			}
			cv = img.CodeView
			return false
		})
		if cv != nil {
			return *cv, nil
		}
		if err == nil {
			err = errors.New("none of its modules is a kernel")
		}
		if first == nil {
			first = err
		}
	}
	return none, first
}
