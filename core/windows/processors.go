package windows

import (
	"fmt"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
)

// readProcessors lists Windows' processors, says where their context records
// belong, and which of the machine's CPUs runs each.
func (f *finder) readProcessors(k *Kernel) {
	if f.o.Compat {
		f.compatProcessors(k)
		return
	}
	limit := max(len(f.m.CPUs), int(k.Shared.ActiveProcessors))
	for i := range min(limit, maxProcessors) {
		prcb, err := k.Space.Uint64(k.KDBG.ProcessorBlock() + mem.VA(8*i))
		if err != nil {
			if i == 0 || i < int(k.Shared.ActiveProcessors) {
				k.warn(fault.ContextUnreadable, "processor %d and on: the list of processors could not be read: %v", i, err)
			}
			break
		}
		if prcb == 0 {
			continue // never started: Windows keeps a gap
		}
		p := Processor{Number: i, PRCB: mem.VA(prcb), CPU: -1}
		if err := checkPCR(k.Space, p.PRCB, k.KDBG); err != nil {
			if i >= int(k.Shared.ActiveProcessors) && !unknown(err) {
				break // behind the list's end
			}
			p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
		}
		if kernelHalf(k.Space, p.PRCB) {
			p.KPCR = p.PRCB - pcrOffset(k.KDBG, kdPcrContainedPrcb, pcrPrcb)
		}
		if p.Err == nil {
			p.setContext(k)
		}
		k.Processors = append(k.Processors, p)
	}
	f.matchProcessors(k)
	var lost []Processor
	for _, p := range k.Processors {
		if p.Err != nil {
			lost = append(lost, p)
		}
	}
	for _, p := range lost[:min(len(lost), maxLost)] {
		k.Warnings = append(k.Warnings, warningOf(p.Err))
	}
	if n := len(lost) - maxLost; n > 0 {
		k.warn(fault.ContextUnreadable, "%d more processors have no place to store their registers, the last is processor %d", n, lost[len(lost)-1].Number)
	}
}

// maxLost is how many processors without a context are told of one by one.
const maxLost = 8

// setContext finds where the processor's context record belongs.
func (p *Processor) setContext(k *Kernel) {
	va, err := contextOf(k.Space, p.PRCB, k.KDBG)
	if err != nil {
		p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", p.Number, err)
		return
	}
	if why := k.taken(va, p); why != "" {
		p.Err = fault.New(fault.ContextUnreadable, "processor %d: no place to store its registers: the context record at %v would overwrite %s", p.Number, va, why)
		return
	}
	p.Context = va
}

// taken says what a context record at va would overwrite that a debugger needs:
// a damaged pointer must not spoil the dump. Empty: nothing.
func (k *Kernel) taken(va mem.VA, p *Processor) string {
	meets := func(at mem.VA, n uint64) bool { return va < at+mem.VA(n) && at < va+contextBytes }
	switch {
	case meets(sharedData, mem.PageSize):
		return "the shared page"
	case meets(k.KDBG.VA, uint64(k.KDBG.Size)):
		return "the debugger block"
	case meets(k.Image.Base, mem.PageSize):
		return "the kernel image's headers"
	}
	for _, s := range k.Image.Sections {
		if s.VirtualAddress >= k.Image.SizeOfImage || s.Characteristics&sectionWrite != 0 {
			continue
		}
		if meets(k.Image.Base+mem.VA(s.VirtualAddress), uint64(min(s.VirtualSize, k.Image.SizeOfImage-s.VirtualAddress))) {
			return fmt.Sprintf("the kernel image's section %q", s.Name)
		}
	}
	// Before Windows 7 the record lies inside the KPRCB, behind its head.
	for _, other := range append(k.Processors, *p) {
		switch {
		case other.KPCR != 0 && meets(other.KPCR, uint64(other.PRCB-other.KPCR)+prcbHead):
			return fmt.Sprintf("the control region of processor %d", other.Number)
		case other.Context != 0 && meets(other.Context, contextBytes):
			return fmt.Sprintf("the context record of processor %d", other.Number)
		}
	}
	return ""
}

// warningOf turns an error into a warning.
func warningOf(err error) fault.Warning {
	e := fault.As(err)
	return fault.Warning{Code: e.Code, Text: e.Text}
}

// compatProcessors is upstream's way: CPU i is processor i, an entry that is 0
// is skipped.
func (f *finder) compatProcessors(k *Kernel) {
	for i := range f.m.CPUs {
		prcb, err := k.Space.Uint64(k.KDBG.ProcessorBlock() + mem.VA(8*i))
		p := Processor{Number: i, PRCB: mem.VA(prcb), CPU: i}
		switch {
		case err != nil:
			p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
		case prcb == 0:
			p.Err = fault.New(fault.ContextUnreadable, "processor %d: its context is missing", i)
		default:
			p.KPCR = p.PRCB - pcrPrcb
			// Upstream reads the offset whatever the block's size is.
			at, err := k.Space.Uint64(p.PRCB + mem.VA(k.KDBG.Uint16(kdPrcbContext)))
			if err != nil {
				p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
			}
			p.Context = mem.VA(at)
		}
		if p.Err != nil {
			k.Warnings = append(k.Warnings, warningOf(p.Err))
		}
		k.Processors = append(k.Processors, p)
	}
}

// matchProcessors finds the CPU of each processor: by the control region's
// address, by the descriptor tables that the region names, and at last by
// position among those that neither way can tell, with a warning.
func (f *finder) matchProcessors(k *Kernel) {
	taken := make([]bool, len(f.m.CPUs))
	match := func(is func(x *machine.X64State, p *Processor) bool) {
		for i := range k.Processors {
			p := &k.Processors[i]
			for c, cpu := range f.m.CPUs {
				if p.CPU < 0 && p.KPCR != 0 && !taken[c] && cpu.X64 != nil && is(cpu.X64, p) {
					p.CPU, taken[c] = c, true
				}
			}
		}
	}
	match(func(x *machine.X64State, p *Processor) bool { return x.KPCR() == p.KPCR })
	match(func(x *machine.X64State, p *Processor) bool {
		if !x.System || x.KPCR() != 0 {
			return false
		}
		gdt, err1 := k.Space.Uint64(p.KPCR + pcrGdtBase)
		idt, err2 := k.Space.Uint64(p.KPCR + pcrIdtBase)
		return err1 == nil && err2 == nil && gdt == x.GDT.Base && idt == x.IDT.Base && gdt != 0
	})
	var positional, parked []string
	for i := range k.Processors {
		p := &k.Processors[i]
		if p.CPU >= 0 {
			continue
		}
		// A CPU whose control region is known and is not this one runs another.
		if n := p.Number; n < len(taken) && !taken[n] && f.m.CPUs[n].X64 != nil && f.m.CPUs[n].X64.KPCR() == 0 && started(f.m.CPUs[n].X64) {
			p.CPU, taken[n] = n, true
			positional = append(positional, fmt.Sprintf("CPU %d", n))
			continue
		}
		parked = append(parked, fmt.Sprintf("processor %d", p.Number))
	}
	for c, cpu := range f.m.CPUs {
		if !taken[c] && cpu.X64 != nil {
			parked = append(parked, fmt.Sprintf("CPU %d", c))
		}
	}
	if len(positional) > 0 {
		k.warn(fault.ProcessorsPositional, "processors were matched to CPUs by position, as nothing in their registers tells: %s", strings.Join(positional, ", "))
	}
	if len(parked) > 0 {
		k.warn(fault.ProcessorParked, "parked, or not Windows': %s has no counterpart, and its registers are not in the dump", strings.Join(parked, ", "))
	}
}

// started reports whether a CPU can be running Windows at all: one that waits
// for its start has paging off. Where the control registers are not known,
// nothing speaks against it.
func started(x *machine.X64State) bool { return !x.System || x.CR0&machine.CR0Paging != 0 }

// Bug check search. KeBugCheckEx stores its register arguments in its caller's
// frame; what stops the machine runs a few frames below.
const bugCheckStack = 32 << 10

// interruptFlag is IF in RFLAGS.
const interruptFlag = 1 << 9

// currentCPU picks the CPU whose registers belong in the header:
// where there is a bug check, the one that stands in the kernel
// image with the stop code and its parameters on its stack; else the first in
// kernel mode with interrupts off; else CPU 0.
func (f *finder) currentCPU(k *Kernel) int {
	if b := k.BugCheck; b != nil {
		stack := make([]byte, bugCheckStack)
		for i, c := range f.m.CPUs {
			x := c.X64
			if x == nil || !x.Kernel() || !inImage(mem.VA(x.RIP), k.Image.Base, k.Image.SizeOfImage, 1) {
				continue
			}
			readBest(k.Space, stack, mem.VA(x.RSP)&^7)
			for off := 0; off+32 <= len(stack); off += 8 {
				if u64(stack, off) == uint64(b.Code) && u64(stack, off+8) == b.Parameters[0] &&
					u64(stack, off+16) == b.Parameters[1] && u64(stack, off+24) == b.Parameters[2] {
					return i
				}
			}
		}
	}
	for i, c := range f.m.CPUs {
		if x := c.X64; x != nil && x.Kernel() && x.RIP>>63 == 1 && x.RFLAGS&interruptFlag == 0 {
			return i
		}
	}
	return 0
}
