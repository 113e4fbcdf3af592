package dmp

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// kernelPages are the page frames, of those in runs, that the kernel's half of
// some address space reaches, with the tables on the way: of every process whose
// page-table base leads to this kernel, and of every CPU's.
func kernelPages(ctx context.Context, k *windows.Kernel, runs []mem.Run) ([]mem.Run, error) {
	set := mem.NewPageSet(runs)
	reach := paging.NewReach(runs, set.Add)
	home, _, err := k.Space.Translate(k.KDBG.VA)
	if err != nil {
		return nil, fault.Wrap(err, fault.KDBGMissing, "the debugger block at %v is not mapped", k.KDBG.VA)
	}
	done := map[mem.PA]bool{}
	var spaces []*paging.Space
	list := roots(k)
	ahead := k.Space.Ahead(len(list), func(s *paging.Space, i int) { s.At(list[i]).Resolves(k.KDBG.VA) })
	for i, root := range list {
		ahead.To(i)
		s := k.Space.At(root)
		if done[s.Root] {
			continue
		}
		done[s.Root] = true
		// A root of something else, a hypervisor's or a dead process's reused page,
		// must not bring its pages in. One for user mode maps almost nothing of the
		// kernel, and what it does the others do too.
		if pa, _, err := s.Translate(k.KDBG.VA); err == nil && pa == home {
			spaces = append(spaces, s)
		}
	}
	if err := reach.Upper(ctx, spaces...); err != nil {
		return nil, err
	}
	return set.Runs(), nil
}

// roots are the page-table bases that are known.
func roots(k *windows.Kernel) []uint64 {
	list := []uint64{uint64(k.DTB), uint64(k.HeaderDTB)}
	for _, p := range k.Processes {
		list = append(list, uint64(p.DTB))
	}
	return append(list, cpuRoots(k.Machine)...)
}

// cpuRoots are the page-table bases of a machine's CPUs.
func cpuRoots(m *machine.Machine) (list []uint64) {
	for _, c := range m.CPUs {
		if c.State != nil && c.State.System() {
			list = append(list, c.State.Root())
		}
	}
	return list
}

// kernelPlan is the plan of a kernel-only dump.
func kernelPlan(ctx context.Context, k *windows.Kernel, all []mem.Run) (plan, error) {
	kept, err := kernelPages(ctx, k, all)
	if err != nil {
		return plan{}, err
	}
	f := planOf(kept, true)
	f.kind = TypeKernel
	f.dropped = int64(countPages(all)-countPages(f.runs)) * mem.PageSize
	if len(k.Processes) == 0 {
		f.warn(fault.ProcessesUnknownLayout, "the process list could not be read: memory that only other processes' sessions have is not in the dump")
	}
	return f, nil
}
