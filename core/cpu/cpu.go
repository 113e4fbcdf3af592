// Package cpu describes processors as data: their registers, which of them a
// state knows, and where a record holds which. One mechanism loads and stores
// every record of registers: a core's notes, a saved state's section, Windows'
// own. It knows no container, no operating system and no memory.
package cpu

import "strconv"

// Reg is the number of a register. The numbers of two architectures never meet,
// but for x86-64 and 32-bit x86, which are one processor. A register of more than
// 64 bits takes two numbers, the low half first; a segment register four.
type Reg uint16

// None is the number of no register.
const None Reg = 0

// Every architecture has its numbers in a bank of its own.
const (
	bankShift        = 8
	bankX86      Reg = 1 << bankShift
	bankARM      Reg = 2 << bankShift
	maxRegisters     = 144 // numbers that a bank uses at most
)

func (r Reg) bank() Reg  { return r &^ (1<<bankShift - 1) }
func (r Reg) index() int { return int(r & (1<<bankShift - 1)) }

// Bits is a condition on a register: it holds when Reg & Mask == Value.
type Bits struct {
	Reg         Reg
	Mask, Value uint64
}

// Arch is a processor architecture.
type Arch struct {
	Name    string // "x86-64": the same in the summary and in sentences
	PE      uint16 // machine of PE images; Microsoft's PE format
	ELF     uint16 // e_machine of ELF files
	Pointer int    // bytes of an address

	// The registers that every architecture has, by its own name: the next
	// instruction, the stack, the flags, and what selects the page tables (the
	// kernel's, where there are two).
	PC, SP, Flags, Root Reg

	// Vectors holds the address of what handles interrupts: the descriptor table's
	// on x86, VBAR on ARM64.
	Vectors Reg

	// Kernel holds where the kernel's code runs, Paging where addresses are
	// translated.
	Kernel, Paging Bits

	// Listed are the registers that a person is shown, in the usual order.
	Listed []Reg

	bank  Reg
	names [2]*[]series // its own, and those it shares with another
}

// series names registers that follow one another: by a list, else by count
// numbers behind a word. parts are what the numbers of one register are called
// behind its name; nil: it has one.
type series struct {
	first Reg
	list  []string
	word  string
	count int
	parts []string
}

// halves are the parts of a register of more than 64 bits.
var halves = []string{"", "_high"}

// name gives the name of a register of the series; "": it is in another.
func (n *series) name(r Reg) string {
	parts := n.parts
	if parts == nil {
		parts = halves[:1]
	}
	if r < n.first {
		return ""
	}
	i, part := int(r-n.first)/len(parts), int(r-n.first)%len(parts)
	switch {
	case i < len(n.list):
		return n.list[i] + parts[part]
	case i < n.count:
		return n.word + strconv.Itoa(i) + parts[part]
	}
	return ""
}

// Has reports whether a number is a register of the architecture's.
func (a *Arch) Has(r Reg) bool { return a != nil && r.bank() == a.bank && r.index() < maxRegisters }

// RegName is a register's name in small letters, "rax", and for a part of one with
// what it is, "gs_base". "": the architecture has no such register.
func (a *Arch) RegName(r Reg) string {
	if !a.Has(r) {
		return ""
	}
	for _, list := range a.names {
		for i := 0; list != nil && i < len(*list); i++ {
			if name := (*list)[i].name(r); name != "" {
				return name
			}
		}
	}
	return ""
}

// String is the architecture's name; "" of nil.
func (a *Arch) String() string {
	if a == nil {
		return ""
	}
	return a.Name
}
