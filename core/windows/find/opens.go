package find

import (
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// symBugCheck is the function whose entry the record of a crash names.
const symBugCheck = "KeBugCheckEx"

// bugCheckEntry is the address of KeBugCheckEx: by the PDB, else by the export;
// 0: not known.
func (f *finder) bugCheckEntry(k *windows.Kernel, c *found) mem.VA {
	if rva, ok := c.symbols.rvas[symBugCheck]; ok {
		return k.Image.Base + mem.VA(rva)
	}
	va, _ := windows.ExportedAt(k.Space, k.Image, symBugCheck)
	return va
}

// chooseOpening picks the processor whose registers belong in the header. It is
// one that Windows knows: with a bug check the one that called KeBugCheckEx,
// else the first in the kernel with interrupts off, else the first whose own
// page tables lead to the kernel, else the first.
func (f *finder) chooseOpening(k *windows.Kernel, c *found) windows.Opening {
	if k.BugCheck != nil {
		if i, way := f.crasher(k, f.bugCheckEntry(k, c)); i >= 0 {
			return windows.Opening{Index: i, Choice: way, Why: map[windows.Choice]string{
				windows.ChoiceRecord:    "which called KeBugCheckEx",
				windows.ChoiceStack:     "whose stack holds the bug check's parameters",
				windows.ChoiceOddOneOut: "the only one that does not stand where the others wait",
			}[way]}
		}
	}
	order := byCPU(k)
	pick := func(is func(i int) bool) int {
		for _, i := range order {
			if is(i) {
				return i
			}
		}
		return -1
	}
	if k.BugCheck == nil {
		if i := pick(func(i int) bool {
			return windows.Frozen(f.m.CPUs[k.Processors[i].CPU].State) && f.ownBase(k, i, c.root) != 0
		}); i >= 0 {
			return windows.Opening{Index: i, Choice: windows.ChoiceInterruptsOff, Why: "the first in the kernel with interrupts off"}
		}
	}
	i := pick(func(i int) bool { return f.ownBase(k, i, c.root) != 0 })
	if i < 0 && len(order) > 0 {
		i = order[0]
	}
	if i >= 0 {
		return windows.Opening{Index: i, Choice: windows.ChoiceFirst, Why: whyFirst(k, i, order)}
	}
	return openOnRecord(k)
}

// whyFirst says why a processor of a guest is shown where nothing singles one
// out.
func whyFirst(k *windows.Kernel, i int, order []int) string {
	switch {
	case k.BugCheck != nil:
		return "the first that Windows runs: nothing tells which one called KeBugCheckEx"
	case len(k.Processors) == 1:
		return "the only one"
	case i != order[0]:
		return "the first whose own page tables lead to the kernel"
	}
	return "the first that Windows runs"
}

// byCPU lists the processors that a CPU runs, in the order of the CPUs.
func byCPU(k *windows.Kernel) []int {
	of := make([]int, len(k.Machine.CPUs))
	for i := range k.Processors {
		if c := k.Processors[i].CPU; c >= 0 {
			of[c] = i + 1
		}
	}
	var out []int
	for _, i := range of {
		if i > 0 {
			out = append(out, i-1)
		}
	}
	return out
}

// openOnRecord opens on processor 0's own record where no CPU of the core runs
// Windows.
func openOnRecord(k *windows.Kernel) windows.Opening {
	if len(k.Processors) > 0 && k.Processors[0].Number == 0 && k.Processors[0].Record.Valid() {
		return windows.Opening{Index: 0, Choice: windows.ChoiceGuestRecord, Why: "as Windows recorded it last: no CPU of the core runs it"}
	}
	return windows.Opening{Index: -1, Choice: windows.ChoiceNone}
}

// warnNoRegisters says that the dump holds no CPU's registers.
func warnNoRegisters(k *windows.Kernel) {
	for i := range k.Processors {
		if k.Processors[i].CPU >= 0 {
			return
		}
	}
	why := "no CPU of the core runs Windows"
	if len(k.Machine.CPUs) == 0 {
		why = "the core holds no CPU notes"
	}
	shown := ""
	if i := k.Opens.Index; i >= 0 {
		shown = fmt.Sprintf("; it %s, with what Windows itself recorded", k.Opening(false))
	}
	k.Warn(fault.NoRegisters, "no registers in this dump: %s%s", why, shown)
}
