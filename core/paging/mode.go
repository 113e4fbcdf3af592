package paging

import (
	"encoding/binary"

	"coredrop/core/mem"
)

// Rule is a test of an entry's bits: it holds where Mask is not 0 and the bits
// of Mask have the Value.
type Rule struct{ Mask, Value uint64 }

// Holds applies the rule to an entry.
func (r Rule) Holds(entry uint64) bool { return r.Mask != 0 && entry&r.Mask == r.Value }

// Level is one step of a walk.
type Level struct {
	Name  string // of the level's entries
	Shift uint   // lowest bit of the index in the virtual address
	Bits  uint   // width of the index
	// Leaf holds for a present entry that maps memory itself. At the last level
	// the zero Rule means every one; above it, none.
	Leaf Rule
	// Moved are bits of a leaf's address that its entry holds elsewhere.
	Moved Moved
}

// Moved says that Bits bits of a leaf's entry from bit From on are the bits of
// its address from bit To on. The zero value moves nothing.
type Moved struct{ From, To, Bits uint }

// Mode is a page-table format: what a walk does at each level, as data. The zero
// value is not usable.
type Mode struct {
	Name   string
	Levels []Level // from the root down
	// Present holds for an entry that the processor follows, Table, where it is
	// not zero, for those of them that lead to the next level's table.
	Present, Table Rule
	// Transition holds for an entry that the processor does not follow, though
	// what it leads to is still in memory; TransitionAddress has the bits of it
	// that are the address. The guest's system decides that, so the processors'
	// modes have none: see WithTransition.
	Transition        Rule
	TransitionAddress uint64
	Root              uint64 // bits of the root register that address the root table
	Address           uint64 // bits of an entry that hold a physical address
	Entry             int    // bytes of an entry: 8 or 4
	VABits            uint   // translated bits
	Signed            bool   // the bits above are copies of the highest one; else they are 0
}

// The bits of x86 entries. Source: Intel SDM volume 3, chapter 4 (tables 4-4 to
// 4-20); upstream elf2dmp 10.2.2 addrspace.c tests the same.
const (
	bitPresent  = 1 << 0
	bitLarge    = 1 << 7
	addressBits = 0x000ffffffffff000 // 51:12
)

// NoExecute is the bit of an x86-64 entry that keeps a page from being executed.
const NoExecute = 1 << 63

var (
	present = Rule{bitPresent, bitPresent}
	large   = Rule{bitLarge, bitLarge}
)

// The levels of x86-64. Bit 7 of a PML4E is reserved, of a PTE an attribute.
var x64Levels = []Level{
	{Name: "PML4E", Shift: 39, Bits: 9},
	{Name: "PDPTE", Shift: 30, Bits: 9, Leaf: large},
	{Name: "PDE", Shift: 21, Bits: 9, Leaf: large},
	{Name: "PTE", Shift: 12, Bits: 9},
}

// The processors' modes.
var (
	// X64 is 4-level paging, X64L5 5-level paging (CR4.LA57).
	X64 = &Mode{Name: "x86-64", Levels: x64Levels, Present: present,
		Root: addressBits, Address: addressBits, Entry: 8, VABits: 48, Signed: true}
	X64L5 = &Mode{Name: "x86-64 5-level", Levels: append([]Level{{Name: "PML5E", Shift: 48, Bits: 9}}, x64Levels...), Present: present,
		Root: addressBits, Address: addressBits, Entry: 8, VABits: 57, Signed: true}

	// X86PAE is 32-bit paging with 8-byte entries (CR4.PAE): the root is a table
	// of four, on a boundary of 32 bytes.
	X86PAE = &Mode{Name: "x86 PAE", Levels: []Level{
		{Name: "PDPTE", Shift: 30, Bits: 2},
		{Name: "PDE", Shift: 21, Bits: 9, Leaf: large},
		{Name: "PTE", Shift: 12, Bits: 9},
	}, Present: present, Root: 0xffffffe0, Address: addressBits, Entry: 8, VABits: 32}

	// X86 is 32-bit paging with 4-byte entries. A 4 MiB page's entry holds bits
	// 39:32 of the address in its bits 20:13 (PSE-36).
	X86 = &Mode{Name: "x86", Levels: []Level{
		{Name: "PDE", Shift: 22, Bits: 10, Leaf: large, Moved: Moved{From: 13, To: 32, Bits: 8}},
		{Name: "PTE", Shift: 12, Bits: 10},
	}, Present: present, Root: 0xfffff000, Address: 0xfffff000, Entry: 4, VABits: 32}

	// ARM64 is VMSAv8-64 with a granule of 4 KiB and 48 bits. Bit 1 tells a
	// table (and, at the last level, a page) from a block; a block at the first
	// level and the last level's other form are reserved and map nothing. The
	// processor has a root for each half of the space: this is the walk of
	// either, and of both where a system keeps them in one table, as Windows
	// does (TTBR1 is TTBR0+0x800 there). Source: Arm ARM DDI 0487, D8.3.
	ARM64 = &Mode{Name: "ARM64", Levels: []Level{
		{Name: "L0", Shift: 39, Bits: 9},
		{Name: "L1", Shift: 30, Bits: 9, Leaf: Rule{2, 0}},
		{Name: "L2", Shift: 21, Bits: 9, Leaf: Rule{2, 0}},
		{Name: "L3", Shift: 12, Bits: 9, Leaf: Rule{3, 3}},
	}, Present: present, Table: Rule{3, 3}, Root: 0x0000fffffffff000, Address: 0x0000fffffffff000, Entry: 8, VABits: 48, Signed: true}
)

// WithTransition gives the mode of a system that marks pages which are still in
// memory, though the processor must not follow their entries: those for which r
// holds, with the address in the given bits.
func (m *Mode) WithTransition(r Rule, address uint64) *Mode {
	out := *m
	out.Transition, out.TransitionAddress = r, address&m.Address
	return &out
}

// Flat gives the mode of memory that is known by its virtual addresses alone, as
// a triage dump holds it: there are no tables, an address leads to itself.
func (m *Mode) Flat() *Mode {
	out := *m
	out.Name, out.Levels = "flat "+m.Name, nil
	return &out
}

// Canonical reports whether va is one that the mode can translate.
func (m *Mode) Canonical(va mem.VA) bool {
	shift := 64 - m.VABits
	if m.Signed {
		return mem.VA(int64(va)<<shift>>shift) == va
	}
	return va<<shift>>shift == va
}

// Kernel reports whether va is one of the upper half of the space, where every
// system that we know keeps its kernel.
func (m *Mode) Kernel(va mem.VA) bool {
	return m.Canonical(va) && va>>(m.VABits-1)&1 == 1
}

// Upper is the first address of the upper half of the space.
func (m *Mode) Upper() mem.VA {
	if m.Signed {
		return ^mem.VA(0) << (m.VABits - 1)
	}
	return 1 << (m.VABits - 1)
}

// Index gives the number of va's entry in its table of a level.
func (l *Level) Index(va mem.VA) int {
	return int(uint64(va) >> l.Shift & (1<<l.Bits - 1))
}

// Span is how many bytes of the space an entry of the level covers.
func (l *Level) Span() uint64 { return 1 << l.Shift }

// EntryAt gives entry i of a table, which must hold it.
func (m *Mode) EntryAt(table []byte, i int) uint64 {
	if m.Entry == 4 {
		return uint64(binary.LittleEndian.Uint32(table[4*i:]))
	}
	return binary.LittleEndian.Uint64(table[8*i:])
}

// Kind is what an entry is.
type Kind int

// The kinds of entries.
const (
	Absent     Kind = iota // it maps nothing
	Table                  // it leads to the next level's table
	Page                   // it maps memory
	Transition             // it maps nothing, but what it leads to is still in memory
)

// Step says what an entry of a level is and where it leads: a table or the
// beginning of a page.
func (m *Mode) Step(level int, entry uint64) (Kind, mem.PA) {
	l, last := &m.Levels[level], level == len(m.Levels)-1
	switch {
	case !m.Present.Holds(entry):
		if m.Transition.Holds(entry) {
			return Transition, mem.PA(entry & m.TransitionAddress)
		}
	case l.Leaf.Holds(entry), last && l.Leaf.Mask == 0:
		// The address bits below the page's size (an attribute in large entries)
		// are none of it.
		pa := entry & m.Address &^ (l.Span() - 1)
		return Page, mem.PA(pa | entry>>l.Moved.From&(1<<l.Moved.Bits-1)<<l.Moved.To)
	case !last && (m.Table.Mask == 0 || m.Table.Holds(entry)):
		return Table, mem.PA(entry & m.Address)
	}
	return Absent, 0
}
