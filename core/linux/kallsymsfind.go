package linux

import "bytes"

// digitsRun is a piece that every token table has: the digits stand for
// themselves and follow one another.
var digitsRun = []byte("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00")

// firstDigit is how many tokens come before the digits'.
const firstDigit = 0x30

// Bounds of a search for a table in a window of memory.
const (
	maxCandidates = 4096     // counts whose names are parsed at all
	maxNameSteps  = 64 << 20 // bytes of names skipped over in all
)

// findKallsyms searches a window of the kernel image, which begins at a
// multiple of 8 and lies at address va, for a symbol table, in each of the
// section orders that kernels use:
//
//	up to 6.1      offsets, relative_base, num_syms, names, markers, token_table, token_index
//	6.2, 6.1.y     the same, with seqs_of_names behind the markers
//	6.4 and later  num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
//	7.2 and later  the same without relative_base, aligned to 4
//
// Before 4.6 addresses of 8 bytes stand in the place of offsets and base. What
// lies where is not asked of a release: every piece must hold what it should.
func findKallsyms(window []byte, va uint64) (*kallsyms, bool) {
	steps := maxNameSteps
	for from := 0; ; {
		i := bytes.Index(window[from:], digitsRun)
		if i < 0 {
			return nil, false
		}
		digits := from + i
		if table, index, ok := tokenTable(window, digits); ok {
			if k, ok := namesBefore(window, va, table, index, &steps); ok {
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
	for table = alignDown(end, alignments[0]); table >= 0 && table >= end-maxToken; table -= alignments[0] {
		if index, ok := tokenIndex(window, table); ok {
			return table, index, true
		}
	}
	return 0, 0, false
}

// tokenIndex finds the index behind a token table and checks that it holds the
// offsets of the table's strings.
func tokenIndex(window []byte, table int) (index int, ok bool) {
	var want [indexBytes]byte
	pos := table
	for i := range tokenCount {
		n := bytes.IndexByte(window[pos:min(len(window), pos+maxToken+1)], 0)
		if n < 0 || pos-table > 0xffff {
			return 0, false
		}
		want[2*i], want[2*i+1] = byte(pos-table), byte((pos-table)>>8)
		pos += n + 1
	}
	for _, align := range alignments {
		index = alignUp(pos, align)
		if index+indexBytes <= len(window) && bytes.Equal(window[index:index+indexBytes], want[:]) {
			return index, true
		}
	}
	return 0, false
}

// namesBefore walks back from the token table to the count in front of the
// names, and takes the addresses from where the section order has them.
func namesBefore(window []byte, va uint64, table, index int, steps *int) (*kallsyms, bool) {
	candidates := 0
	for pos := table - 4; pos >= 0 && candidates < maxCandidates && *steps > 0; pos -= 4 {
		count := le32(window, pos)
		if count < minSymbols || count > maxSymbols || int(count) > (table-pos)/2 {
			continue // a name has a length and at least one byte
		}
		first := pos + 4
		if pos%8 == 0 && le32(window, first) == 0 {
			first += 4
		}
		k := &kallsyms{count: count, names: window[first:table], tokens: window[table:index], index: window[index : index+indexBytes]}
		_, work, ok := k.nameLength()
		*steps -= work
		if work > 64 {
			candidates++
		}
		if ok && k.takeWords(window, va, pos, index+indexBytes) {
			return k, true
		}
	}
	return nil, false
}

// takeWords finds where the addresses are: before the count (up to 6.3) or
// behind the token index (6.4 and later), with a base, which is a kernel address,
// page aligned, or without one.
func (k *kallsyms) takeWords(window []byte, va uint64, count, behind int) bool {
	size := 4 * int(k.count)
	type place struct {
		counted counted
		at      int
		base    uint64
	}
	var places []place
	for _, align := range alignments {
		places = append(places, place{absolute, behind, 0}, place{absolute, alignDown(count-2*size, align), 0})
		if b := le64(window, count-8); plausibleBase(b) {
			places = append(places, place{fromBase, alignDown(count-8-size, align), b})
		}
		if b := le64(window, alignUp(behind+size, align)); plausibleBase(b) {
			places = append(places, place{fromBase, behind, b})
		}
	}
	for _, align := range alignments {
		places = append(places, place{fromSelf, behind, 0}, place{fromSelf, alignDown(count-size, align), 0})
	}
	best := 0
	for _, p := range places {
		bytes := p.counted.wordBytes() * int(k.count)
		if p.at < 0 || p.at > len(window)-bytes {
			continue
		}
		try := *k
		try.counted, try.base, try.at, try.words = p.counted, p.base, va+uint64(p.at), window[p.at:p.at+bytes]
		if n := try.ascending(); n > best {
			best, *k = n, try
		}
	}
	return best > 0
}

// ascending counts, of some samples, the addresses that are as they should be,
// or gives 0 when too few are: the table is sorted by address; per-CPU symbols
// are small numbers in some releases, all others lie in the image; and offsets
// that count from themselves lead back to the code first.
func (k *kallsyms) ascending() int {
	percpu := k.counted == fromBase && k.negative() > int(k.count)/2
	if k.counted == fromSelf && k.address(0, false) >= k.at {
		return 0
	}
	const samples = 256
	last, good, image := uint64(0), 0, 0
	n := min(samples, int(k.count))
	for i := range n {
		a := k.address(int(int64(i)*int64(k.count-1)/int64(n-1)), percpu)
		switch {
		case a < last:
		case a >= kernelMap && a < moduleEnd:
			good, image = good+1, image+1
		case k.counted != fromSelf && a < maxPerCPU:
			good++
		}
		last = a
	}
	if good < n-n/32 || image <= n/2 {
		return 0
	}
	return good
}

// maxPerCPU bounds the addresses of per-CPU symbols that are small numbers.
const maxPerCPU = 64 << 20

// plausibleBase tells whether an address can be _text: the kernel is aligned to
// CONFIG_PHYSICAL_ALIGN (2 MiB on x86-64), a page is asked for here.
func plausibleBase(b uint64) bool {
	return b >= kernelMap && b < kernelMap+2*kernelMapSize-1 && b%mem4K == 0
}
