package dmp

import (
	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/mem"
)

// plan is the kind of a dump and the runs it holds.
type plan struct {
	kind     string
	runs     []mem.Run
	dropped  int64 // bytes of memory that the kind leaves out
	warnings []fault.Warning
}

// planOf picks the kind of a dump that holds the most of a guest's memory. A
// full dump's header lists any memory, but in few runs; a bitmap dump has as many
// as there are, up to an address. What neither reaches, such as a device's
// memory at the top of the address space, is left out: the guest's RAM comes
// first.
func planOf(runs []mem.Run, bitmap bool) plan {
	if !bitmap && len(runs) <= form.MaxRuns {
		return plan{kind: TypeFull, runs: runs}
	}
	low := below(runs, dump.MaxBits*mem.PageSize)
	if len(low) == 0 || !bitmap && len(low) <= form.MaxRuns {
		f := plan{kind: TypeFull, runs: runs[:min(len(runs), form.MaxRuns)]}
		f.leftOut(runs, "a full dump's header holds 42 runs, and a bitmap dump does not reach it")
		return f
	}
	f := plan{kind: TypeBitmap, runs: low}
	if !bitmap {
		f.warn(fault.BitmapDump, "this core's memory is in %d runs, a full dump's header holds %d: the dump is a bitmap dump", len(low), form.MaxRuns)
	}
	f.leftOut(runs, "a bitmap dump does not reach it")
	if s := form.BitmapOf(low); s.FirstPage > leechFirstPage {
		f.warn(fault.ReaderLimit, "the bitmap of memory up to %#x ends at %#x of the dump: LeechCore and MemProcFS refuse more than %#x, kdmp-parser reads it",
			uint64(low[len(low)-1].End()), s.FirstPage, leechFirstPage)
	}
	return f
}

// size is the dump's length in bytes.
func (f *plan) size() int64 {
	if f.kind != TypeFull {
		s := form.BitmapOf(f.runs)
		return s.FirstPage + int64(s.Set)*mem.PageSize
	}
	return int64(form.Bytes) + int64(countPages(f.runs))*mem.PageSize
}

func (f *plan) warn(code fault.Code, format string, args ...any) {
	f.warnings = append(f.warnings, fault.Warn(code, format, args...))
}

// leftOut counts what of all the form does not hold.
func (f *plan) leftOut(all []mem.Run, why string) {
	lost := countPages(all) - countPages(f.runs)
	if lost == 0 {
		return
	}
	first := f.runs[len(f.runs)-1].End()
	for _, r := range all {
		if r.End() > first {
			f.warn(fault.MemoryLeftOut, "%d pages (%d bytes) of memory from %#x on are left out of the dump: %s",
				lost, lost*mem.PageSize, uint64(max(r.Start, first)), why)
			return
		}
	}
}

// below cuts runs at an address.
func below(runs []mem.Run, end mem.PA) []mem.Run {
	var out []mem.Run
	for _, r := range runs {
		if r.Start >= end {
			break
		}
		if r.End() > end {
			r.Pages = uint64(end-r.Start) / mem.PageSize
		}
		out = append(out, r)
	}
	return out
}
