package pdb

import "sort"

// Public is a public symbol: a name and its RVA.
type Public struct {
	Name string
	RVA  uint32
}

// Below gives for each of some RVAs the public symbol with the highest RVA that
// is not above it: one pass over the records, which holds no more than it
// answers. Of several with the same RVA the first record counts. RVAs below
// every symbol are absent. That a symbol is the nearest one does not prove that
// the address belongs to it. When the records are damaged, what was found
// before comes with the error.
func (f *File) Below(rvas ...uint32) (map[uint32]Public, error) {
	want := append([]uint32(nil), rvas...)
	// Not slices.Sort: that is another 4 KB of the browser's download.
	sort.Slice(want, func(i, j int) bool { return want[i] < want[j] })
	found := make(map[uint32]Public, len(want))
	if len(want) == 0 {
		return found, nil
	}
	place, err := f.placement()
	if err != nil {
		return found, err
	}
	// A symbol is offered to the first address at or above it only; the others
	// inherit it afterwards, as their own nearest may lie below that address.
	var failed error
	best := make([]Public, len(want))
	err = f.publics(func(name []byte, segment uint16, offset uint32) bool {
		rva, ok, err := place.rva(segment, offset)
		if err != nil {
			failed = err
			return false
		}
		i := sort.Search(len(want), func(i int) bool { return want[i] >= rva })
		if ok && len(name) > 0 && i < len(want) && (best[i].Name == "" || rva > best[i].RVA) {
			best[i] = Public{string(name), rva}
		}
		return true
	})
	if failed != nil {
		err = failed
	}
	for i, rva := range want {
		if best[i].Name == "" && i > 0 {
			best[i] = best[i-1]
		}
		if best[i].Name != "" {
			found[rva] = best[i]
		}
	}
	return found, err
}
