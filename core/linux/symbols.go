package linux

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// Symbols is the kernel's symbol table, in the order of /proc/kallsyms.
type Symbols struct {
	names string   // all names, one behind the other
	ends  []uint32 // where each name ends
	kinds []byte
	addrs []uint64
	order []uint32 // by address, equal addresses in listing order

	text span // where an address may be resolved
}

// Symbol is one entry of a symbol table.
type Symbol struct {
	Name string
	Kind byte // as in nm: 'T' text, 'A' absolute (per-CPU), …
	Addr uint64
	Size uint64 // bytes to the next different address; 0 where none follows
}

// Len is the number of symbols.
func (s *Symbols) Len() int {
	if s == nil {
		return 0
	}
	return len(s.addrs)
}

// Symbol gives the i-th symbol of the listing, without its size.
func (s *Symbols) Symbol(i int) Symbol {
	return Symbol{Name: s.name(i), Kind: s.kinds[i], Addr: s.addrs[i]}
}

func (s *Symbols) name(i int) string {
	start := uint32(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.names[start:s.ends[i]]
}

// WriteListing writes the table in the form of /proc/kallsyms.
func (s *Symbols) WriteListing(w io.Writer) error {
	for i := range s.Len() {
		if _, err := fmt.Fprintf(w, "%016x %c %s\n", s.addrs[i], s.kinds[i], s.name(i)); err != nil {
			return err
		}
	}
	return nil
}

// Lookup finds the first symbol of that name.
func (s *Symbols) Lookup(name string) (addr uint64, ok bool) {
	for i := range s.Len() {
		if s.name(i) == name {
			return s.addrs[i], true
		}
	}
	return 0, false
}

// All gives the addresses of every symbol that match accepts, in listing order.
func (s *Symbols) All(match func(name string) bool) []Symbol {
	var out []Symbol
	for i := range s.Len() {
		if match(s.name(i)) {
			out = append(out, s.Symbol(i))
		}
	}
	return out
}

// Room is the distance in bytes from an address to the next symbol behind it: an
// upper bound for the size of the object there. It is 0 when none follows.
func (s *Symbols) Room(addr uint64) uint64 {
	if s.Len() == 0 {
		return 0
	}
	i := s.above(addr)
	if i == len(s.order) {
		return 0
	}
	return s.addrs[s.order[i]] - addr
}

// above is the position in order of the first symbol behind addr.
func (s *Symbols) above(addr uint64) int {
	return sort.Search(len(s.order), func(i int) bool { return s.addrs[s.order[i]] > addr })
}

// At resolves an address as the kernel's %pS does: the first symbol of the group
// with the greatest address not above it; its size reaches to the next
// different address (kernel/kallsyms.c, get_symbol_pos).
func (s *Symbols) At(addr uint64) (Symbol, bool) {
	if s.Len() == 0 || !s.text.holds(addr) {
		return Symbol{}, false
	}
	return s.nearest(addr, s.text.end)
}

// Within resolves an address of a range that At knows nothing of, such as that of
// the per-CPU variables: of the symbols at the greatest address not above it, within
// the range, the first that is no mark of the range itself.
func (s *Symbols) Within(addr, start, end uint64) (Symbol, bool) {
	if s.Len() == 0 || addr < start || addr >= end {
		return Symbol{}, false
	}
	sym, ok := s.nearest(addr, end)
	if !ok || sym.Addr < start {
		return Symbol{}, false
	}
	for i := s.above(sym.Addr) - 1; i >= 0 && s.addrs[s.order[i]] == sym.Addr; i-- {
		if name := s.name(int(s.order[i])); sym.Addr != start || !strings.HasPrefix(name, "__per_cpu") {
			sym.Name = name
		}
	}
	sym.Size = min(sym.Size, end-sym.Addr)
	return sym, true
}

// nearest is the first of the symbols at the greatest address not above addr; the
// last symbol of all reaches to end.
func (s *Symbols) nearest(addr, end uint64) (Symbol, bool) {
	next := s.above(addr)
	if next == 0 {
		return Symbol{}, false
	}
	first := next - 1
	at := s.addrs[s.order[first]]
	for first > 0 && s.addrs[s.order[first-1]] == at {
		first--
	}
	sym := s.Symbol(int(s.order[first]))
	if next < len(s.order) {
		sym.Size = s.addrs[s.order[next]] - at
	} else {
		sym.Size = end - at
	}
	return sym, true
}

// Function gives the address range of a function by name: Addr and Size as At
// finds them.
func (s *Symbols) Function(name string) (Symbol, bool) {
	addr, ok := s.Lookup(name)
	if !ok {
		return Symbol{}, false
	}
	return Symbol{Name: name, Addr: addr, Size: s.Room(addr)}, true
}

// index sorts the table by address and finds out where addresses can be
// resolved: all of the image when the table has data symbols, else its text.
func (s *Symbols) index() {
	s.order = make([]uint32, len(s.addrs))
	for i := range s.order {
		s.order[i] = uint32(i)
	}
	slices.SortStableFunc(s.order, func(a, b uint32) int { return cmp.Compare(s.addrs[a], s.addrs[b]) })
	start, ok := s.Lookup("_stext")
	if !ok {
		start, _ = s.Lookup("_text")
	}
	s.text = span{start, start}
	for _, name := range []string{"_end", "_einittext", "_etext"} {
		if end, ok := s.Lookup(name); ok && end > start {
			s.text.end = end
			return
		}
	}
	if n := len(s.order); n > 0 {
		if last := s.addrs[s.order[n-1]]; last > start {
			s.text.end = last + mem4K
		}
	}
}

const mem4K = 4096
