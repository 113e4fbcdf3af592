package windows

import (
	"coredrop/core/fault"
	"coredrop/core/mem"
)

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
		case k.KDBG.PrcbContext() == 0:
			// Upstream reads the offset behind the block's end; what it takes for
			// a pointer could be anything.
			p.Err = fault.New(fault.ContextUnreadable, "processor %d: the debugger block of %#x bytes ends before the place of the context records", i, k.KDBG.Size)
		default:
			p.KPCR = p.PRCB - pcrPrcb
			at, err := k.Space.Uint64(p.PRCB + mem.VA(k.KDBG.PrcbContext()))
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
	for _, cpu := range f.m.CPUs {
		k.Modes = append(k.Modes, f.strangerMode(k, cpu.X64))
	}
}
