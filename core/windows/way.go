package windows

import "fmt"

// Way is a way to page-table bases.
type Way string

// The ways, in the order in which they are tried. Source: the first three are
// those of upstream elf2dmp 10.2.2 main.c, fix_dtb.
const (
	WayCR3      Way = "cr3"           // a CPU's CR3
	WaySystem   Way = "system-task"   // CR3 of the first CPU whose GS base is the kernel's
	WayKernelGS Way = "kernel-gs"     // what KERNEL_GS_BASE+0x7000 of CPU 0 holds (KPCR.KernelDirectoryTableBase)
	WaySibling  Way = "cr3-sibling"   // the page beside a CPU's CR3
	WayKPCR     Way = "kpcr"          // a word of a CPU's control region
	WayFwCfg    Way = "fwcfg-note"    // the guest's own note in the core
	WayLowStub  Way = "low-stub"      // the processor start-up stub in low memory
	WaySelfMap  Way = "self-map-scan" // a search of all memory for roots that map themselves
	WayKDBG     Way = "kdbg-scan"     // a search of all memory for roots that map the kernel a debugger block names
)

// Ways lists all ways.
func Ways() []Way {
	return []Way{WayCR3, WaySystem, WayKernelGS, WaySibling, WayKPCR, WayFwCfg, WayLowStub, WaySelfMap, WayKDBG}
}

// OfCPU reports whether the way begins at one of the CPUs.
func (w Way) OfCPU() bool {
	switch w {
	case WayCR3, WaySystem, WayKernelGS, WaySibling, WayKPCR:
		return true
	}
	return false
}

// Root says how a page-table base was found.
type Root struct {
	Way Way
	CPU int // the machine's CPU at which the way begins; -1 where it begins at none
}

// String words it for the log, upstream's three ways as its messages do.
func (r Root) String() string {
	switch r.Way {
	case WayCR3:
		return fmt.Sprintf("cpu%d cr3", r.CPU)
	case WaySystem:
		return fmt.Sprintf("cpu%d system task cr3", r.CPU)
	case WayKernelGS:
		return fmt.Sprintf("[cpu%d KERNEL_GS_BASE+7000]", r.CPU)
	case WaySibling:
		return fmt.Sprintf("cpu%d cr3^1000", r.CPU)
	case WayKPCR:
		return fmt.Sprintf("kpcr scan cpu%d", r.CPU)
	case WayFwCfg:
		return "fwcfg note"
	case WayLowStub:
		return "low stub"
	case WaySelfMap:
		return "self-map scan"
	case WayKDBG:
		return "kdbg scan"
	}
	return ""
}
