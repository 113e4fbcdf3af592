package find

import (
	"context"

	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/windows"
)

// Options of a search.
type Options struct {
	// Symbols gives PDBs; nil: there are none.
	Symbols windows.Symbols
	// Compat restricts the choices to those of upstream elf2dmp 10.2.2: its
	// three page-table bases, CPU 0's interrupt table, the PDB's address of the
	// debugger block, processors by position.
	Compat bool
	progress.Sink
}

// Search is one search for the Windows kernel of a machine, in steps of rising
// cost, so that what a step found is never looked for again: Quick reads a few
// hundred pages; where that finds nothing, all of memory is handed to Visit and
// Finish concludes. Use judges what was found anew when a PDB has come.
type Search struct {
	f    *finder
	pass *pass
	k    *windows.Kernel
	err  error
}

// NewSearch begins a search; nothing is read yet.
func NewSearch(m *machine.Machine, o Options) *Search {
	f := &finder{m: m, p: platformOf(m), o: o, near: nearPages, far: farPages, swept: sweptPages, read: aroundPages, scan: scanBudget, known: map[rootKey]bool{},
		pdbs: map[pe.CodeView]symbols{}, seen: map[candidate]bool{}}
	f.notes = fwcfgNotes(m)
	return &Search{f: f}
}

// Quick searches by the CPUs' registers, the guest's notes and what low memory
// says. found is false where only a pass over all of memory can tell more; else
// Result is final.
func (s *Search) Quick(ctx context.Context) (found bool) {
	s.f.ctx = ctx
	if s.f.o.Compat {
		s.k, s.err = s.f.compat()
		return true
	}
	s.f.logRegisters()
	s.f.fetch()
	c, err := s.f.quick(s.f.p.roots)
	if c == nil && err == nil {
		if len(s.f.kernels) == 0 {
			return false
		}
		c, err = s.f.last()
	}
	s.conclude(c, err)
	return true
}

// Visit takes whole page frames of the machine's memory at pa, in ascending
// order. done is true where they led to the kernel, and no more is wanted.
func (s *Search) Visit(ctx context.Context, pa mem.PA, p []byte) (done bool, err error) {
	s.f.ctx = ctx
	if s.pass == nil {
		s.f.logf("no CPU's registers lead to the kernel: reading all of memory for page-table roots and the debugger block")
		s.pass = newPass(s.f)
	}
	c, err := s.pass.visit(pa, p)
	if c != nil {
		s.conclude(c, nil)
	}
	return c != nil, err
}

// Finish concludes a search whose Quick found nothing, with what Visit saw. err
// is why the pass over memory ended early: a cancelled search fails, after an
// unreadable stretch what was seen before it still counts.
func (s *Search) Finish(ctx context.Context, err error) {
	s.f.ctx = ctx
	if err != nil {
		s.f.refuse("reading all of memory: %v", err)
	}
	var c *found
	if err = ctx.Err(); err == nil && s.pass != nil {
		c, err = s.pass.finish()
	}
	s.pass = nil
	if c == nil && err == nil {
		c, err = s.f.last()
	}
	s.conclude(c, err)
}

// Use judges what was found with a PDB that came later, and searches no memory
// again: the debugger block is the only thing that a PDB can change. The error is
// the context's; the result is then as it was.
func (s *Search) Use(ctx context.Context, symbols windows.Symbols) error {
	f := s.f
	f.ctx, f.o.Symbols = ctx, symbols
	clear(f.pdbs)
	if len(f.kernels) == 0 {
		return nil
	}
	if f.o.Compat {
		s.k, s.err = f.compat()
		return ctx.Err()
	}
	for _, c := range f.kernels {
		*c = found{root: c.root, space: c.space, image: c.image, symbols: f.symbolsOf(c.image), doubts: c.doubts, memory: c.memory}
		if err := ctx.Err(); err != nil {
			return err
		}
		f.findBlock(c)
	}
	s.conclude(f.best(), nil)
	return ctx.Err()
}

// conclude makes the kernel of the best candidate, or says why there is none.
func (s *Search) conclude(c *found, err error) {
	switch {
	case err != nil:
		s.k, s.err = nil, err
	case c == nil:
		s.k, s.err = s.f.partial(), s.f.refusal()
	default:
		s.k, s.err = s.f.fill(c)
	}
}

// Result gives the kernel. The error is a *fault.Error that says what was tried,
// or the context's; a Kernel comes along with it, filled so far, where an image
// that looks like the kernel was found.
func (s *Search) Result() (*windows.Kernel, error) { return s.k, s.err }

// Locate finds the Windows kernel of a machine by one search of its own, for
// those who know that the guest is Windows.
func Locate(ctx context.Context, m *machine.Machine, o Options) (*windows.Kernel, error) {
	s := NewSearch(m, o)
	if s.Quick(ctx) {
		return s.Result()
	}
	done := false
	err := mem.ScanPages(ctx, m.Mem, func(pa mem.PA, p []byte, at, total int64) (err error) {
		o.Report("searching memory", at, total)
		if done, err = s.Visit(ctx, pa, p); done {
			return mem.ErrEnough
		}
		return err
	})
	if !done {
		s.Finish(ctx, err)
	}
	return s.Result()
}
