// Package paging translates guest virtual addresses through the guest's own
// page tables. What differs between processors is a Mode; the walk is one. It
// does not decide which root is right.
package paging

import (
	"errors"
	"fmt"

	"coredrop/core/mem"
)

// ErrNotPresent says that the guest's tables map nothing at an address.
var ErrNotPresent = errors.New("not present in the guest")

// ErrMalformed says that an address or an entry cannot be right: a
// non-canonical address, or an entry that points beyond physical memory's
// address width.
var ErrMalformed = errors.New("malformed")

// Error tells at which level a walk ended and why: errors.Is finds
// ErrNotPresent, ErrMalformed or mem.ErrHole.
type Error struct {
	VA    mem.VA
	Level string // for people: "PML4E", "PTE", …; "page" when the page itself is missing
	Span  uint64 // bytes of the space that the entry would have mapped; 0: not an entry
	Err   error
}

// Skip gives how many bytes from va on a failed walk allows to step over: to the
// end of what the entry at which it ended would have mapped, a page at least.
func Skip(va mem.VA, err error) uint64 {
	span := Span(err)
	return span - uint64(va)&(span-1)
}

// Span gives how many bytes of the space the entry covers at which a walk ended:
// a power of two, the page's size where it ended elsewhere.
func Span(err error) uint64 {
	var e *Error
	if errors.As(err, &e) && e.Span > mem.PageSize {
		return e.Span
	}
	return mem.PageSize
}

func (e *Error) Error() string {
	return fmt.Sprintf("virtual address %v: %s: %v", e.VA, e.Level, e.Err)
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
