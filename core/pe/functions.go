package pe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coredrop/core/mem"
)

// ErrDamaged says that a table of the image contradicts itself or the image's
// size. errors.Is finds it.
var ErrDamaged = errors.New("damaged")

// ErrNoTable says that the image has no table of this kind.
var ErrNoTable = errors.New("the image has none")

// Function is an entry of the exception directory: RUNTIME_FUNCTION of x86-64.
// Begin and End are RVAs, End is exclusive. Unwind is the RVA of the unwind
// information; with bit 0 set, of another entry that describes the code.
type Function struct{ Begin, End, Unwind uint32 }

// Functions is the exception directory of an image in memory. It is read entry
// by entry, as far as a search needs: a kernel's has half a megabyte.
type Functions struct {
	r     reader
	size  uint32 // of the image
	rva   uint32
	count uint32
}

// Functions gives the image's exception directory. errors.Is finds ErrNoTable
// where the header names none, or ErrDamaged where it lies outside the image.
func (i *Image) Functions(m Memory) (*Functions, error) {
	if i.Machine != MachineAMD64 {
		return nil, fmt.Errorf("exception directory of machine %#x: %w", i.Machine, ErrNoTable)
	}
	return FunctionsAt(m, i.Base, i.SizeOfImage, i.exceptionDir.rva, i.exceptionDir.size)
}

// FunctionsAt gives an exception directory whose place, RVA and size in bytes,
// is known otherwise than by the image's header. The directory counts, not the
// section it lies in; a size that is no multiple of an entry's is rounded down.
func FunctionsAt(m Memory, base mem.VA, sizeOfImage, rva, bytes uint32) (*Functions, error) {
	count := bytes / functionBytes
	if rva == 0 || count == 0 {
		return nil, fmt.Errorf("exception directory: %w", ErrNoTable)
	}
	if rva >= sizeOfImage || bytes > sizeOfImage-rva {
		return nil, fmt.Errorf("exception directory at %#x with %#x bytes in an image of %#x: %w", rva, bytes, sizeOfImage, ErrDamaged)
	}
	return &Functions{r: reader{m, base}, size: sizeOfImage, rva: rva, count: count}, nil
}

// Len is the number of entries.
func (t *Functions) Len() int { return int(t.count) }

// Entry reads the entry with a number below Len.
func (t *Functions) Entry(i int) (Function, error) {
	return t.read(t.rva + uint32(i)*functionBytes)
}

// Linked reads the entry that an indirect entry or a chain leads to; it need
// not be one of the table's.
func (t *Functions) Linked(rva uint32) (Function, error) {
	if rva >= t.size || t.size-rva < functionBytes {
		return Function{}, fmt.Errorf("function entry at %#x of an image of %#x bytes: %w", rva, t.size, ErrDamaged)
	}
	return t.read(rva)
}

func (t *Functions) read(rva uint32) (Function, error) {
	var p [functionBytes]byte
	if err := t.r.read(p[:], rva); err != nil {
		return Function{}, err
	}
	return ParseFunction(p[:]), nil
}

// ParseFunction decodes an entry of 12 bytes.
func ParseFunction(p []byte) Function {
	le := binary.LittleEndian
	return Function{le.Uint32(p[functionBegin:]), le.Uint32(p[functionEnd:]), le.Uint32(p[functionUnwind:])}
}

// Find looks up the entry that covers an RVA. Not found without an error means
// that the two entries around it have been read and that none covers it; f is
// the one below then, zero where there is none. Where a part of the table cannot
// be read that may decide, the error says so.
func (t *Functions) Find(rva uint32) (f Function, found bool, err error) {
	lo, hi := 0, int(t.count)
	var below Function
	var hole error
	for lo < hi {
		mid := lo + (hi-lo)/2
		e, err := t.Entry(mid)
		if err != nil {
			if mid, e, hole = t.beside(lo, hi, mid, err); hole != nil {
				break
			}
		}
		if e.Begin <= rva {
			below, lo = e, mid+1
		} else {
			hi = mid
		}
	}
	switch {
	case lo > 0 && below.End <= below.Begin:
		return f, false, fmt.Errorf("function entry %#x to %#x: %w", below.Begin, below.End, ErrDamaged)
	case lo > 0 && rva < below.End:
		return below, true, nil
	}
	return below, false, hole
}

// beside gives an entry of [lo, hi) near one that cannot be read, from the
// nearest page that can be.
func (t *Functions) beside(lo, hi, mid int, why error) (int, Function, error) {
	const step = pageBytes / functionBytes
	for k := range maxHoleProbes {
		far := (k + 1) * step
		for _, i := range [2]int{mid - far, mid + far} {
			if i < lo || i >= hi {
				continue
			}
			if e, err := t.Entry(i); err == nil {
				return i, e, nil
			}
		}
		if mid-far < lo && mid+far >= hi {
			break
		}
	}
	// The ends of the range may still be on readable pages.
	for _, i := range [2]int{lo, hi - 1} {
		if e, err := t.Entry(i); err == nil {
			return i, e, nil
		}
	}
	return 0, Function{}, why
}
