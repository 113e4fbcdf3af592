package synth

import (
	"fmt"

	"coredrop/core/mem"
)

// ramBase is where the guest's memory begins.
const ramBase mem.PA = 0x100000

// The bits of a page-table entry.
const (
	ptePresent = 1
	pteWrite   = 2
	pteUser    = 4
	pteLarge   = 0x80
	ptePAT     = 1 << 12 // of a large page
	pteUsed    = 0x60    // accessed, dirty
	pteNX      = 1 << 63
	pteAddress = 0x000ffffffffff000

	pteTransition = 1<<45 | 1<<11 | 4<<5 // read and write

	kernelPage = ptePresent | pteWrite | pteUsed | pteNX
	kernelCode = ptePresent | pteUsed
	userPage   = ptePresent | pteWrite | pteUser | pteUsed
	tableEntry = ptePresent | pteWrite | pteUser | pteUsed
)

// ram is the guest's physical memory, growing as pages are taken. Where it is
// spread, data holds what was taken and nothing of what lies between.
type ram struct {
	data image
	spread
}

func (r *ram) alloc(pages, align int) mem.PA {
	if r.apart != 0 {
		return r.allocApart(pages)
	}
	for (int(ramBase)+len(r.data))%align != 0 {
		r.data = append(r.data, make([]byte, mem.PageSize)...)
	}
	pa := ramBase + mem.PA(len(r.data))
	r.data = append(r.data, make([]byte, pages*mem.PageSize)...)
	return pa
}

// at is where the data of a physical address begin.
func (r *ram) at(pa mem.PA) int {
	if r.apart != 0 {
		return r.atApart(pa)
	}
	return int(pa - ramBase)
}

func (r *ram) page(pa mem.PA) image { return r.data[r.at(pa.Page()):][:mem.PageSize] }

// tables is one tree of page tables.
type tables struct {
	ram    *ram
	root   mem.PA
	levels int
}

func (g *Editor) newTables() *tables {
	t := &tables{ram: &g.ram, root: g.ram.alloc(1, mem.PageSize), levels: 4}
	if g.opts.FiveLevel {
		t.levels = 5
	}
	return t
}

// slot finds the entry for va at a level (1: PTE), making tables on the way.
func (t *tables) slot(va uint64, level int) (table mem.PA, index int) {
	table = t.root
	for l := t.levels; ; l-- {
		index = int(va>>(12+9*(l-1))) & 511
		if l == level {
			return table, index
		}
		entry := le.Uint64(t.ram.page(table)[8*index:])
		if entry&pteLarge != 0 {
			panic(fmt.Sprintf("%#x is in a large page", va))
		}
		if entry == 0 {
			entry = uint64(t.ram.alloc(1, mem.PageSize)) | tableEntry
			t.ram.page(table).u64(8*index, entry)
		}
		table = mem.PA(entry & pteAddress)
	}
}

func (t *tables) set(va uint64, level int, entry uint64) {
	table, index := t.slot(va, level)
	t.ram.page(table).u64(8*index, entry)
}

// selfMap adds the self reference at the index Windows chose at boot.
func (t *tables) selfMap() {
	t.ram.page(t.root).u64(8*selfIndex, uint64(t.root)|kernelPage)
}

const selfIndex = 0x1ed

// shareKernel copies the upper half of another root.
func (t *tables) shareKernel(of *tables) {
	copy(t.ram.page(t.root)[256*8:], t.ram.page(of.root)[256*8:])
}
