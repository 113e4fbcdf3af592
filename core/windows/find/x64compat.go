package find

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// compatRoot is upstream's choice (fix_dtb): a root is final as soon as its
// shared page resolves, and the first CPU in the kernel is the only other one
// that is asked. Upstream knows 4 levels, and no pages in transition.
func (f *finder) compatRoot() (root, bool) {
	first := f.cpu(0)
	if first != nil && paging.New(f.m.Mem, first.Root(), paging.X64).Resolves(windows.SharedVA) {
		return root{first.Root(), paging.X64, windows.Root{Way: windows.WayCR3, CPU: 0}}, true
	}
	hasBase := true
	for i, x := range f.states() {
		if gsInKernel(x) {
			return root{x.Root(), paging.X64, windows.Root{Way: windows.WaySystem, CPU: i}}, true
		}
		hasBase = hasBase && x.Known(cpu.KernelGSBase)
	}
	if first == nil || !hasBase {
		return root{}, false
	}
	v, err := paging.New(f.m.Mem, first.Root(), paging.X64).Uint64(mem.VA(first.Get(cpu.KernelGSBase)) + pcrKernelDTB)
	return root{v, paging.X64, windows.Root{Way: windows.WayKernelGS, CPU: 0}}, err == nil
}
