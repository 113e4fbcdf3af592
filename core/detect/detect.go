// Package detect says which guest a machine holds. Signs that cost little come
// first: the guest's notes, then a Linux image, then what leads to a Windows
// kernel from the CPUs' registers. Reading all of memory is last, and one pass
// serves the searches of both.
package detect

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/linux"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// Options of Guest.
type Options struct {
	// Symbols gives PDBs of a Windows kernel; nil: there are none.
	Symbols windows.Symbols
	progress.Sink
}

// Found is the guest of a machine. At most one of its fields is set: a search
// that was successful. Neither: no kernel of either was found, and Windows says
// why.
type Found struct {
	Linux   *linux.Search // Locate gives the kernel
	Windows *find.Search  // Result gives the kernel, or how far it was found and why not
}

// Guest finds out which guest a machine holds. The error is the context's.
func Guest(ctx context.Context, m *machine.Machine, o Options) (Found, error) {
	l := linux.NewSearch(m, linux.Options{Sink: o.Sink})
	if l.Quick() {
		o.Logf("a Linux guest: %s", l.Release())
		return Found{Linux: l}, ctx.Err()
	}
	w := find.NewSearch(m, find.Options{Symbols: o.Symbols, Sink: o.Sink})
	if w.Quick(ctx) {
		return Found{Windows: w}, ctx.Err()
	}
	if l.Image() {
		o.Logf("a Linux guest: %s", l.Release())
		return Found{Linux: l}, ctx.Err()
	}
	return pass(ctx, m, l, w, o)
}

// pass reads all of memory once, for both.
func pass(ctx context.Context, m *machine.Machine, l *linux.Search, w *find.Search, o Options) (Found, error) {
	var isLinux, isWindows bool
	err := mem.ScanPages(ctx, m.Mem, func(pa mem.PA, p []byte, done, total int64) (err error) {
		o.Report("searching memory", done, total)
		if isWindows, err = w.Visit(ctx, pa, p); err != nil {
			return err
		}
		if isLinux = !isWindows && l.Visit(pa, p); isLinux || isWindows {
			return mem.ErrEnough
		}
		return nil
	})
	l.Passed()
	switch {
	case ctx.Err() != nil:
		return Found{}, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
	case isLinux:
		o.Logf("a Linux guest: %s", l.Release())
		return Found{Linux: l}, nil
	case !isWindows:
		w.Finish(ctx, err)
	}
	return Found{Windows: w}, ctx.Err()
}
