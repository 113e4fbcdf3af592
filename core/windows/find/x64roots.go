package find

import (
	"iter"

	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// x64Roots are in order of cost. Upstream's come first, so that the
// page-table base is the same where upstream has one. What they do not find, a
// pass over all of memory may.
var x64Roots = []strategy{
	{"cpu0 cr3", cpu0Root},
	{"system task cr3", systemTaskRoot},
	{"KERNEL_GS_BASE+7000", kernelGSRoot},
	{"every cpu's cr3", cpuRoots},
	{"KVA-shadow siblings", siblingRoots},
	{"kpcr scan", kpcrRoots},
	{"fwcfg note", fwcfgRoots},
	{"low stub", lowStubRoots},
}

// The KPCR of x86-64 as the search of roots sees it. Source: ntddk.h for the
// descriptor tables, public listings for the rest.
const (
	pcrGDT       = 0x000
	pcrIDT       = 0x038
	pcrKernelDTB = 0x7000  // KPRCB.KernelDirectoryTableBase of the first KVA-shadow builds
	pcrBytes     = 0x10000 // how far it is looked through
)

func cpu0Root(f *finder) iter.Seq[root] {
	x := f.cpu(0)
	if x == nil {
		return one(root{}, false)
	}
	return one(root{x.Root(), f.modeOf(x), windows.Root{Way: windows.WayCR3, CPU: 0}}, true)
}

// gsInKernel reports whether the GS base is a kernel address: upstream elf2dmp's
// test for "in kernel".
func gsInKernel(x *cpu.State) bool { return x.Get(cpu.GSBase)>>63 == 1 }

func systemTaskRoot(f *finder) iter.Seq[root] {
	for i, x := range f.states() {
		if gsInKernel(x) {
			return one(root{x.Root(), f.modeOf(x), windows.Root{Way: windows.WaySystem, CPU: i}}, true)
		}
	}
	return one(root{}, false)
}

func kernelGSRoot(f *finder) iter.Seq[root] {
	x := f.cpu(0)
	if x == nil {
		return one(root{}, false)
	}
	for _, y := range f.states() {
		if !y.Known(cpu.KernelGSBase) {
			return one(root{}, false)
		}
	}
	mode := f.modeOf(x)
	v, err := paging.New(f.m.Mem, x.Root(), mode).Uint64(mem.VA(x.Get(cpu.KernelGSBase)) + pcrKernelDTB)
	return one(root{v, mode, windows.Root{Way: windows.WayKernelGS, CPU: 0}}, err == nil)
}

// cpuRoots is the CR3 of every CPU that has paging on.
func cpuRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		for i, x := range f.states() {
			if x.Paging() && !yield(root{x.Root(), f.modeOf(x), windows.Root{Way: windows.WayCR3, CPU: i}}) {
				return
			}
		}
	}
}

// siblingRoots is the page beside every CPU's root: with KVA shadow a process
// has its kernel and user tables' roots side by side on many builds.
func siblingRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		for i, x := range f.states() {
			if x.Paging() && !yield(root{x.Root() ^ mem.PageSize, f.modeOf(x), windows.Root{Way: windows.WaySibling, CPU: i}}) {
				return
			}
		}
	}
}

// kpcrRoots looks through each CPU's control region, seen through that CPU's
// own tables, for a word that is a page-table base: with KVA shadow the user
// tables map the region too, and where the kernel's root is kept in it differs
// by build (+0x7000, +0x9000, +0xa000 are known).
func kpcrRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		region := make([]byte, pcrBytes)
		for i, x := range f.states() {
			kpcr := windows.KPCR(x)
			if kpcr == 0 {
				continue
			}
			mode := f.modeOf(x)
			if paging.New(f.m.Mem, x.Root(), mode).ReadBest(region, kpcr) == 0 {
				continue
			}
			tried := map[uint64]bool{}
			for off := 0; off < len(region); off += 8 {
				v := u64(region, off) &^ (1 << 63) // no-flush bit of a CR3 value
				base := v & mode.Root
				// The low bits hold a small PCID, or the caching bits 3 and 4.
				if v>>52 != 0 || base == 0 || v&0xfff > 0x1f || tried[base] {
					continue
				}
				tried[base] = true
				if f.plausible(mem.PA(base), mode) && !yield(root{v, mode, windows.Root{Way: windows.WayKPCR, CPU: i}}) {
					return
				}
			}
		}
	}
}

// The processor start-up stub that the HAL leaves in low memory. Source:
// MemProcFS.
const (
	stubMask      = 0xffffffffffff00ff
	stubSignature = 0x00000001000600e9
	stubEntry     = 0x70 // address in the kernel
	stubRoot      = 0xa0
	stubLimit     = 1 << 20
)

// lowStubRoots reads the root that the start-up stub loads, and keeps the
// kernel address beside it as a hint.
func lowStubRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		var p [stubRoot + 8]byte
		for pa := mem.PA(0); pa < stubLimit; pa += mem.PageSize {
			if f.m.Mem.ReadAt(p[:], pa) != nil || u64(p[:], 0)&stubMask != stubSignature {
				continue
			}
			entry, value := u64(p[:], stubEntry), u64(p[:], stubRoot)
			if entry>>63 != 1 || value == 0 || value&^uint64(0x000ffffffffff000) != 0 {
				continue
			}
			f.hints = append(f.hints, mem.VA(entry))
			for _, mode := range f.modes() {
				if !yield(root{value, mode, windows.Root{Way: windows.WayLowStub, CPU: -1}}) {
					return
				}
			}
		}
	}
}
