package windows

import (
	"context"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// ReadProcessors lists Windows' processors and says where their context records
// belong. Which CPU runs each is not known from this.
func (k *Kernel) ReadProcessors(ctx context.Context) {
	k.listProcessors()
	ahead := k.Space.Ahead(len(k.Processors), func(s *paging.Space, i int) {
		if p := &k.Processors[i]; p.Err == nil {
			if va, err := contextOf(s, p.PRCB, k.KDBG); err == nil {
				readRecord(s, k.KDBG, p.PRCB, va)
			}
		}
	})
	for i := range k.Processors {
		ahead.To(i)
		if p := &k.Processors[i]; p.Err == nil {
			p.setContext(k, i)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// listProcessors reads KiProcessorBlock as far as its entries hold: each leads
// to a KPRCB inside a control region that names both. Windows leaves gaps for
// processors that were never started; what does not hold behind the number that
// the shared page gives lies behind the list's end.
func (k *Kernel) listProcessors() {
	active := int(k.Shared.ActiveProcessors)
	seen := map[mem.VA]int{}
	ahead := k.Space.Ahead(max(active, len(k.Machine.CPUs)), func(s *paging.Space, i int) {
		if entry, err := s.Uint64(k.KDBG.ProcessorBlock() + mem.VA(8*i)); err == nil {
			_ = checkPCR(s, mem.VA(entry), k.KDBG)
		}
	})
	for i := range maxProcessors {
		ahead.To(i)
		entry, err := k.Space.Uint64(k.KDBG.ProcessorBlock() + mem.VA(8*i))
		if err != nil {
			if i == 0 || i < active {
				k.Warn(fault.ContextUnreadable, "processor %d and on: the list of processors could not be read: %v", i, err)
			}
			return
		}
		if entry == 0 {
			continue
		}
		p := Processor{Number: i, PRCB: mem.VA(entry), CPU: -1}
		err = checkPCR(k.Space, p.PRCB, k.KDBG)
		first, twice := seen[p.PRCB]
		if twice {
			err = fmt.Errorf("its entry is processor %d's", first)
		}
		if i >= active && err != nil && !(unknown(err) && i < len(k.Machine.CPUs)) {
			return
		}
		if twice {
			k.Warn(fault.ContextUnreadable, "the list of processors is damaged: entry %d repeats processor %d's", i, first)
			continue
		}
		seen[p.PRCB] = i
		if err != nil {
			p.Doubtful, p.Err = true, fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
		}
		if k.Space.Mode.Kernel(p.PRCB) {
			p.KPCR = p.PRCB - pcrOffset(k.KDBG, kdPcrContainedPrcb, PcrPrcb)
		}
		k.Processors = append(k.Processors, p)
	}
}

// setContext finds where the context record of the processor at an index
// belongs, and reads what Windows saved there.
func (p *Processor) setContext(k *Kernel, index int) {
	va, err := contextOf(k.Space, p.PRCB, k.KDBG)
	if err != nil {
		p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", p.Number, err)
		return
	}
	if why := k.taken(va, index); why != "" {
		p.Err = fault.New(fault.ContextUnreadable, "processor %d: no place to store its registers: the context record at %v would overwrite %s", p.Number, va, why)
		return
	}
	p.Context = va
	p.Record = readRecord(k.Space, k.KDBG, p.PRCB, va)
}

// taken says what a context record at va, of the processor at an index, would
// overwrite that a debugger needs: a damaged pointer must not spoil the dump.
// Empty: nothing.
func (k *Kernel) taken(va mem.VA, index int) string {
	meets := func(at mem.VA, n uint64) bool { return va < at+mem.VA(n) && at < va+contextBytes }
	switch {
	case meets(SharedVA, mem.PageSize):
		return "the shared page"
	case meets(k.KDBG.VA, uint64(k.KDBG.Size)):
		return "the debugger block"
	case meets(k.Image.Base, mem.PageSize):
		return "the kernel image's headers"
	}
	for _, s := range k.Image.Sections {
		if s.VirtualAddress >= k.Image.SizeOfImage || s.Writable() {
			continue
		}
		if meets(k.Image.Base+mem.VA(s.VirtualAddress), uint64(min(s.VirtualSize, k.Image.SizeOfImage-s.VirtualAddress))) {
			return fmt.Sprintf("the kernel image's section %q", s.Name)
		}
	}
	// Before Windows 7 the record lies inside the KPRCB, behind its head.
	for i := range k.Processors {
		other := &k.Processors[i]
		switch {
		case other.KPCR != 0 && meets(other.KPCR, uint64(other.PRCB-other.KPCR)+prcbHead):
			return fmt.Sprintf("the control region of processor %d", other.Number)
		case i < index && other.Context != 0 && meets(other.Context, contextBytes):
			return fmt.Sprintf("the context record of processor %d", other.Number)
		}
	}
	return ""
}

// MaxNamed is how many processors or CPUs are told of one by one.
const MaxNamed = 8

// WarnLost names the processors that have no place for their registers.
func (k *Kernel) WarnLost() {
	var lost []*Processor
	for i := range k.Processors {
		if k.Processors[i].Err != nil {
			lost = append(lost, &k.Processors[i])
		}
	}
	for _, p := range lost[:min(len(lost), MaxNamed)] {
		k.Warnings = append(k.Warnings, WarningOf(p.Err))
	}
	if n := len(lost) - MaxNamed; n > 0 {
		k.Warn(fault.ContextUnreadable, "%d more processors have no place to store their registers, the last is processor %d", n, lost[len(lost)-1].Number)
	}
}

// WarningOf turns an error into a warning.
func WarningOf(err error) fault.Warning {
	e := fault.As(err)
	return fault.Warning{Code: e.Code, Text: e.Text}
}
