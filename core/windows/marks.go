package windows

import (
	"fmt"
	"sort"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// Mark is a range of guest physical memory that is something known.
type Mark struct {
	What  string
	PA    mem.PA
	Bytes int64
}

// Bounds of what one thing is listed as, and of the pages looked at for it.
const (
	maxMarks = 64
	maxPages = 64 << 10
)

// Marks lists where in physical memory the kernel's image, the root of its page
// tables, its debugger block and the context records lie. What is not mapped is
// left out; a thing in more than maxMarks pieces is listed in part.
func (k *Kernel) Marks() []Mark {
	list := []Mark{{"page-table root", k.Space.Root, mem.PageSize}}
	if k.Image != nil {
		list = append(list, k.mark("kernel image", k.Image.Base, uint64(k.Image.SizeOfImage))...)
	}
	if k.KDBG.VA != 0 {
		list = append(list, k.mark("debugger block", k.KDBG.VA, uint64(k.KDBG.Size))...)
	}
	for _, p := range k.Processors {
		if p.Context != 0 {
			list = append(list, k.mark(fmt.Sprintf("context of processor %d", p.Number), p.Context, contextBytes)...)
		}
	}
	return list
}

// mark lists the physical ranges of a virtual one, in order of address,
// neighbours joined.
func (k *Kernel) mark(what string, va mem.VA, bytes uint64) []Mark {
	var pages []Mark
	for bytes > 0 && len(pages) < maxPages {
		pa, left, err := k.Space.Translate(va)
		if err != nil {
			left = paging.Skip(va, err)
		}
		n := min(left, bytes)
		if err == nil {
			pages = append(pages, Mark{what, pa, int64(n)})
		}
		va, bytes = va+mem.VA(n), bytes-n
	}
	sort.Slice(pages, func(i, j int) bool { return pages[i].PA < pages[j].PA })
	var list []Mark
	for _, p := range pages {
		if last := len(list) - 1; last >= 0 && list[last].PA+mem.PA(list[last].Bytes) == p.PA {
			list[last].Bytes += p.Bytes
		} else if len(list) < maxMarks {
			list = append(list, p)
		}
	}
	return list
}
