// Package paging translates guest virtual addresses through the guest's own
// page tables. What differs between processors is a Mode; the walk is one. It
// does not decide which root is right.
package paging

import (
	"encoding/binary"
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

// Mode is a page-table format: its levels from the root down and the masks of
// its entries. The zero value is not usable.
type Mode struct {
	Name       string
	Levels     []Level
	RootMask   uint64 // bits of the root register that address the root table
	Address    uint64 // bits of an entry that hold a physical address
	VABits     uint   // translated bits; the bits above are copies of the highest one
	EntryBytes int    // 8 or 4
}

// Level is one step of the walk.
type Level struct {
	Name  string
	Shift uint // lowest bit of the index in the virtual address
	Bits  uint // width of the index
	Large bool // bit 7 ends the walk here with a large page
}

// The bits of an x86 entry that the walk tests. Source: Intel SDM volume 3,
// chapter 4; upstream elf2dmp 10.2.2 addrspace.c tests the same.
const (
	bitPresent  = 1 << 0
	bitLarge    = 1 << 7
	addressBits = 0x000ffffffffff000 // bits 51:12
)

// NoExecute is the bit of an x86-64 entry that keeps a page from being executed.
const NoExecute = 1 << 63

// X64 is 4-level paging, X64L5 5-level paging (CR4.LA57).
var (
	X64 = &Mode{Name: "x86-64", RootMask: addressBits, Address: addressBits, VABits: 48, EntryBytes: 8, Levels: []Level{
		{"PML4E", 39, 9, false}, {"PDPTE", 30, 9, true}, {"PDE", 21, 9, true}, {"PTE", 12, 9, false}}}
	X64L5 = &Mode{Name: "x86-64 5-level", RootMask: addressBits, Address: addressBits, VABits: 57, EntryBytes: 8, Levels: append([]Level{
		{"PML5E", 48, 9, false}}, X64.Levels...)}
)

// Space is one virtual address space.
type Space struct {
	Phys mem.Physical
	Root mem.PA // page-table base, masked
	Mode *Mode
}

// New makes the address space that the root register's value root (CR3, DTB)
// selects; flag and PCID bits in it are ignored.
func New(phys mem.Physical, root uint64, mode *Mode) *Space {
	return &Space{Phys: phys, Root: mem.PA(root & mode.RootMask), Mode: mode}
}

// Canonical reports whether va is one that the mode can translate.
func (m *Mode) Canonical(va mem.VA) bool {
	shift := 64 - m.VABits
	return mem.VA(int64(va)<<shift>>shift) == va
}

// Translate walks the tables: it gives the physical address of va and how many
// bytes from va on are mapped by the same page. It does not ask whether the
// page itself is in the file.
func (s *Space) Translate(va mem.VA) (pa mem.PA, left uint64, err error) {
	pa, left, _, err = s.walk(va)
	return pa, left, err
}

// Leaf gives the entry that maps va, with its flags.
func (s *Space) Leaf(va mem.VA) (entry uint64, err error) {
	_, _, entry, err = s.walk(va)
	return entry, err
}

func (s *Space) walk(va mem.VA) (pa mem.PA, left, entry uint64, err error) {
	if !s.Mode.Canonical(va) {
		return 0, 0, 0, &Error{VA: va, Level: "address", Err: ErrMalformed}
	}
	table := s.Root
	var buf [8]byte
	for _, l := range s.Mode.Levels {
		index := uint64(va) >> l.Shift & (1<<l.Bits - 1)
		raw := buf[:s.Mode.EntryBytes]
		if err := s.Phys.ReadAt(raw, table+mem.PA(index*uint64(len(raw)))); err != nil {
			return 0, 0, 0, &Error{va, l.Name, 1 << l.Shift, err}
		}
		entry = binary.LittleEndian.Uint64(buf[:])
		if entry&bitPresent == 0 {
			return 0, 0, 0, &Error{va, l.Name, 1 << l.Shift, ErrNotPresent}
		}
		span := uint64(1) << l.Shift
		if l.Shift == 12 || l.Large && entry&bitLarge != 0 {
			offset := uint64(va) & (span - 1)
			// The address bits below the page size (PAT in large entries) are not part of it.
			return mem.PA(entry&s.Mode.Address&^(span-1) | offset), span - offset, entry, nil
		}
		table = mem.PA(entry & s.Mode.Address)
	}
	return 0, 0, 0, &Error{VA: va, Level: "walk", Err: ErrMalformed}
}

// ReadAt fills p from va on, page by page.
func (s *Space) ReadAt(p []byte, va mem.VA) error {
	for len(p) > 0 {
		pa, left, err := s.Translate(va)
		if err != nil {
			return err
		}
		n := min(uint64(len(p)), left)
		if err := s.Phys.ReadAt(p[:n], pa); err != nil {
			return &Error{VA: va, Level: "page", Err: err}
		}
		p = p[n:]
		if len(p) > 0 && va+mem.VA(n) < va {
			return &Error{VA: va, Level: "address", Err: ErrMalformed}
		}
		va += mem.VA(n)
	}
	return nil
}

// Resolves reports whether va is mapped and its first byte is in the file.
func (s *Space) Resolves(va mem.VA) bool {
	var b [1]byte
	return s.ReadAt(b[:], va) == nil
}

// Uint64 reads a little-endian 64-bit word.
func (s *Space) Uint64(va mem.VA) (uint64, error) {
	var b [8]byte
	err := s.ReadAt(b[:], va)
	return binary.LittleEndian.Uint64(b[:]), err
}

// Uint32 reads a little-endian 32-bit word.
func (s *Space) Uint32(va mem.VA) (uint32, error) {
	var b [4]byte
	err := s.ReadAt(b[:], va)
	return binary.LittleEndian.Uint32(b[:]), err
}
