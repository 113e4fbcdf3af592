package dmp

import (
	"coredrop/core/fault"
	"coredrop/core/mem"
)

// form is the kind of a dump and the runs it holds.
type form struct {
	kind     string
	runs     []mem.Run
	warnings []fault.Warning
}

// formOf picks the kind of a dump that holds the most of a guest's memory. A
// full dump's header lists any memory, but in few runs; a bitmap dump has as many
// as there are, up to an address. What neither reaches, such as a device's
// memory at the top of the address space, is left out: the guest's RAM comes
// first.
func formOf(runs []mem.Run, bitmap bool) form {
	if !bitmap && len(runs) <= maxRuns {
		return form{kind: TypeFull, runs: runs}
	}
	low := below(runs, maxBits*mem.PageSize)
	if len(low) == 0 || !bitmap && len(low) <= maxRuns {
		f := form{kind: TypeFull, runs: runs[:min(len(runs), maxRuns)]}
		f.leftOut(runs, "a full dump's header holds 42 runs, and a bitmap dump does not reach it")
		return f
	}
	f := form{kind: TypeBitmap, runs: low}
	if !bitmap {
		f.warn(fault.BitmapDump, "this core's memory is in %d runs, a full dump's header holds %d: the dump is a bitmap dump", len(low), maxRuns)
	}
	f.leftOut(runs, "a bitmap dump does not reach it")
	if s := shapeOf(low); s.firstPage > leechFirstPage {
		f.warn(fault.ReaderLimit, "the bitmap of memory up to %#x ends at %#x of the dump: LeechCore and MemProcFS refuse more than %#x, kdmp-parser reads it",
			uint64(low[len(low)-1].End()), s.firstPage, leechFirstPage)
	}
	return f
}

// size is the dump's length in bytes.
func (f *form) size() int64 {
	if f.kind == TypeBitmap {
		s := shapeOf(f.runs)
		return s.firstPage + int64(s.set)*mem.PageSize
	}
	return headerBytes + int64(countPages(f.runs))*mem.PageSize
}

func (f *form) warn(code fault.Code, format string, args ...any) {
	f.warnings = append(f.warnings, fault.Warn(code, format, args...))
}

// leftOut counts what of all the form does not hold.
func (f *form) leftOut(all []mem.Run, why string) {
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
