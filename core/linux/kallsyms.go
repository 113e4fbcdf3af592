package linux

import (
	"errors"
	"fmt"
)

// kallsyms is the compressed symbol table as the linker laid it out, each piece
// copied from guest memory. Source: scripts/kallsyms.c, kernel/kallsyms.c.
type kallsyms struct {
	count  uint32
	names  []byte // from kallsyms_names up to at least the markers
	tokens []byte // kallsyms_token_table
	index  []byte // kallsyms_token_index: 256 16-bit offsets

	counted counted
	words   []byte // kallsyms_offsets or kallsyms_addresses
	base    uint64 // fromBase: kallsyms_relative_base, already slid
	at      uint64 // fromSelf: the address of words
}

// counted is from where a table's words count.
type counted uint8

const (
	fromBase counted = iota // 4.6 to 7.1: offsets from kallsyms_relative_base
	fromSelf                // 7.2 and later: each offset from its own address
	absolute                // before 4.6: addresses
)

// wordBytes is how many bytes a symbol's word has.
func (c counted) wordBytes() int {
	if c == absolute {
		return 8
	}
	return 4
}

// Limits of what is believed of a symbol table.
const (
	maxSymbols   = 4 << 20
	minSymbols   = 64
	maxNameBytes = 512 // KSYM_NAME_LEN, include/linux/kallsyms.h
	maxAllNames  = 64 << 20
	maxToken     = 128 // bytes one token stands for

	tokenCount     = 256
	indexBytes     = 2 * tokenCount
	markerInterval = 256 // one marker for so many names
)

// alignments are what scripts/kallsyms.c aligns a piece to: 4 from 7.2 on, 8
// before. Which one it was shows in what the piece holds.
var alignments = []int{4, 8}

func alignUp(pos, align int) int   { return (pos + align - 1) &^ (align - 1) }
func alignDown(pos, align int) int { return pos &^ (align - 1) }

var errKallsyms = errors.New("the symbol table does not decode")

// nameLengths are the two encodings of a name's length: one byte, or, since
// 6.1, two bytes when bit 7 of the first is set.
var nameLengths = []func(p []byte) (n, header int){
	func(p []byte) (int, int) {
		if len(p) > 1 && p[0]&0x80 != 0 {
			return int(p[0]&0x7f) | int(p[1])<<7, 2
		}
		return int(p[0]), 1
	},
	func(p []byte) (int, int) { return int(p[0]), 1 },
}

// skipNames finds the end of count names. It also gives the position of every
// 256th, which are the markers' contents. Where the names do not parse, end is
// how far they did.
func skipNames(names []byte, count uint32, length func([]byte) (int, int)) (end int, marks []uint32, ok bool) {
	pos := 0
	for i := uint32(0); i < count; i++ {
		if i%markerInterval == 0 {
			marks = append(marks, uint32(pos))
		}
		if pos >= len(names) {
			return pos, nil, false
		}
		n, header := length(names[pos:])
		if n == 0 || n > maxNameBytes || n > len(names)-pos-header {
			return pos, nil, false
		}
		pos += header + n
	}
	return pos, marks, true
}

// nameLength decides between the encodings: the markers, which follow the names,
// must hold the positions that the names turn out to have. work is how many
// bytes were looked at.
func (k *kallsyms) nameLength() (length func([]byte) (int, int), work int, ok bool) {
	for _, length := range nameLengths {
		end, marks, ok := skipNames(k.names, k.count, length)
		work += end
		if !ok {
			continue
		}
		for _, align := range alignments {
			at := alignUp(end, align)
			if markersMatch(k.names, at, marks, 4) || markersMatch(k.names, at, marks, 8) {
				return length, work, true
			}
		}
	}
	return nil, work, false
}

// markersMatch compares the markers at position at, each of width bytes (8
// before 5.0), with marks.
func markersMatch(p []byte, at int, marks []uint32, width int) bool {
	if at+width*len(marks) > len(p) {
		return false
	}
	for i, m := range marks {
		if le32(p, at+width*i) != m || width == 8 && le32(p, at+width*i+4) != 0 {
			return false
		}
	}
	return true
}

// decode expands the table. knownText is the address of _stext when it is known
// from elsewhere, else 0; it decides how offsets are meant.
func (k *kallsyms) decode(knownText uint64) (*Symbols, error) {
	if k.count == 0 || k.count > maxSymbols || len(k.words) < k.counted.wordBytes()*int(k.count) || len(k.index) < indexBytes {
		return nil, fmt.Errorf("%w: %d symbols", errKallsyms, k.count)
	}
	length, _, ok := k.nameLength()
	if !ok {
		return nil, fmt.Errorf("%w: names and markers disagree", errKallsyms)
	}
	tokens, err := k.tokenStrings()
	if err != nil {
		return nil, err
	}
	s := &Symbols{ends: make([]uint32, 0, k.count), kinds: make([]byte, 0, k.count)}
	all := make([]byte, 0, min(16*int(k.count), maxAllNames))
	pos := 0
	for range k.count {
		n, header := length(k.names[pos:])
		pos += header
		start := len(all)
		for _, c := range k.names[pos : pos+n] {
			all = append(all, tokens[c]...)
		}
		pos += n
		if len(all)-start < 1 || len(all)-start > 4*maxNameBytes || len(all) > maxAllNames {
			return nil, fmt.Errorf("%w: a name of %d bytes", errKallsyms, len(all)-start)
		}
		s.kinds = append(s.kinds, all[start])
		all = append(all[:start], all[start+1:]...) // the first character is the kind
		s.ends = append(s.ends, uint32(len(all)))
	}
	s.names = string(all)
	s.addrs = k.addresses(s, knownText)
	s.index()
	return s, nil
}

// tokenStrings reads what each of the 256 byte values stands for.
func (k *kallsyms) tokenStrings() ([][]byte, error) {
	out := make([][]byte, tokenCount)
	for i := range out {
		at := int(le32(append(k.index[2*i:2*i+2:2*i+2], 0, 0), 0))
		if at > len(k.tokens) {
			return nil, fmt.Errorf("%w: token %#x lies outside the table", errKallsyms, i)
		}
		end := at
		for end < len(k.tokens) && k.tokens[end] != 0 && end-at <= maxToken {
			end++
		}
		if end == len(k.tokens) || end-at > maxToken {
			return nil, fmt.Errorf("%w: token %#x has no end", errKallsyms, i)
		}
		out[i] = k.tokens[at:end]
	}
	return out, nil
}

// addresses computes all addresses. Offsets from a base have two meanings: with
// KALLSYMS_ABSOLUTE_PERCPU (x86 SMP up to 6.14) one that is not negative is the
// address itself, of a per-CPU symbol, and a negative one counts down from the
// base; without it, all count up. _stext tells them apart, else the signs do.
func (k *kallsyms) addresses(s *Symbols, knownText uint64) []uint64 {
	out := make([]uint64, k.count)
	if k.counted != fromBase {
		for i := range out {
			out[i] = k.address(i, false)
		}
		return out
	}
	percpu := k.negative() > int(k.count)/2
	if knownText != 0 {
		for i := range out {
			if s.name(i) == "_stext" {
				if k.address(i, true) == knownText {
					percpu = true
				} else if k.address(i, false) == knownText {
					percpu = false
				}
			}
		}
	}
	for i := range out {
		out[i] = k.address(i, percpu)
	}
	return out
}

// address computes the i-th symbol's address; percpu is as addresses has it.
func (k *kallsyms) address(i int, percpu bool) uint64 {
	if k.counted == absolute {
		return le64(k.words, 8*i)
	}
	raw := le32(k.words, 4*i)
	off := uint64(int64(int32(raw)))
	switch {
	case k.counted == fromSelf:
		return k.at + uint64(4*i) + off
	case !percpu:
		return k.base + uint64(raw)
	case int32(raw) < 0:
		return k.base - 1 - off
	}
	return uint64(raw)
}

// negative counts the offsets below zero.
func (k *kallsyms) negative() int {
	n := 0
	for i := range int(k.count) {
		if int32(le32(k.words, 4*i)) < 0 {
			n++
		}
	}
	return n
}
