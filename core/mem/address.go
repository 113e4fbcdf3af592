// Package mem is guest physical memory: addresses, sorted disjoint extents, and
// reading by physical address through a page cache with a byte budget. It knows
// neither containers nor page tables, and guest memory is never resident beyond
// the cache.
package mem

import (
	"errors"
	"fmt"
)

// PageSize is the size of a page frame in bytes on every guest supported.
const PageSize = 4096

// PA is a guest physical address in bytes.
type PA uint64

// VA is a guest virtual address.
type VA uint64

func (a PA) String() string { return fmt.Sprintf("%#x", uint64(a)) }
func (a VA) String() string { return fmt.Sprintf("%#x", uint64(a)) }

// Page is the address of the page frame that holds a.
func (a PA) Page() PA { return a &^ (PageSize - 1) }

// Page is the address of the page that holds a.
func (a VA) Page() VA { return a &^ (PageSize - 1) }

// ErrHole says that an address is not in the file: the guest may have memory
// there, but the core does not hold it. errors.Is finds it.
var ErrHole = errors.New("not in the file")

// HoleError is an ErrHole with the first address that is missing.
type HoleError struct{ PA PA }

func (e *HoleError) Error() string {
	return fmt.Sprintf("physical address %v is not in the file", e.PA)
}

// Is makes errors.Is(err, ErrHole) true.
func (e *HoleError) Is(target error) bool { return target == ErrHole }
