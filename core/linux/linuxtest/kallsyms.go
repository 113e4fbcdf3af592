package linuxtest

import (
	"encoding/binary"
	"sort"
)

// Symbol is an entry of a symbol table to be built.
type Symbol struct {
	Name string
	Kind byte
	Addr uint64
}

// Order is the order in which the linker lays the pieces of kallsyms out.
type Order int

// The orders, by the first release that has them (scripts/kallsyms.c).
const (
	OrderFirst Order = iota // offsets, relative_base, num_syms, names, markers, token_table, token_index
	OrderSeqs               // 6.2 and 6.1.y: the same, seqs_of_names behind the markers
	OrderLast               // 6.4: num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
)

// Table says how a symbol table is encoded.
type Table struct {
	Order   Order
	Base    uint64 // kallsyms_relative_base
	Plain   bool   // all offsets count from the base (without KALLSYMS_ABSOLUTE_PERCPU)
	Lengths int    // bytes of a long name's length: 1 (to 6.0) or 2 (from 6.1)
}

// Pieces are the places of the parts of a table in its bytes.
type Pieces struct {
	Offsets, RelativeBase, NumSyms, Names, Markers, TokenTable, TokenIndex int
}

// multi are tokens that stand for more than one character; the others stand for
// themselves.
var multi = map[byte]string{0x80: "kcsan_", 0x81: "report", 0x82: "__", 0x83: "tsan_", 0x84: "T_s", 0xff: "symbol"}

// Encode lays a table out; the bytes begin at a multiple of 8.
func (t Table) Encode(symbols []Symbol) ([]byte, Pieces) {
	le := binary.LittleEndian
	var names, markers, offsets []byte
	for i, s := range symbols {
		if i%256 == 0 {
			markers = le.AppendUint32(markers, uint32(len(names)))
		}
		code := compress(string(s.Kind) + s.Name)
		if len(code) > 0x7f && t.Lengths == 2 {
			names = append(names, byte(len(code))|0x80, byte(len(code)>>7))
		} else {
			names = append(names, byte(len(code)))
		}
		names = append(names, code...)
		off := uint32(s.Addr)
		switch {
		case t.Plain:
			off = uint32(s.Addr - t.Base)
		case s.Addr >= t.Base:
			off = uint32(t.Base - 1 - s.Addr)
		}
		offsets = le.AppendUint32(offsets, off)
	}
	var table, index []byte
	for c := range 256 {
		index = le.AppendUint16(index, uint16(len(table)))
		token := string([]byte{byte(c)})
		if m, ok := multi[byte(c)]; ok {
			token = m
		} else if c == 0 || c >= 0x80 {
			token = "" // not used
		}
		table = append(append(table, token...), 0)
	}
	var out []byte
	var p Pieces
	put := func(at *int, piece []byte) {
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
		if at != nil {
			*at = len(out)
		}
		out = append(out, piece...)
	}
	base := le.AppendUint64(nil, t.Base)
	num := le.AppendUint32(nil, uint32(len(symbols)))
	seqs := make([]byte, 3*len(symbols))
	for i := range seqs {
		seqs[i] = 0xe5 // what lies before a token table need not be zero
	}
	if t.Order != OrderLast {
		put(&p.Offsets, offsets)
		put(&p.RelativeBase, base)
	}
	put(&p.NumSyms, num)
	put(&p.Names, names)
	put(&p.Markers, markers)
	if t.Order == OrderSeqs {
		put(nil, seqs)
	}
	put(&p.TokenTable, table)
	put(&p.TokenIndex, index)
	if t.Order == OrderLast {
		put(&p.Offsets, offsets)
		put(&p.RelativeBase, base)
		put(nil, seqs)
	}
	put(nil, nil)
	return out, p
}

// compress replaces what multi stands for.
func compress(s string) []byte {
	var out []byte
next:
	for len(s) > 0 {
		for _, c := range tokenOrder {
			if m := multi[c]; len(s) >= len(m) && s[:len(m)] == m {
				out = append(out, c)
				s = s[len(m):]
				continue next
			}
		}
		out = append(out, s[0])
		s = s[1:]
	}
	return out
}

var tokenOrder = func() []byte {
	var out []byte
	for c := range multi {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}()
