package dmp

import (
	"errors"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// patcher changes guest memory by virtual address: in an overlay, never in the
// core.
type patcher struct {
	im      *Image
	overlay *mem.Overlay
	space   *paging.Space
	torn    bool // what lies before a missing page is written all the same
}

func newPatcher(im *Image, k *windows.Kernel, below mem.Physical) *patcher {
	overlay := mem.NewOverlay(below)
	space := *k.Space
	space.Phys = overlay
	return &patcher{im: im, overlay: overlay, space: &space}
}

// stretch is a piece of a write that lies within one page.
type stretch struct {
	pa   mem.PA
	from int // of the bytes to write
	n    int
}

// write replaces p at va. It is all or nothing, unless the patcher tears.
func (w *patcher) write(what string, va mem.VA, p []byte) error {
	var list []stretch
	var failed error
	for from := 0; from < len(p); {
		at := va + mem.VA(from)
		n := min(len(p)-from, int(at.Page()+mem.PageSize-at))
		pa, _, err := w.space.Translate(at)
		if err == nil {
			err = w.holds(pa)
		}
		if err != nil {
			failed = err
			break
		}
		list = append(list, stretch{pa, from, n})
		from += n
	}
	if failed != nil && !w.torn {
		return failed
	}
	for _, s := range list {
		if err := w.overlay.Write(s.pa, p[s.from:s.from+s.n]); err != nil {
			return err
		}
		w.note(what, s.pa, int64(s.n))
	}
	return failed
}

// holds reports whether the core holds at least a part of pa's page.
func (w *patcher) holds(pa mem.PA) error {
	extents := w.overlay.Extents()
	if i, _ := mem.Find(extents, pa.Page()); i < len(extents) && extents[i].Start < pa.Page()+mem.PageSize {
		return nil
	}
	return &mem.HoleError{PA: pa}
}

// note lists a change; one that crosses into the adjoining frame stays one.
func (w *patcher) note(what string, pa mem.PA, n int64) {
	if i := len(w.im.Patches) - 1; i >= 0 {
		if last := &w.im.Patches[i]; last.What == what && last.PA+mem.PA(last.Bytes) == pa {
			last.Bytes += n
			return
		}
	}
	w.im.Patches = append(w.im.Patches, Patch{what, pa, n})
}

// kdbg writes the debugger block back in clear, and clears the flag by which the
// kernel says that it is encoded; 0: elf2dmp leaves it, or it is not known.
func (w *patcher) kdbg(k *windows.Kernel, encoded mem.VA) error {
	if k.KDBG.Encoded {
		if err := w.write("KDBG decoded", k.KDBG.VA, k.KDBG.Plain); err != nil {
			return fault.Wrap(err, fault.KDBGUndecodable, "the kernel's debugger block at %v could not be written back decoded: %v", k.KDBG.VA, err)
		}
	}
	if encoded == 0 {
		return nil
	}
	var flag [1]byte
	if err := w.space.ReadAt(flag[:], encoded); err != nil || flag[0] == 0 {
		return nil // not in the core, or clear already
	}
	return w.write("KdpDataBlockEncoded cleared", encoded, []byte{0})
}

// processor gives a debugger the registers of the processor at an index: those
// of its CPU, written to its context record and special registers; or what
// Windows recorded, left as it is; or where nobody knows, a record that says no
// more than where its thread was last. What cannot be written is a warning.
func (w *patcher) processor(k *windows.Kernel, index int, live bool) {
	p := &k.Processors[index]
	s := shown(k, index, live)
	switch s.From {
	case windows.RegistersRecord:
		s.record = p.Record.Raw
	case windows.RegistersLive:
		w.live(k, p, &s)
		w.special(k, p)
	default:
		w.missing(k, p)
		w.minimal(k, p, &s)
	}
	w.im.Shown = append(w.im.Shown, s)
}

// shown says whose registers belong to the processor at an index.
func shown(k *windows.Kernel, index int, live bool) Shown {
	p := &k.Processors[index]
	return Shown{Processor: p.Number, CPU: p.CPU, From: k.RegistersOf(index, live), Context: p.Context, Why: k.WhyRegisters(index, live)}
}

// readPatched reads what processor would change of the processor at an index.
func readPatched(s *paging.Space, k *windows.Kernel, index int) {
	p := &k.Processors[index]
	s.ReadBest(make([]byte, windows.Context.Bytes), p.Context)
	if special := k.KDBG.SpecialRegisters(); special != 0 {
		s.ReadBest(make([]byte, windows.Special.Bytes), p.PRCB+mem.VA(special))
	}
}

// missing warns about a CPU that is there without registers.
func (w *patcher) missing(k *windows.Kernel, p *windows.Processor) {
	if p.CPU >= 0 && p.CPU < len(k.Machine.CPUs) {
		w.warn("CPU %d: its registers are not in the core", p.CPU)
	}
}

// live writes the registers of a processor's CPU to its context record.
func (w *patcher) live(k *windows.Kernel, p *windows.Processor, s *Shown) {
	record := contextRecord(k.Machine.CPUs[p.CPU].State)
	switch err := w.context(fmt.Sprintf("context of CPU %d", p.CPU), p, record); {
	case err == nil:
		w.im.Contexts[p.CPU], s.record = p.Context, record
	case p.Err == nil: // else it was told already
		w.warn("CPU %d: no place to store its registers: %s", p.CPU, reason(err))
	}
}

// special writes the control registers of a processor's CPU to where Windows
// keeps a processor's.
func (w *patcher) special(k *windows.Kernel, p *windows.Processor) {
	x, special := k.Machine.CPUs[p.CPU].State, k.KDBG.SpecialRegisters()
	if special == 0 || p.PRCB == 0 || p.Doubtful || !x.System() {
		return
	}
	at := p.PRCB + mem.VA(special)
	r := make([]byte, windows.Special.Bytes)
	err := w.space.ReadAt(r, at)
	if err == nil {
		// So that a debugger's r cr3, !idt and !pcr tell the truth; what is not known
		// of the CPU stays as the guest saved it last.
		windows.Special.Store(x, r)
		err = w.write(fmt.Sprintf("special registers of CPU %d", p.CPU), at, r)
	}
	if err != nil {
		w.warn("CPU %d: its control registers could not be stored: %s", p.CPU, reason(err))
	}
}

// minimal writes a record for a processor that no CPU runs and for which Windows
// recorded nothing: debuggers do not take segment selectors of zero.
func (w *patcher) minimal(k *windows.Kernel, p *windows.Processor, s *Shown) {
	if p.Err != nil || p.Context == 0 {
		return
	}
	rip, rsp := k.LastSwitch(p)
	record := minimalRecord(rip, rsp)
	if err := w.context(fmt.Sprintf("minimal context of processor %d", p.Number), p, record); err != nil {
		w.warn("processor %d: no place for a record: %s", p.Number, reason(err))
		return
	}
	s.record = record
}

func (w *patcher) context(what string, p *windows.Processor, record []byte) error {
	if p.Err != nil {
		return p.Err
	}
	if p.Context == 0 {
		return errors.New("the kernel names none")
	}
	return w.write(what, p.Context, record)
}

func (w *patcher) warn(format string, args ...any) {
	w.im.Warnings = append(w.im.Warnings, fault.Warn(fault.ContextUnreadable, format, args...))
}

// reason is an error's sentence without its code, to be put into another.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Text
	}
	return err.Error()
}
