// Package bugcheck says what the stop codes of Windows mean, and their
// parameters where that is known. It is a table; it looks at no guest.
//
// codes.tsv is the table: code, name, kind (stop; live: of a live dump; stop?:
// not in Microsoft's current reference), the sources whose name for the code is
// the same (ref: Microsoft's public bug check reference, mingw: mingw-w64's
// headers, reactos; ! marks one that differs), and four parameters in words of
// our own: - is unused or undocumented, a leading ? varies between releases or
// is known from one source only, and nothing means not described.
package bugcheck

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed codes.tsv
var table string

// Reference is Microsoft's list of the codes, with a page for each.
const Reference = "https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-code-reference2"

// triage is set in the code of a small dump that a handler wrote: 0x1000007E is
// 0x7E.
const triage = 0x10000000

// Code is what is known of a stop code.
type Code struct {
	Name       string
	Live       bool // of a live dump: the system went on
	Parameters [4]Parameter
}

// Parameter is what a parameter of a code means; "" is not known. Varies says
// that it is not the same on every release, or known from one source only.
type Parameter struct {
	Meaning string
	Varies  bool
}

// columns of the table behind the code.
const (
	columnName = iota
	columnKind
	columnSources
	columnParameters
	columns = columnParameters + 4
)

// Lookup finds a code. What is not listed of a code with the bit of small dumps
// is taken from the code without it.
func Lookup(code uint32) (Code, bool) {
	c, ok := find(code)
	if code&triage == 0 || ok && c.Parameters != [4]Parameter{} {
		return c, ok
	}
	plain, known := find(code &^ triage)
	if ok {
		plain.Name, plain.Live = c.Name, c.Live
	}
	return plain, ok || known
}

func find(code uint32) (Code, bool) {
	_, rest, ok := strings.Cut(table, "\n0x"+strconv.FormatUint(uint64(code), 16)+"\t")
	if !ok {
		return Code{}, false
	}
	row, _, _ := strings.Cut(rest, "\n")
	fields := strings.Split(row, "\t")
	if len(fields) != columns {
		return Code{}, false
	}
	c := Code{Name: fields[columnName], Live: fields[columnKind] == "live"}
	for i := range c.Parameters {
		meaning, varies := strings.CutPrefix(fields[columnParameters+i], "?")
		if meaning == "-" {
			meaning = ""
		}
		c.Parameters[i] = Parameter{meaning, varies && meaning != ""}
	}
	return c, true
}

// instruction is how the table words the address of an instruction.
const instruction = "instruction address"

// Instruction reports whether the parameter is the address of an instruction:
// of the one that did what the code stands for.
func (p Parameter) Instruction() bool { return strings.HasPrefix(p.Meaning, instruction) }
