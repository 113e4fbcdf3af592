package windows

import (
	"fmt"
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
