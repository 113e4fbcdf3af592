package linux

import "coredrop/core/mem"

// Mark is a range of guest physical memory that is something known.
type Mark struct {
	What  string
	PA    mem.PA
	Bytes int64
}

// Marks lists where in physical memory the kernel's image and the root of its
// page tables lie. The image is one piece: phys_base is its only displacement.
func (k *Kernel) Marks() []Mark {
	list := []Mark{{"page-table root", k.Space.Root, mem.PageSize}}
	if n := len(k.image); n > 0 {
		start := uint64(int64(k.image[0].start-kernelMap) + k.PhysBase)
		list = append(list, Mark{"kernel image", mem.PA(start), int64(k.image[n-1].end - k.image[0].start)})
	}
	return list
}
