package dmp

import (
	"context"

	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// compatComment is what elf2dmp writes into the header's comment.
const compatComment = "Hello from elf2dmp!"

// What the header of a full dump holds of runs: Windows' buffer takes 42. A 43rd
// ends exactly where the context begins, behind the padding word that QEMU counts
// in, so that upstream's 43 do no harm and 44 do.
const maxCompatRuns = 43

// upstreamOf gives elf2dmp's layout of a core, or says what it would lose.
func upstreamOf(k *windows.Kernel) (*compatLayout, error) {
	if k.KDBG.PrcbContext() == 0 {
		return nil, fault.New(fault.CompatLossy, "elf2dmp looks for the context records by an offset that this kernel's debugger block of %#x bytes does not have, and could overwrite anything", k.KDBG.Size)
	}
	return upstreamLayout(k.Machine)
}

// upstream lays the image out as elf2dmp 10.2.2 writes it.
func (im *Image) upstream(_ context.Context, k *windows.Kernel, o Options) error {
	l, err := upstreamOf(k)
	if err != nil {
		return err
	}
	all, partial := mem.Runs(k.Machine.Mem.Extents())
	im.Warnings = append(im.Warnings, partialWarnings(partial, "elf2dmp drops it")...)
	if lost := countPages(all) - countPages(l.blocks); lost > uint64(len(partial)) {
		im.Warnings = append(im.Warnings, fault.Warn(fault.PartialPage,
			"%d pages lie in two loads each; elf2dmp drops them", lost-uint64(len(partial))))
	}
	im.Runs = l.runs
	w := newPatcher(im, k, &held{k.Machine.Mem, l.extents})
	w.torn = true
	if err := w.kdbg(k, 0); err != nil {
		return err
	}
	for i := range k.Processors {
		w.upstream(k, i)
	}
	b := newBuilder(im, l.extents, w.overlay, nil)
	h := headerOf(k, "", dump.TypeFull, l.runs, int64(form.Bytes)+int64(countPages(l.blocks))*mem.PageSize)
	headerUpstream(h, k)
	b.bytes(h)
	return im.fill(b, l.blocks, o)
}

// upstream stores the registers of the CPU of the processor at an index where
// Windows would, and nothing else.
func (w *patcher) upstream(k *windows.Kernel, index int) {
	p := &k.Processors[index]
	s := shown(k, index, true)
	if s.From == windows.RegistersLive {
		w.live(k, p, &s)
	} else {
		w.missing(k, p)
	}
	w.im.Shown = append(w.im.Shown, s)
}

// headerUpstream fills what upstream elf2dmp 10.2.2 fills its own way: always
// the code of a live dump, one processor a note, and the version block's
// secondary version in a field that means something else.
func headerUpstream(h []byte, k *windows.Kernel) {
	form.DirectoryTableBase.Put(h, uint64(k.DTB))
	form.NumberProcessors.Put(h, uint64(notes(k)))
	form.BugCheckCode.Put(h, bugCheckLiveDump)
	copy(form.Comment.In(h), compatComment)
	form.SecondaryDataState.Put(h, uint64(k.Version.KdSecondaryVersion))
}

// notes counts the CPUs that have a QEMU note: the only ones upstream sees.
func notes(k *windows.Kernel) int {
	n := 0
	for _, c := range k.Machine.CPUs {
		if c.State != nil && c.State.System() {
			n++
		}
	}
	return n
}

// compatLayout is how upstream elf2dmp 10.2.2 sees a core's memory.
type compatLayout struct {
	blocks  []mem.Run    // in file order, as their data is written
	runs    []mem.Run    // as the header lists them
	extents []mem.Extent // the blocks' memory, sorted
}

// trim cuts the loads to whole pages as upstream does: the start rounded up, the
// end down, what is left empty dropped.
func trim(blocks []mem.Extent) []mem.Extent {
	var list []mem.Extent
	for _, e := range blocks {
		skip := uint64(-e.Start) % mem.PageSize
		if e.Bytes < skip+mem.PageSize {
			continue
		}
		e.Start += mem.PA(skip)
		e.Bytes = (e.Bytes - skip) &^ (mem.PageSize - 1)
		if e.Origin == mem.Verbatim {
			e.Offset += int64(skip)
		}
		list = append(list, e)
	}
	return list
}

// upstreamLayout gives upstream's blocks and runs, or refuses where upstream
// would lose or corrupt data.
func upstreamLayout(m *machine.Machine) (*compatLayout, error) {
	if m.ELF == nil {
		return nil, fault.New(fault.CompatLossy, "elf2dmp reads ELF cores only, this one is %s", m.Format)
	}
	trimmed := trim(m.ELF.Loads)
	if m.ELF.Headers > 0xffff {
		// One of the headers that upstream sees is the notes'.
		lost := uint64(0)
		for _, e := range trimmed[min(len(trimmed), 0xffff-1):] {
			lost += e.Bytes / mem.PageSize
		}
		return nil, fault.New(fault.CompatLossy, "elf2dmp reads 65,535 of this core's %d program headers and would drop %d pages", m.ELF.Headers, lost)
	}
	l := &compatLayout{extents: mem.Normalize(trimmed)}
	var listed, held uint64
	for _, e := range trimmed {
		listed += e.Bytes
		l.blocks = append(l.blocks, mem.Run{Start: e.Start, Pages: e.Bytes / mem.PageSize})
	}
	for _, e := range l.extents {
		held += e.Bytes
	}
	if listed != held {
		return nil, fault.New(fault.CompatLossy, "this core lists memory more than once; elf2dmp would write %d pages twice or more", (listed-held)/mem.PageSize)
	}
	l.runs = l.blocks
	if len(l.blocks) > form.MaxRuns {
		l.runs = mergeInOrder(l.blocks)
	}
	if len(l.runs) > maxCompatRuns {
		return nil, fault.New(fault.CompatLossy, "elf2dmp would write %d runs into a header that holds %d and damage it", len(l.runs), form.MaxRuns)
	}
	return l, nil
}

// mergeInOrder joins blocks that follow one another in the list and in memory,
// without sorting.
func mergeInOrder(blocks []mem.Run) []mem.Run {
	var runs []mem.Run
	for _, b := range blocks {
		if n := len(runs) - 1; n >= 0 && runs[n].End() == b.Start {
			runs[n].Pages += b.Pages
			continue
		}
		runs = append(runs, b)
	}
	return runs
}

// held is physical memory restricted to what upstream keeps of it.
type held struct {
	mem.Physical
	extents []mem.Extent
}

// Extents lists what upstream keeps.
func (h *held) Extents() []mem.Extent { return h.extents }

// ReadAt fills p from pa on; ErrHole where upstream drops the memory.
func (h *held) ReadAt(p []byte, pa mem.PA) error {
	end := pa + mem.PA(len(p))
	for at := pa; at < end; {
		i, ok := mem.Find(h.extents, at)
		if !ok {
			return &mem.HoleError{PA: at}
		}
		at = h.extents[i].End()
	}
	return h.Physical.ReadAt(p, pa)
}
