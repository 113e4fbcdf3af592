package stacks

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/windows"
)

// Report is everything that the stacks of a guest say.
type Report struct {
	Processors []*Processor
	BugCheck   *BugCheck // nil: the guest was alive
	FirstAid   FirstAid
	Threads    []*Thread       // where they were asked for
	Warnings   []fault.Warning // symbols that could not be used, lists that end early
}

// Read reads the stacks of all processors, and of all threads where they are
// wanted. symbols gives PDBs for any module on the stacks; nil: there are none.
// It fails only with the context.
func Read(ctx context.Context, k *windows.Kernel, symbols windows.Symbols, threads bool) (*Report, error) {
	r := New(ctx, k, symbols)
	rep := &Report{Processors: r.Processors(), BugCheck: r.BugCheck()}
	rep.FirstAid = r.FirstAid(rep.Processors, rep.BugCheck)
	if threads {
		list, err := r.Threads()
		if err != nil && ctx.Err() == nil {
			rep.Warnings = append(rep.Warnings, fault.Warn(fault.ThreadsIncomplete, "%v", err))
		}
		rep.Threads = list
	}
	rep.Warnings = append(rep.Warnings, r.Warnings()...)
	return rep, ctx.Err()
}
