package savevm

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/words"
)

const (
	// maxWorkers bounds what is read ahead at once.
	maxWorkers = 4
	// bitmapCache is the cache of bitmaps.
	bitmapCache = 2 << 20
)

// open makes the machine of what the pass found.
func (st *state) open(ctx context.Context) error {
	m := st.machine
	m.Board, m.Capabilities = st.board, st.capabilities
	c := newCursor(ctx, st.source, st.wrapping.Stream, st.options.Sink)
	defer c.close()
	err := st.readDevices(c)
	if err == nil {
		err = st.readCPUs()
	}
	if err != nil {
		return err
	}
	st.options.Logf("saved state of %q, capabilities %q: %s; %d devices, described %v", st.board, st.capabilities, st.ram.said(), len(st.found), st.description != nil)
	if err := st.checkWhole(); err != nil {
		return err
	}
	places, err := st.place(ctx)
	if err != nil {
		return err
	}
	memory, missing, err := st.memory(ctx, places)
	if err != nil {
		return err
	}
	m.MissingEnd = int64(missing) * st.ram.pageSize
	if err := st.warnMissing(missing, places); err != nil {
		return err
	}
	if len(memory.Extents()) == 0 {
		return fault.New(fault.NoMemory, "the saved state holds no memory")
	}
	m.Mem = memory
	if m.Arch != cpu.X64 {
		return fault.New(fault.UnsupportedCPU, "this is a saved state of a guest whose processor is not supported: %s", m.Arch)
	}
	st.judgeMode()
	return nil
}

// checkWhole refuses what was never finished.
func (st *state) checkWhole() error {
	w := &st.wrapping
	if len(st.ram.blocks) == 0 || st.ram.unsound && (st.trouble != errCut || !st.ram.inPlace) {
		return w.unfinished("%s", st.ending("the file ends before the machine's memory"))
	}
	if w.Part {
		st.warn(fault.Truncated, "libvirt has not finished this saved state: it is being written, or that was broken off")
	}
	return nil
}

// ending says what ended the live part: the damage, else what is given.
func (st *state) ending(otherwise string) string {
	var d *damage
	if errors.As(st.trouble, &d) {
		return d.Error()
	}
	return otherwise
}

// memory makes the guest's memory of the places; missing counts the pages that are
// not there.
func (st *state) memory(ctx context.Context, places []place) (mem.Physical, uint64, error) {
	if st.ram.inPlace {
		return st.mapped(ctx, places)
	}
	p := &pages{source: st.source, places: places, index: &st.ram.index, ahead: int64(st.source.Block)}
	if p.ahead <= 0 {
		p.ahead = source.DefaultBlock
	}
	list, missing := p.extents()
	list = slices.Clip(list)
	return mem.NewPages(list, st.ram.pageSize, min(runtime.GOMAXPROCS(0), maxWorkers), st.options.CacheBytes,
		func() mem.BlockReader { return &reader{pages: p} }), missing, nil
}

// mapped is memory of pages in place.
func (st *state) mapped(ctx context.Context, places []place) (mem.Physical, uint64, error) {
	m := &mapped{source: st.source, blocks: st.ram.blocks, places: places, page: st.ram.pageSize}
	list, few, missing, present, err := m.extents(ctx)
	if err != nil {
		return nil, 0, err
	}
	if present == 0 && st.trouble != nil {
		// Which pages are there is written last.
		return nil, 0, st.wrapping.unfinished("nothing says yet which pages are there: it is still being written, or that was broken off")
	}
	if few {
		file, err := mem.NewFile(st.source, list, st.options.CacheBytes)
		if err != nil {
			return nil, 0, fault.Wrap(err, fault.DamagedHeader, "the saved state is damaged: %v", err)
		}
		return file, missing, nil
	}
	bitmaps, err := mem.NewFile(st.source, []mem.Extent{{Bytes: uint64(st.source.Size)}}, bitmapCache)
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.Internal, "")
	}
	return mem.NewPages(list, m.page, 1, st.options.CacheBytes, func() mem.BlockReader { return &inPlace{m, bitmaps} }), missing, nil
}

// warnMissing says what is not in the file.
func (st *state) warnMissing(missing uint64, places []place) error {
	var all uint64
	for _, p := range places {
		all += p.pages
	}
	lost := words.Bytes(int64(missing) * st.ram.pageSize)
	of := words.Bytes(int64(all) * st.ram.pageSize)
	switch {
	case missing == all:
		return st.wrapping.unfinished("%s", st.ending("no page of the machine's memory is in the file"))
	case st.trouble == errCut && st.ram.ended:
		st.warn(fault.Truncated, "the file ends in front of the machine's devices, it was cut or is still being written: the memory is whole")
	case st.trouble == errCut:
		st.warn(fault.Truncated, "the file ends inside the machine's memory, it was cut or is still being written: %s of %s are missing, and what is there may be older than the rest if the guest was running", lost, of)
	case st.trouble != nil:
		st.warn(fault.DamagedCopy, "the saved state is damaged: %v; memory that stands behind that was not read, %s of %s are missing", st.trouble, lost, of)
	case missing > 0:
		st.warn(fault.Truncated, "%s of %s of memory are not in the file", lost, of)
	}
	if n := st.ram.orphans; n > 0 {
		st.warn(fault.DamagedCopy, "%s changes of pages that were never sent: they were left out", count(n, "page has", "pages have"))
	}
	return nil
}

// longMode is EFER's bit of a processor in long mode (Intel SDM volume 3, 2.2.1).
const longMode = 1 << 10

// judgeMode doubts that the guest is a 64-bit one where no processor was in long
// mode.
func (st *state) judgeMode() {
	for _, s := range st.states {
		if s.Get(cpu.EFER)&longMode != 0 {
			return
		}
	}
	if len(st.states) > 0 {
		st.machine.Doubt = fault.New(fault.UnsupportedCPU, "no processor of this saved state was in 64-bit mode, and no 64-bit kernel is in memory: the guest is 32-bit x86, or was in its firmware or boot loader").
			Instead(step("a 64-bit guest: save its state once more when it is up"))
	}
}
