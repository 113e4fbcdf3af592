package linux

import (
	"errors"
	"fmt"
)

// kallsyms is the compressed symbol table as the linker laid it out, each piece
// copied from guest memory. Source: scripts/kallsyms.c, kernel/kallsyms.c.
type kallsyms struct {
	count   uint32
	names   []byte // from kallsyms_names up to at least the markers
	tokens  []byte // kallsyms_token_table
	index   []byte // kallsyms_token_index: 256 16-bit offsets
	offsets []byte // kallsyms_offsets: count 32-bit words
	base    uint64 // kallsyms_relative_base, already slid
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
	align          = 8   // ALGN in scripts/kallsyms.c
)

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
// 256th, which are the markers' contents.
func skipNames(names []byte, count uint32, length func([]byte) (int, int)) (end int, marks []uint32, ok bool) {
	pos := 0
	for i := uint32(0); i < count; i++ {
		if i%markerInterval == 0 {
			marks = append(marks, uint32(pos))
		}
		if pos >= len(names) {
			return 0, nil, false
		}
		n, header := length(names[pos:])
		if n == 0 || n > maxNameBytes || n > len(names)-pos-header {
			return 0, nil, false
		}
		pos += header + n
	}
	return pos, marks, true
}

// nameLength decides between the encodings: the markers, which follow the names,
// must hold the positions that the names turn out to have.
func (k *kallsyms) nameLength() (func([]byte) (int, int), bool) {
	for _, length := range nameLengths {
		end, marks, ok := skipNames(k.names, k.count, length)
		if !ok {
			continue
		}
		at := (end + align - 1) &^ (align - 1)
		if markersMatch(k.names, at, marks) {
			return length, true
		}
	}
	return nil, false
}

// markersMatch compares the markers at position at with marks.
func markersMatch(p []byte, at int, marks []uint32) bool {
	if at+4*len(marks) > len(p) {
		return false
	}
	for i, m := range marks {
		if le32(p, at+4*i) != m {
			return false
		}
	}
	return true
}

// decode expands the table. knownText is the address of _stext when it is known
// from elsewhere, else 0; it decides how offsets are meant.
func (k *kallsyms) decode(knownText uint64) (*Symbols, error) {
	if k.count == 0 || k.count > maxSymbols || len(k.offsets) < 4*int(k.count) || len(k.index) < indexBytes {
		return nil, fmt.Errorf("%w: %d symbols", errKallsyms, k.count)
	}
	length, ok := k.nameLength()
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

// addresses computes all addresses. With KALLSYMS_ABSOLUTE_PERCPU (x86 SMP up
// to 6.14) an offset that is not negative is the address itself, of a per-CPU
// symbol, and a negative one counts down from the base; without it, all are
// offsets from the base. _stext tells them apart, else the signs do.
func (k *kallsyms) addresses(s *Symbols, knownText uint64) []uint64 {
	percpu := make([]uint64, k.count)
	plain := make([]uint64, k.count)
	negative := uint32(0)
	verdict := 0
	for i := range percpu {
		raw := le32(k.offsets, 4*i)
		plain[i] = k.base + uint64(raw)
		percpu[i] = uint64(raw)
		if off := int64(int32(raw)); off < 0 {
			percpu[i] = k.base - 1 - uint64(off)
			negative++
		}
		if knownText != 0 && s.name(i) == "_stext" {
			switch knownText {
			case percpu[i]:
				verdict = 1
			case plain[i]:
				verdict = -1
			}
		}
	}
	if verdict > 0 || verdict == 0 && negative > k.count/2 {
		return percpu
	}
	return plain
}
