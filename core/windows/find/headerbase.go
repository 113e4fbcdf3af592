package find

import (
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// leadsToKernel reports whether a page-table base shows the same kernel, debugger
// block and shared page as the space the kernel was found through.
func leadsToKernel(k *windows.Kernel, value uint64) bool {
	if value&k.Space.Mode.Root == 0 {
		return false
	}
	s := k.Space.At(value)
	for _, va := range []mem.VA{k.Image.Base, k.KDBG.VA} {
		if !sameFrame(k.Space, s, va) {
			return false
		}
	}
	_, _, err := k.Space.Translate(windows.SharedVA)
	return err != nil || sameFrame(k.Space, s, windows.SharedVA)
}

// ownBase gives a page-table base of the processor with an index that leads to
// the kernel: its CPU's own, the one that was found through its control region,
// or what Windows saved with its registers; 0: it has none.
func (f *finder) ownBase(k *windows.Kernel, i int, r root) mem.PA {
	p := &k.Processors[i]
	var list []uint64
	if p.CPU >= 0 {
		if x := f.m.CPUs[p.CPU].State; x.System() {
			list = append(list, x.Root())
		}
		if r.from.CPU == p.CPU {
			list = append(list, r.value)
		}
	}
	if p.Record != nil && (p.CPU < 0 || k.Recorded(i)) {
		list = append(list, p.Record.Root)
	}
	for _, value := range list {
		if leadsToKernel(k, value) {
			return mem.PA(value & k.Space.Mode.Root)
		}
	}
	return 0
}

// chooseHeaderBase picks the header's page-table base: that of the processor
// whose registers are in the header, so that a debugger sees its memory. Where
// that one does not lead to the kernel, or there is no such processor, System's.
func (f *finder) chooseHeaderBase(k *windows.Kernel, r root) {
	opens := k.Opens.Index
	if opens >= 0 {
		if base := f.ownBase(k, opens, r); base != 0 {
			k.HeaderDTB = base
			return
		}
	}
	if len(k.Processes) == 0 || k.Processes[0].PID != windows.SystemPID || !leadsToKernel(k, uint64(k.Processes[0].DTB)) {
		return
	}
	k.HeaderDTB = k.Processes[0].DTB & mem.PA(k.Space.Mode.Root)
	switch {
	case opens >= 0 && k.Processors[opens].CPU >= 0:
		k.Warn(fault.HeaderDTB, "the header's page-table base is System's, %#x: no base of processor %d, whose registers are in the header, leads to the kernel",
			uint64(k.HeaderDTB), k.Processors[opens].Number)
	case k.HeaderDTB != k.DTB:
		k.Warn(fault.HeaderDTB, "the header's page-table base is System's, %#x; the kernel was found through %#x (%s)", uint64(k.HeaderDTB), uint64(k.DTB), k.DTBFrom)
	}
}
