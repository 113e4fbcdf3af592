package linux

import (
	"bytes"
	"context"

	"coredrop/core/fault"
)

// Windows around a token table: names, offsets and, in 6.1.y, the sorted names
// come before it, offsets behind it. The largest distribution kernels have
// about 250,000 symbols: 4 MiB of names, 1 MiB of offsets.
const (
	windowBefore = 8 << 20
	windowAfter  = 2 << 20
	maxNamesSize = 32 << 20
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
	scanSpans(k.view, k.image, 2*len(digitsRun), func(chunk []byte, at uint64) bool {
		if ctx.Err() != nil {
			return true
		}
		for from := 0; ; {
			i := bytes.Index(chunk[from:], digitsRun)
			if i < 0 {
				return false
			}
			if t, ok := findKallsyms(k.window(at + uint64(from+i))); ok {
				if s, err := t.decode(known); err == nil {
					k.Symbols, k.SymbolsFrom = s, "scan"
					return true
				}
			}
			from += i + 1
		}
	})
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	if k.Symbols == nil {
		k.warn(fault.KallsymsMissing, "")
	}
	return nil
}

// window reads the mapped memory around an address.
func (k *Kernel) window(at uint64) []byte {
	for _, s := range k.image {
		if !s.holds(at) {
			continue
		}
		start := s.start
		if at-start > windowBefore {
			start = (at - windowBefore) &^ (mem4K - 1)
		}
		end := min(s.end, at+windowAfter)
		return k.view.prefixInto(make([]byte, end-start), start)
	}
	return nil
}

// kallsymsByKeys reads the table's pieces from where vmcoreinfo says.
func (k *Kernel) kallsymsByKeys() (*kallsyms, bool) {
	var at [6]uint64
	for i, name := range []string{"names", "num_syms", "token_table", "token_index", "offsets", "relative_base"} {
		a, ok := k.Info.Symbol("kallsyms_" + name)
		if !ok {
			return nil, false
		}
		at[i] = a
	}
	names, num, table, index, offsets, base := at[0], at[1], at[2], at[3], at[4], at[5]
	count, ok1 := k.view.u32(num)
	b, ok2 := k.view.u64(base)
	if !ok1 || !ok2 || count == 0 || count > maxSymbols {
		return nil, false
	}
	if table <= names || table-names > maxNamesSize || index <= table || index-table > tokenCount*(maxToken+1)+align {
		return nil, false
	}
	t := &kallsyms{count: count, base: b}
	var ok [4]bool
	t.names, ok[0] = k.view.bytes(names, int(table-names))
	t.tokens, ok[1] = k.view.bytes(table, int(index-table))
	t.index, ok[2] = k.view.bytes(index, indexBytes)
	t.offsets, ok[3] = k.view.bytes(offsets, 4*int(count))
	return t, ok == [4]bool{true, true, true, true}
}
