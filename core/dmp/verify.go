package dmp

import (
	"context"
	"fmt"
	"io"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// Bounds of what Verify follows in the guest's lists.
const (
	maxModules    = 4096
	maxProcesses  = 1 << 16
	maxProcessors = 2048 // Windows' own limit
)

// Offsets in KDDEBUGGER_DATA64 and KLDR_DATA_TABLE_ENTRY (x64, the SDK's
// wdbgexts.h) that a debugger needs first.
const (
	offKDBGTag   = 0x10
	offKDBGSize  = 0x14
	kdbgHead     = 0x18
	minKDBG      = 0x290 // Windows XP's
	maxKDBG      = 0x1000
	offModBase   = 0x30
	offModSize   = 0x40
	moduleBytes  = 0x48
	kdbgTag      = "KDBG"
	cacheToCheck = 4 << 20
)

// Report is what a debugger finds when it opens a dump.
type Report struct {
	Type       string
	Runs       int
	Pages      uint64
	DTB        mem.PA
	Paging     string // name of the page-table format that led to KDBG
	KDBG       windows.KDBG
	KernelBase mem.VA
	Modules    []windows.Module // base and size; the name stays empty
	Processes  int
	Contexts   []Context
	Header     HeaderContext
	// ModulesErr and ProcessesErr say why a list breaks off, as it may in the
	// guest itself: what comes before is listed.
	ModulesErr, ProcessesErr error
	Problems                 []string // what a debugger would complain about
}

// HeaderContext is the context record in the dump's header.
type HeaderContext struct {
	Flags      uint32 // 0: it holds no registers
	MxCsr      uint32
	FloatMxCsr uint32 // the other place where it is
	RIP, RSP   uint64
}

func headerContext(record []byte) HeaderContext {
	return HeaderContext{le.Uint32(record[offContextFlags:]), le.Uint32(record[offMxCsr:]), le.Uint32(record[offFltMxCsr:]),
		le.Uint64(record[offRip:]), le.Uint64(record[offRsp:])}
}

// Context is a processor's context record as the dump holds it.
type Context struct {
	Processor int
	VA        mem.VA
	Flags     uint32
	RIP, RSP  uint64
	Err       error // why there is none
}

// Verify reads a dump as a debugger does: the header, the runs or the bitmap,
// then through the header's page-table base the debugger block, the modules,
// the processes and each processor's context. It knows nothing of the core that
// the dump was made from. A dump that a debugger could not open at all gives an
// error with the code verify-failed; lesser things are Report.Problems.
func Verify(ctx context.Context, im io.ReaderAt, size int64) (*Report, error) {
	d, err := open(im, size)
	if err != nil {
		return nil, fault.Wrap(err, fault.VerifyFailed, "the dump's header cannot be used: %v", err)
	}
	phys, err := mem.NewFile(source.Source{ReaderAt: im, Size: size, Name: "the dump"}, d.extents, cacheToCheck)
	if err != nil {
		return nil, fault.Wrap(err, fault.VerifyFailed, "the dump's runs cannot be used: %v", err)
	}
	r := &Report{Type: d.kind, Runs: len(d.extents), Pages: d.pages, DTB: mem.PA(d.u64(offDirectoryTableBase))}
	for i := 1; i < len(d.extents); i++ {
		if d.extents[i].Start < d.extents[i-1].End() {
			r.problem("run %d is not behind run %d: LeechCore and MemProcFS refuse the dump", i, i-1)
		}
	}
	s, err := r.block(phys, mem.VA(d.u64(offKdDebuggerDataBlock)))
	if err != nil {
		return nil, fault.Wrap(err, fault.VerifyFailed, "the debugger block cannot be read through the dump's page tables: %v", err)
	}
	if list := d.u64(offPsLoadedModuleList); list != uint64(r.KDBG.ModuleList()) {
		r.problem("the header's module list %#x is not the debugger block's %v", list, r.KDBG.ModuleList())
	}
	if list := d.u64(offPsActiveProcessHead); list != uint64(r.KDBG.ProcessHead()) {
		r.problem("the header's process list %#x is not the debugger block's %v", list, r.KDBG.ProcessHead())
	}
	processors := d.u32(offNumberProcessors)
	if processors == 0 {
		return nil, fault.New(fault.VerifyFailed, "the dump's header says that there are 0 processors")
	}
	r.openOn(d.header[offContext:][:contextBytes])
	r.modules(ctx, s)
	r.processes(ctx, s)
	r.contexts(s, processors)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// openOn looks at the context that a debugger opens with. Zeros say that there
// are no registers; anything else must be a record of this architecture.
func (r *Report) openOn(record []byte) {
	r.Header = headerContext(record)
	switch h := r.Header; {
	case h == HeaderContext{}:
	case h.Flags&flagAMD64 == 0 || string(record[offContextFlags:][:4]) == pageFill:
		r.problem("the header's context has the flags %#x", h.Flags)
	case h.MxCsr != h.FloatMxCsr:
		r.problem("the header's context has two values of MxCsr, %#x and %#x: kdmp-parser refuses the dump", h.MxCsr, h.FloatMxCsr)
	}
}

// block reads the debugger block. The header does not say how many levels the
// page tables have: a debugger tries.
func (r *Report) block(phys mem.Physical, va mem.VA) (*paging.Space, error) {
	var first error
	for _, mode := range []*paging.Mode{windows.X64, windows.X64L5} {
		s := paging.New(phys, uint64(r.DTB), mode)
		k, err := readKDBG(s, va)
		if err == nil {
			r.KDBG, r.Paging, r.KernelBase = k, mode.Name, k.KernBase()
			var mz [2]byte
			if err := s.ReadAt(mz[:], r.KernelBase); err != nil || string(mz[:]) != "MZ" {
				r.problem("no image at the kernel base %v", r.KernelBase)
			}
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func readKDBG(s *paging.Space, va mem.VA) (windows.KDBG, error) {
	var head [kdbgHead]byte
	if err := s.ReadAt(head[:], va); err != nil {
		return windows.KDBG{}, err
	}
	if tag := string(head[offKDBGTag:offKDBGSize]); tag != kdbgTag {
		return windows.KDBG{}, fmt.Errorf("its tag is %q", tag)
	}
	size := le.Uint32(head[offKDBGSize:])
	if size < minKDBG || size > maxKDBG {
		return windows.KDBG{}, fmt.Errorf("its size is %#x", size)
	}
	k := windows.KDBG{VA: va, Size: size, Plain: make([]byte, size)}
	return k, s.ReadAt(k.Plain, va)
}

// follow walks a doubly linked list from its head, bounded, and hands out each
// entry's address.
func follow(ctx context.Context, s *paging.Space, head mem.VA, limit int, each func(at mem.VA) error) error {
	previous := head
	at, err := s.Uint64(head)
	for n := 0; err == nil && mem.VA(at) != head; n++ {
		if n == limit {
			return fmt.Errorf("more than %d entries", limit)
		}
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var links [16]byte
		if err := s.ReadAt(links[:], mem.VA(at)); err != nil {
			return err
		}
		if back := le.Uint64(links[8:]); back != uint64(previous) {
			return fmt.Errorf("the entry at %#x points back to %#x, not to %v", at, back, previous)
		}
		if err := each(mem.VA(at)); err != nil {
			return err
		}
		previous, at = mem.VA(at), le.Uint64(links[:])
	}
	return err
}

func (r *Report) modules(ctx context.Context, s *paging.Space) {
	r.ModulesErr = follow(ctx, s, r.KDBG.ModuleList(), maxModules, func(at mem.VA) error {
		var e [moduleBytes]byte
		if err := s.ReadAt(e[:], at); err != nil {
			return err
		}
		r.Modules = append(r.Modules, windows.Module{Base: mem.VA(le.Uint64(e[offModBase:])), Size: le.Uint32(e[offModSize:])})
		return nil
	})
}

func (r *Report) processes(ctx context.Context, s *paging.Space) {
	r.ProcessesErr = follow(ctx, s, r.KDBG.ProcessHead(), maxProcesses, func(mem.VA) error {
		r.Processes++
		return nil
	})
}

// contexts reads each processor's record where a debugger looks for it.
func (r *Report) contexts(s *paging.Space, processors uint32) {
	if processors > maxProcessors {
		r.problem("the header says %d processors", processors)
	}
	for i := 0; i < int(min(processors, maxProcessors)); i++ {
		c := Context{Processor: i}
		c.Err = c.read(s, r.KDBG)
		r.Contexts = append(r.Contexts, c)
	}
}

func (c *Context) read(s *paging.Space, k windows.KDBG) error {
	prcb, err := s.Uint64(k.ProcessorBlock() + mem.VA(8*c.Processor))
	if err != nil {
		return err
	}
	if prcb == 0 {
		return fmt.Errorf("processor %d has no control block", c.Processor)
	}
	c.VA = mem.VA(prcb) + mem.VA(k.ProcStateContext())
	if off := k.PrcbContext(); off != 0 {
		at, err := s.Uint64(mem.VA(prcb) + mem.VA(off))
		if err != nil {
			return err
		}
		c.VA = mem.VA(at)
	}
	var record [contextBytes]byte
	if err := s.ReadAt(record[:], c.VA); err != nil {
		return err
	}
	c.Flags = le.Uint32(record[offContextFlags:])
	c.RSP, c.RIP = le.Uint64(record[offRsp:]), le.Uint64(record[offRip:])
	return nil
}
