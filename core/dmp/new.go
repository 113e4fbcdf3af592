package dmp

import (
	"context"
	"slices"
	"strings"

	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/progress"
	"coredrop/core/windows"
)

// Options of New.
type Options struct {
	// Compat makes the dump byte for byte what upstream elf2dmp 10.2.2 writes
	// for the same core; refused with compat-lossy where upstream loses data.
	Compat bool
	// Type is one of Types; "" is full. A full dump becomes a bitmap dump by itself,
	// with a warning, when its runs do not fit the header.
	Type string
	// Registers is RegistersLive for the registers that the CPUs had when the
	// core was taken, everywhere; "": those that Windows recorded in a bug check
	// are kept.
	Registers string
	progress.Sink
}

// Types are the types of dumps that New makes.
var Types = []string{TypeFull, TypeBitmap, TypeKernel, TypeTriage}

// bitmapOf is the signature of the bitmap by the type of dump.
var bitmapOf = map[string]string{TypeBitmap: dump.BitmapOfAll, TypeKernel: dump.BitmapOfKernel}

// RegistersLive is a value of Options.Registers.
const RegistersLive = "live"

// New describes the crash dump of a kernel. The error is a *fault.Error or the
// context's.
func New(ctx context.Context, k *windows.Kernel, o Options) (*Image, error) {
	switch {
	case o.Type != "" && !slices.Contains(Types, o.Type):
		return nil, fault.New(fault.BadOption, "the dump type %q is not known: %s", o.Type, strings.Join(Types, ", "))
	case o.Compat && o.Type != "" && o.Type != TypeFull:
		return nil, fault.New(fault.BadOption, "elf2dmp writes full dumps only: leave the type or the compatibility away")
	case o.Registers != "" && o.Registers != RegistersLive:
		return nil, fault.New(fault.BadOption, "the registers %q are not known: live, or none for what Windows recorded", o.Registers)
	case k.KDBG.VA == 0 || k.Space == nil:
		return nil, fault.New(fault.KDBGMissing, "")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	im := &Image{Type: TypeFull, Contexts: map[int]mem.VA{}, memory: k.Machine.Mem}
	layOut := im.windows
	switch {
	case o.Compat:
		layOut = im.upstream
	case o.Type == TypeTriage:
		layOut = im.triage
	}
	if err := layOut(ctx, k, o); err != nil {
		return nil, err
	}
	return im, nil
}

// Check says why New would refuse a kernel's dump, without making one; nil: it
// would not.
func Check(k *windows.Kernel, compat bool) error {
	if compat {
		_, err := upstreamOf(k)
		return err
	}
	if len(k.Machine.Mem.Extents()) == 0 {
		return fault.New(fault.NoMemory, "")
	}
	return newPatcher(&Image{}, k, k.Machine.Mem).kdbg(k, 0)
}

// windows lays the image out as Windows itself would.
func (im *Image) windows(ctx context.Context, k *windows.Kernel, o Options) error {
	extents := k.Machine.Mem.Extents()
	all, partial := mem.Runs(extents)
	if len(all) == 0 {
		return fault.New(fault.NoMemory, "")
	}
	im.Warnings = append(im.Warnings, partialWarnings(partial, "the rest is zero")...)
	f := planOf(all, o.Type == TypeBitmap)
	if o.Type == TypeKernel {
		var err error
		if f, err = kernelPlan(ctx, k, all); err != nil {
			return err
		}
	}
	im.Type, im.Runs, im.LeftOut = f.kind, f.runs, f.dropped
	im.Warnings = append(im.Warnings, f.warnings...)
	w, err := im.patched(ctx, k, o)
	if err != nil {
		return err
	}
	b := newBuilder(im, extents, w.overlay, partial)
	if f.kind == TypeFull {
		b.bytes(headerWindows(headerOf(k, dump.Fill, dump.TypeFull, f.runs, f.size()), k, im.context))
	} else {
		b.bytes(headerWindows(headerOf(k, dump.Fill, dump.TypeBitmap, nil, f.size()), k, im.context))
		form.PutBitmap(bitmapOf[f.kind], f.runs, b.bytes)
	}
	return im.fill(b, f.runs, o)
}

// patched makes the changes of guest memory that a debugger needs, and decides
// whose registers it is shown.
func (im *Image) patched(ctx context.Context, k *windows.Kernel, o Options) (*patcher, error) {
	w := newPatcher(im, k, k.Machine.Mem)
	flag, err := k.FindEncodedFlag(ctx)
	if err == nil {
		err = w.kdbg(k, flag)
	}
	if err != nil {
		return nil, err
	}
	live := o.Registers == RegistersLive
	ahead := w.space.Ahead(len(k.Processors), func(s *paging.Space, i int) { readPatched(s, k, i) })
	for i := range k.Processors {
		ahead.To(i)
		w.processor(k, i, live)
	}
	im.open(k, live)
	return w, nil
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
