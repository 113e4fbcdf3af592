package linux

import (
	"bytes"
	"context"

	"coredrop/core/fault"
)

// Windows around a token table: names, offsets and, in 6.1.y, the sorted names
// come before it, offsets behind it. The largest distribution kernels have
// about 250,000 symbols: 4 MiB of names, 1 MiB of offsets. Only when the table's
// names do not begin in the first window, the second is read.
var windowsBefore = []uint64{8 << 20, 64 << 20}

const (
	windowAfter  = 2 << 20
	maxNamesSize = 64 << 20

	// What looks like a token table is looked at closely so often, and what is
	// one gets a search around it so often.
	maxDigits = 4096
	maxTables = 8
)

// findSymbols reads the symbol table: through vmcoreinfo's keys (6.0 and later),
// else by searching the image. Without a table the kernel is still usable, with
// a warning.
func (k *Kernel) findSymbols(ctx context.Context, o Options) error {
	known, _ := k.Info.Symbol("_stext")
	if !o.IgnoreKeys {
		if t, ok := k.kallsymsByKeys(); ok {
			if s, err := t.decode(known); err == nil {
				k.Symbols, k.SymbolsFrom = s, "keys"
				return nil
			}
			k.warn(fault.KallsymsMissing, "the symbol table that vmcoreinfo points to does not decode; searching for it")
		}
	}
	digits, tables := 0, 0
	scanSpans(k.view, k.image, 2*len(digitsRun), func(chunk []byte, at uint64) bool {
		for from := 0; ctx.Err() == nil && digits < maxDigits && tables < maxTables; {
			i := bytes.Index(chunk[from:], digitsRun)
			if i < 0 {
				return false
			}
			from += i + 1
			digits++
			if !k.tokensAround(at + uint64(from-1)) {
				continue
			}
			tables++
			for _, before := range windowsBefore {
				window, start := k.window(at+uint64(from-1), before, windowAfter)
				if t, ok := findKallsyms(window, start); ok {
					if s, err := t.decode(known); err == nil {
						k.Symbols, k.SymbolsFrom = s, "scan"
						return true
					}
				}
			}
		}
		return true
	})
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	if k.Symbols == nil {
		k.warn(fault.KallsymsMissing, "")
	}
	return nil
}

// tokensAround tells whether the digits at an address are a token table's, before
// much memory is read around them.
func (k *Kernel) tokensAround(at uint64) bool {
	const most = tokenCount * (maxToken + 1)
	window, start := k.window(at, most, most)
	digits := int(at - start)
	if digits+len(digitsRun) > len(window) {
		return false
	}
	_, _, ok := tokenTable(window, digits)
	return ok
}

// window reads the mapped memory around an address, so many bytes before and after
// it, and gives the address at which it begins.
func (k *Kernel) window(at, before, after uint64) ([]byte, uint64) {
	for _, s := range k.image {
		if !s.holds(at) {
			continue
		}
		start := s.start
		if at-start > before {
			start = (at - before) &^ (mem4K - 1)
		}
		end := min(s.end, at+after)
		return k.view.prefixInto(make([]byte, end-start), start), start
	}
	return nil, 0
}

// kallsymsByKeys reads the table's pieces from where vmcoreinfo says: without a
// base the offsets count from themselves.
func (k *Kernel) kallsymsByKeys() (*kallsyms, bool) {
	var at [4]uint64
	for i, name := range []string{"names", "num_syms", "token_table", "token_index"} {
		a, ok := k.Info.Symbol("kallsyms_" + name)
		if !ok {
			return nil, false
		}
		at[i] = a
	}
	names, num, table, index := at[0], at[1], at[2], at[3]
	count, ok := k.view.u32(num)
	if !ok || count == 0 || count > maxSymbols {
		return nil, false
	}
	if table <= names || table-names > maxNamesSize || index <= table || index-table > tokenCount*(maxToken+1)+8 {
		return nil, false
	}
	t := &kallsyms{count: count}
	if a, ok := k.Info.Symbol("kallsyms_addresses"); ok {
		t.counted, t.at = absolute, a
	} else if t.at, ok = k.Info.Symbol("kallsyms_offsets"); !ok {
		return nil, false
	} else if base, ok := k.Info.Symbol("kallsyms_relative_base"); !ok {
		t.counted = fromSelf
	} else if t.base, ok = k.view.u64(base); !ok {
		return nil, false
	}
	var read [4]bool
	t.names, read[0] = k.view.bytes(names, int(table-names))
	t.tokens, read[1] = k.view.bytes(table, int(index-table))
	t.index, read[2] = k.view.bytes(index, indexBytes)
	t.words, read[3] = k.view.bytes(t.at, t.counted.wordBytes()*int(count))
	return t, read == [4]bool{true, true, true, true}
}
