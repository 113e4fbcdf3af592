package windows

import (
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

// Choice says by what the processor that the dump opens on was chosen.
type Choice string

// The choices.
const (
	ChoiceRecord        Choice = "record"         // its saved record is the call of KeBugCheckEx
	ChoiceStack         Choice = "stack"          // its stack holds the bug check's parameters
	ChoiceOddOneOut     Choice = "odd-one-out"    // it alone does not stand where the others wait
	ChoiceInterruptsOff Choice = "interrupts-off" // alive: the first in the kernel with interrupts off
	ChoiceFirst         Choice = "first"          // the first that Windows runs
	ChoiceGuestRecord   Choice = "guest-record"   // no CPU of the core runs Windows: what the guest recorded
	ChoiceNone          Choice = "none"           // no registers are known
)

// Opening is what a debugger is shown first: the processor whose registers are
// in the dump's header.
type Opening struct {
	Index  int // in Kernel.Processors; -1: the header holds no registers
	Choice Choice
	Why    string // "which called KeBugCheckEx"; "" where there is nothing to say
}

// OpensCPU is the machine's CPU that runs the processor the dump opens on; -1:
// none does.
func (k *Kernel) OpensCPU() int {
	if i := k.Opens.Index; i >= 0 && i < len(k.Processors) {
		return k.Processors[i].CPU
	}
	return -1
}

// Opening gives the sentence that says whose registers the dump opens with, ""
// where that was not decided. live is RegistersOf's.
func (k *Kernel) Opening(live bool) string {
	o := k.Opens
	if o.Choice == "" {
		return "" // compat: the header says nothing
	}
	if o.Index < 0 || o.Index >= len(k.Processors) {
		return "opens on no processor: no registers in this dump"
	}
	s := fmt.Sprintf("opens on processor %d", k.Processors[o.Index].Number)
	if o.Why != "" {
		s += ", " + o.Why
	}
	if k.BugCheck != nil && k.RegistersOf(o.Index, live) == RegistersLive {
		s += ", with its live registers"
	}
	return s
}

// symBugCheck is the function whose entry the record of a crash names.
const symBugCheck = "KeBugCheckEx"

// bugCheckEntry is the address of KeBugCheckEx: by the PDB, else by the export;
// 0: not known.
func (f *finder) bugCheckEntry(k *Kernel, c *found) mem.VA {
	if rva, ok := c.symbols.rvas[symBugCheck]; ok {
		return k.Image.Base + mem.VA(rva)
	}
	va, _ := exportedAt(k.Space, k.Image, symBugCheck)
	return va
}

// chooseOpening picks the processor whose registers belong in the header. It is
// one that Windows knows: with a bug check the one that called KeBugCheckEx,
// else the first in the kernel with interrupts off, else the first whose own
// page tables lead to the kernel, else the first.
func (f *finder) chooseOpening(k *Kernel, c *found) Opening {
	if k.BugCheck != nil {
		if i, way := f.crasher(k, f.bugCheckEntry(k, c)); i >= 0 {
			return Opening{i, way, map[Choice]string{
				ChoiceRecord:    "which called KeBugCheckEx",
				ChoiceStack:     "whose stack holds the bug check's parameters",
				ChoiceOddOneOut: "the only one that does not stand where the others wait",
			}[way]}
		}
	}
	order := k.byCPU()
	pick := func(is func(i int) bool) int {
		for _, i := range order {
			if is(i) {
				return i
			}
		}
		return -1
	}
	if k.BugCheck == nil {
		if i := pick(func(i int) bool { return frozen(f.m.CPUs[k.Processors[i].CPU].X64) && f.ownBase(k, i, c.root) != 0 }); i >= 0 {
			return Opening{i, ChoiceInterruptsOff, "the first in the kernel with interrupts off"}
		}
	}
	i := pick(func(i int) bool { return f.ownBase(k, i, c.root) != 0 })
	if i < 0 && len(order) > 0 {
		i = order[0]
	}
	if i >= 0 {
		return Opening{i, ChoiceFirst, k.whyFirst(i, order)}
	}
	return k.openOnRecord()
}

// whyFirst says why a processor of a guest is shown where nothing singles one
// out.
func (k *Kernel) whyFirst(i int, order []int) string {
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
func (k *Kernel) byCPU() []int {
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
func (k *Kernel) openOnRecord() Opening {
	if len(k.Processors) > 0 && k.Processors[0].Number == 0 && k.Processors[0].Record.Valid() {
		return Opening{0, ChoiceGuestRecord, "as Windows recorded it last: no CPU of the core runs it"}
	}
	return Opening{-1, ChoiceNone, ""}
}

// warnNoRegisters says that the dump holds no CPU's registers.
func (k *Kernel) warnNoRegisters() {
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
	k.warn(fault.NoRegisters, "no registers in this dump: %s%s", why, shown)
}
