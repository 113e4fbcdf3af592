package dmp

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/windows"
)

// Options of New.
type Options struct {
	// Compat makes the dump byte for byte what upstream elf2dmp 10.2.2 writes
	// for the same core; refused with compat-lossy where upstream loses data.
	Compat bool
	// Type is TypeFull or TypeBitmap; "" is full. A full dump becomes a bitmap
	// dump by itself, with a warning, when its runs do not fit the header.
	Type string
	progress.Sink
}

// New describes the crash dump of a kernel. The error is a *fault.Error or the
// context's.
func New(ctx context.Context, k *windows.Kernel, o Options) (*Image, error) {
	switch {
	case o.Type != "" && o.Type != TypeFull && o.Type != TypeBitmap:
		return nil, fault.New(fault.BadOption, "the dump type %q is not known: full or bitmap", o.Type)
	case o.Compat && o.Type == TypeBitmap:
		return nil, fault.New(fault.BadOption, "elf2dmp writes full dumps only: leave the type or the compatibility away")
	case k.KDBG.VA == 0 || k.Space == nil:
		return nil, fault.New(fault.KDBGMissing, "")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	im := &Image{Type: TypeFull, Contexts: map[int]mem.VA{}, memory: k.Machine.Mem}
	layOut := im.windows
	if o.Compat {
		layOut = im.upstream
	}
	if err := layOut(k, o); err != nil {
		return nil, err
	}
	return im, nil
}

// upstream lays the image out as elf2dmp 10.2.2 writes it.
func (im *Image) upstream(k *windows.Kernel, o Options) error {
	l, err := upstreamLayout(k.Machine)
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
	w := newPatcher(im, k, &held{k.Machine.Mem, l.extents}, true)
	if err := im.patch(w, k); err != nil {
		return err
	}
	pages := countPages(l.blocks)
	b := newBuilder(im, l.extents, w.overlay, nil)
	b.bytes(header(k, true, dumpTypeFull, l.runs, pages, headerBytes+int64(pages)*mem.PageSize))
	return im.fill(b, l.blocks, o)
}

// windows lays the image out as Windows itself would.
func (im *Image) windows(k *windows.Kernel, o Options) error {
	extents := k.Machine.Mem.Extents()
	runs, partial := mem.Runs(extents)
	if len(runs) == 0 {
		return fault.New(fault.NoMemory, "")
	}
	im.Runs = runs
	im.Warnings = append(im.Warnings, partialWarnings(partial, "the rest is zero")...)
	w := newPatcher(im, k, k.Machine.Mem, false)
	if err := im.patch(w, k); err != nil {
		return err
	}
	b := newBuilder(im, extents, w.overlay, partial)
	if o.Type != TypeBitmap && len(runs) <= maxRuns {
		pages := countPages(runs)
		b.bytes(header(k, false, dumpTypeFull, runs, pages, headerBytes+int64(pages)*mem.PageSize))
		return im.fill(b, runs, o)
	}
	if o.Type != TypeBitmap {
		im.Warnings = append(im.Warnings, fault.Warn(fault.BitmapDump, "this core's memory is in %d runs, a full dump's header holds %d: the dump is a bitmap dump", len(runs), maxRuns))
	}
	im.Type = TypeBitmap
	s, err := shapeOf(runs)
	if err != nil {
		return err
	}
	b.bytes(header(k, false, dumpTypeBitmap, nil, 0, s.firstPage+int64(s.set)*mem.PageSize))
	b.bitmap(runs, s)
	return im.fill(b, runs, o)
}

func (im *Image) patch(w *patcher, k *windows.Kernel) error {
	if err := w.kdbg(k); err != nil {
		return err
	}
	for _, p := range k.Processors {
		w.processor(k, p)
	}
	return nil
}

// fill appends the page data of runs.
func (im *Image) fill(b *builder, runs []mem.Run, o Options) error {
	for i, r := range runs {
		o.Logf("run %d: %v, %d pages, at %#x of the dump", i, r.Start, r.Pages, im.size)
		if err := b.memory(r.Start, r.End()); err != nil {
			return err
		}
	}
	return nil
}
