package synth

import "coredrop/core/mem"

// WriteUser puts bytes at an address of the process's user half, mapping pages
// in its tables as needed. What Guest has mapped there itself stays.
func (g *Editor) WriteUser(va uint64, p []byte) {
	for len(p) > 0 {
		page := va &^ (mem.PageSize - 1)
		table, index := g.process.slot(page, 1)
		entry := le.Uint64(g.ram.page(table)[8*index:])
		if entry&ptePresent == 0 {
			entry = uint64(g.ram.alloc(1, mem.PageSize)) | userPage
			g.process.set(page, 1, entry)
		}
		pa := mem.PA(entry&pteAddress) + mem.PA(va-page)
		n := min(len(p), int(mem.PageSize-pa%mem.PageSize))
		copy(g.ram.data[g.ram.at(pa):], p[:n])
		p, va = p[n:], va+uint64(n)
	}
}
