package dump

import (
	"fmt"

	"coredrop/core/mem"
)

// PutRuns stores a run list, which the caller has seen to fit.
func (f *Form) PutRuns(h []byte, runs []mem.Run) {
	pages := uint64(0)
	for i, r := range runs {
		first, count := f.run(i)
		first.Put(h, uint64(r.Start)/mem.PageSize)
		count.Put(h, r.Pages)
		pages += r.Pages
	}
	clear(h[f.NumberOfRuns.Off:f.NumberOfPages.Off]) // padding, too
	f.NumberOfRuns.Put(h, uint64(len(runs)))
	f.NumberOfPages.Put(h, pages)
}

// run gives the two fields of one run.
func (f *Form) run(i int) (first, count Field) {
	half := f.RunBytes / 2
	at := f.Run.Off + i*f.RunBytes
	return Field{at, half}, Field{at + half, half}
}

// Runs reads a run list. An error says what cannot be right: more runs than there
// is room for, an empty one, one beyond the address space, another number of
// pages than the header counts.
func (f *Form) Runs(h []byte) ([]mem.Run, error) {
	n := f.NumberOfRuns.Get(h)
	if n == 0 || n > uint64(f.Context.Off-f.Run.Off)/uint64(f.RunBytes) {
		return nil, fmt.Errorf("the header lists %d runs", n)
	}
	var list []mem.Run
	pages := uint64(0)
	for i := range int(n) {
		at, many := f.run(i)
		first, count := at.Get(h), many.Get(h)
		if count == 0 || count > maxPage || first > maxPage-count {
			return nil, fmt.Errorf("run %d is page %#x and %#x more", i, first, count)
		}
		list = append(list, mem.Run{Start: mem.PA(first * mem.PageSize), Pages: count})
		pages += count
	}
	if want := f.NumberOfPages.Get(h); pages != want {
		return nil, fmt.Errorf("the runs hold %d pages, the header says %d", pages, want)
	}
	return list, nil
}

// maxPage is the first page frame number behind all physical memory.
const maxPage = 1 << 52
