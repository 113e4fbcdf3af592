package kcsan

import (
	"strconv"
	"strings"
)

// nameLimit is how much of a symbol string report.c looks at when it filters,
// trims and orders: char buf[64] with its terminating NUL.
const nameLimit = 63

// A Symbol is an address in terms of the function it lies in.
type Symbol struct {
	Name   string // function name
	Offset uint64 // bytes from the function's start
	Size   uint64 // bytes to the next different symbol, as kallsyms counts
	Module string // module name (and build ID, where printed), "" for the kernel itself
}

// A Symbolizer resolves addresses. It answers false for an address that no
// symbol covers. It must be safe for concurrent use when a [Reporter] uses it.
type Symbolizer interface {
	Symbol(addr uint64) (Symbol, bool)
}

// SymbolizerFunc adapts a function to [Symbolizer].
type SymbolizerFunc func(addr uint64) (Symbol, bool)

// Symbol calls f.
func (f SymbolizerFunc) Symbol(addr uint64) (Symbol, bool) { return f(addr) }

// A Frame is one line of a stack trace: an address and what it resolves to.
type Frame struct {
	Addr   uint64 // return address; 0 when it was not recorded (a parsed report)
	Symbol Symbol // Name "" means that no symbol covers Addr

	// Note is what a symbolizer added behind the kernel's text, such as
	// "net/core/neighbour.c:1128". With Inline set it is the whole line.
	Note string
	// Inline marks a line that stands for no stack entry of its own. Such
	// lines never decide a title.
	Inline bool
}

// NewFrame resolves addr. A nil Symbolizer resolves nothing.
func NewFrame(s Symbolizer, addr uint64) Frame {
	f := Frame{Addr: addr}
	if s != nil {
		if sym, ok := s.Symbol(addr); ok {
			f.Symbol = sym
		}
	}
	return f
}

// String returns the kernel's %pS: name, offset, size and module, or the bare
// address when there is no symbol.
func (f Frame) String() string {
	if f.Symbol.Name == "" {
		return "0x" + strconv.FormatUint(f.Addr, 16)
	}
	s := f.Symbol
	return s.Name + "+0x" + strconv.FormatUint(s.Offset, 16) + "/0x" + strconv.FormatUint(s.Size, 16) + s.module()
}

// Func returns the kernel's %ps: name and module, or the bare address.
func (f Frame) Func() string {
	if f.Symbol.Name == "" {
		return f.String()
	}
	return f.Symbol.Name + f.Symbol.module()
}

func (s Symbol) module() string {
	if s.Module == "" {
		return ""
	}
	return " [" + s.Module + "]"
}

// line is the frame as a trace shows it, without the leading blank.
func (f Frame) line() string {
	switch {
	case f.Inline:
		return f.Note
	case f.Note != "":
		return f.String() + " " + f.Note
	}
	return f.String()
}

// limited cuts a symbol string to what report.c's buffers hold.
func limited(s string) string {
	if len(s) > nameLimit {
		return s[:nameLimit]
	}
	return s
}

// containsAny reports whether s contains one of the words.
func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
