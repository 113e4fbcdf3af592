package linux

import "bytes"

// digitsRun is a piece that every token table has: the digits stand for
// themselves and follow one another.
var digitsRun = []byte("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00")

// firstDigit is how many tokens come before the digits'.
const firstDigit = 0x30

// Bounds of a search for a table in a window of memory.
const (
	maxCandidates = 4096     // starts at which names are parsed at all
	maxNameSteps  = 32 << 20 // names skipped over in all
)

// findKallsyms searches a window of the kernel image, which begins at a
// multiple of 8, for a symbol table, in each of the section orders that kernels
// use:
//
//	up to 6.1      offsets, relative_base, num_syms, names, markers, token_table, token_index
//	6.2, 6.1.y     the same, with seqs_of_names behind the markers
//	6.4 and later  num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
func findKallsyms(window []byte) (*kallsyms, bool) {
	steps := maxNameSteps
	for from := 0; ; {
		i := bytes.Index(window[from:], digitsRun)
		if i < 0 {
			return nil, false
		}
		digits := from + i
		if table, index, ok := tokenTable(window, digits); ok {
			if k, ok := namesBefore(window, table, index, &steps); ok {
				return k, true
			}
		}
		from = digits + 1
	}
}

// tokenTable finds the bounds of the token table around its digits: its start,
// and the start of the token index behind it, which must agree with the table.
func tokenTable(window []byte, digits int) (table, index int, ok bool) {
	second := digits // start of the second string, by stepping back over strings
	for range firstDigit - 1 {
		end := second - 1
		if end < 0 || window[end] != 0 {
			return 0, 0, false
		}
		low := max(0, end-maxToken-1)
		nul := bytes.LastIndexByte(window[low:end], 0)
		if nul < 0 {
			return 0, 0, false
		}
		second = low + nul + 1
	}
	// What is before the first string need not be a NUL, but the table is
	// aligned: each aligned start is tried against the index.
	end := second - 1
	if end < 0 || window[end] != 0 {
		return 0, 0, false
	}
	for table = end &^ (align - 1); table >= 0 && table >= end-maxToken; table -= align {
		if index, ok := tokenIndex(window, table); ok {
			return table, index, true
		}
	}
	return 0, 0, false
}

// tokenIndex finds the index behind a token table and checks that it holds the
// offsets of the table's strings.
func tokenIndex(window []byte, table int) (index int, ok bool) {
	var starts [tokenCount]uint16
	pos := table
	for i := range starts {
		n := bytes.IndexByte(window[pos:min(len(window), pos+maxToken+1)], 0)
		if n < 0 || pos-table > 0xffff {
			return 0, false
		}
		starts[i] = uint16(pos - table)
		pos += n + 1
	}
	index = alignUp(pos)
	if index+indexBytes > len(window) {
		return 0, false
	}
	for i, s := range starts {
		if window[index+2*i] != byte(s) || window[index+2*i+1] != byte(s>>8) {
			return 0, false
		}
	}
	return index, true
}

// alignUp aligns a position in a window as ALGN does.
func alignUp(pos int) int { return (pos + align - 1) &^ (align - 1) }

// namesBefore walks back from the token table to the count in front of the
// names, and takes offsets and base from where the section order has them.
func namesBefore(window []byte, table, index int, steps *int) (*kallsyms, bool) {
	candidates := 0
	for pos := table - align; pos >= 0 && candidates < maxCandidates && *steps > 0; pos -= align {
		count := le32(window, pos)
		if count < minSymbols || count > maxSymbols || le32(window, pos+4) != 0 {
			continue
		}
		names := window[pos+align : table]
		if len(names) < 2*int(count) {
			continue // a name has a length and at least one byte
		}
		k := &kallsyms{count: count, names: names, tokens: window[table:index], index: window[index : index+indexBytes]}
		if !k.takeOffsets(window, pos, index) {
			continue
		}
		candidates++
		*steps -= 2 * int(count)
		if _, ok := k.nameLength(); ok {
			return k, true
		}
	}
	return nil, false
}

// takeOffsets finds offsets and base before the count (up to 6.3) or behind the
// token index (6.4 and later). The base is a kernel address, page aligned.
func (k *kallsyms) takeOffsets(window []byte, count, index int) bool {
	size := 4 * int(k.count)
	if b := le64(window, count-align); plausibleBase(b) {
		if at := (count - align - size) &^ (align - 1); at >= 0 {
			k.base, k.offsets = b, window[at:at+size]
			return true
		}
	}
	after := index + indexBytes
	if after+size <= len(window) {
		at := alignUp(after + size)
		if b := le64(window, at); plausibleBase(b) {
			k.base, k.offsets = b, window[after:after+size]
			return true
		}
	}
	return false
}

// plausibleBase tells whether an address can be _text: the kernel is aligned to
// CONFIG_PHYSICAL_ALIGN (2 MiB on x86-64), a page is asked for here.
func plausibleBase(b uint64) bool {
	return b >= kernelMap && b < kernelMap+2*kernelMapSize-1 && b%mem4K == 0
}
