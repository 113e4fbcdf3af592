package unwind

import (
	"errors"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// Image is an image as the unwinder sees it.
type Image struct {
	Base mem.VA
	Size uint32 // bytes
	// Functions is the exception directory; nil: there is none that can be
	// used, and Why says why.
	Functions *pe.Functions
	Why       error
	// Executable reports whether an RVA lies in a section that holds code.
	Executable func(rva uint32) bool
}

// errNoTable says that an image was built without exception data.
var errNoTable = errors.New("there is no exception data in the image")

// errNoEntry says that no entry covers an address, and that this is certain.
var errNoEntry = errors.New("no function entry covers the address")

// find looks up the function that covers an RVA.
func (i *Image) find(rva uint32) (pe.Function, error) {
	switch {
	case i.Functions != nil:
	case errors.Is(i.Why, pe.ErrNoTable):
		return pe.Function{}, fmt.Errorf("%w at %v", errNoTable, i.Base)
	default:
		return pe.Function{}, fmt.Errorf("no exception data of the image at %v: %w", i.Base, i.Why)
	}
	f, ok, err := i.Functions.Find(rva)
	if err == nil && !ok {
		err = errNoEntry
	}
	return f, err
}

// described follows indirect entries to the one with unwind information.
// indirect says that there were any.
func (i *Image) described(f pe.Function) (_ pe.Function, indirect bool, err error) {
	for range maxDepth {
		if f.Unwind&indirectBit == 0 {
			return f, indirect, nil
		}
		indirect = true
		if f, err = i.Functions.Linked(f.Unwind &^ indirectBit); err != nil {
			return f, true, err
		}
	}
	return f, true, fmt.Errorf("indirect function entries beyond a depth of %d: %w", maxDepth, pe.ErrDamaged)
}

// indirectBit marks an entry whose third word names another entry.
const indirectBit = 1

// Primary follows indirect entries and chains to the entry of the whole
// function, whose begin is where it is called.
func (i *Image) Primary(m pe.Memory, f pe.Function) (pe.Function, error) {
	for range maxDepth {
		e, _, err := i.described(f)
		if err != nil {
			return f, err
		}
		info, err := Decode(m, i.Base, i.Size, e.Unwind)
		if err != nil {
			return f, err
		}
		if info.Chain == nil {
			return e, nil
		}
		f = *info.Chain
	}
	return f, fmt.Errorf("chained function entries beyond a depth of %d: %w", maxDepth, pe.ErrDamaged)
}
