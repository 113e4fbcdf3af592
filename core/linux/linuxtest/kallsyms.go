package linuxtest

import "encoding/binary"

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

// Orders lists them.
func Orders() []Order { return []Order{OrderFirst, OrderSeqs, OrderLast} }

// Words is what a table's words say.
type Words int

// The words' meanings, in the order in which kernels had them.
const (
	FromBase  Words = iota // 4.6 to 7.1: offsets from kallsyms_relative_base
	FromSelf               // 7.2: each offset from its own address, no base
	Addresses              // before 4.6: addresses of 8 bytes, no base
)

// Table says how a symbol table is encoded.
type Table struct {
	Order   Order
	Base    uint64 // kallsyms_relative_base
	Plain   bool   // all offsets count from the base (without KALLSYMS_ABSOLUTE_PERCPU)
	Lengths int    // bytes of a long name's length: 1 (to 6.0) or 2 (from 6.1)
	Words   Words
	Align   int    // of each piece: 4 from 7.2 on; 0 is 8
	At      uint64 // where the table will be; needed for FromSelf
	Markers int    // bytes of a marker, and of the count: 8 before 5.0; 0 is 4
}

// Pieces are the places of the parts of a table in its bytes. Offsets are the
// words, whatever they say; RelativeBase is 0 without one.
type Pieces struct {
	Offsets, RelativeBase, NumSyms, Names, Markers, TokenTable, TokenIndex int
}

// multi are tokens that stand for more than one character; the others stand for
// themselves.
var multi = map[byte]string{0x80: "kcsan_", 0x81: "report", 0x82: "__", 0x83: "tsan_", 0x84: "T_s", 0xff: "symbol"}

// Encode lays a table out; the bytes begin at a multiple of 8.
func (t Table) Encode(symbols []Symbol) ([]byte, Pieces) {
	le := binary.LittleEndian
	word := func(p []byte, v uint64) []byte { // of a marker's width
		if t.Markers == 8 {
			return le.AppendUint64(p, v)
		}
		return le.AppendUint32(p, uint32(v))
	}
	var names, markers []byte
	for i, s := range symbols {
		if i%256 == 0 {
			markers = word(markers, uint64(len(names)))
		}
		code := compress(string(s.Kind) + s.Name)
		if len(code) > 0x7f && t.Lengths == 2 {
			names = append(names, byte(len(code))|0x80, byte(len(code)>>7))
		} else {
			names = append(names, byte(len(code)))
		}
		names = append(names, code...)
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
	align := t.Align
	if align == 0 {
		align = 8
	}
	put := func(at *int, piece []byte) {
		for len(out)%align != 0 {
			out = append(out, 0)
		}
		if at != nil {
			*at = len(out)
		}
		out = append(out, piece...)
	}
	words := func() {
		put(&p.Offsets, nil)
		put(nil, t.words(symbols, uint64(p.Offsets)))
		if t.Words == FromBase {
			put(&p.RelativeBase, le.AppendUint64(nil, t.Base))
		}
	}
	seqs := make([]byte, 3*len(symbols))
	for i := range seqs {
		seqs[i] = 0xe5 // what lies before a token table need not be zero
	}
	if t.Order != OrderLast {
		words()
	}
	put(&p.NumSyms, word(nil, uint64(len(symbols))))
	put(&p.Names, names)
	put(&p.Markers, markers)
	if t.Order == OrderSeqs {
		put(nil, seqs)
	}
	put(&p.TokenTable, table)
	put(&p.TokenIndex, index)
	if t.Order == OrderLast {
		words()
		put(nil, seqs)
	}
	put(nil, nil)
	return out, p
}

// words says where each symbol is, in words that begin off bytes into the table.
func (t Table) words(symbols []Symbol, off uint64) []byte {
	le := binary.LittleEndian
	var out []byte
	for i, s := range symbols {
		switch {
		case t.Words == Addresses:
			out = le.AppendUint64(out, s.Addr)
		case t.Words == FromSelf:
			out = le.AppendUint32(out, uint32(s.Addr-(t.At+off+uint64(4*i))))
		case t.Plain:
			out = le.AppendUint32(out, uint32(s.Addr-t.Base))
		case s.Addr >= t.Base:
			out = le.AppendUint32(out, uint32(t.Base-1-s.Addr))
		default:
			out = le.AppendUint32(out, uint32(s.Addr))
		}
	}
	return out
}

// compress replaces what multi stands for.
func compress(s string) []byte {
	var out []byte
next:
	for len(s) > 0 {
		for _, c := range tokensFrom[s[0]] {
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

// tokensFrom are the tokens by the character that they begin with, in order.
var tokensFrom = func() (out [256][]byte) {
	for c := range 256 {
		if m := multi[byte(c)]; m != "" {
			out[m[0]] = append(out[m[0]], byte(c))
		}
	}
	return out
}()
