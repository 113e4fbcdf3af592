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

// Offsets in KDDEBUGGER_DATA64 (the SDK's wdbgexts.h) that a debugger needs
// first.
const (
	offKDBGTag  = 0x10
	offKDBGSize = 0x14
	kdbgHead    = 0x18
	minKDBG     = 0x290 // Windows XP's
	maxKDBG     = 0x1000
	kdbgTag     = "KDBG"
)

const (
	maxProcessors = 2048 // Windows' own limit
	cacheToCheck  = 4 << 20
)

// Report is what a debugger finds when it opens a dump.
type Report struct {
	Type       string
	Runs       int // or data blocks
	Pages      uint64
	DTB        mem.PA
	Paging     string // name of the page-table format that led to KDBG
	KDBG       windows.KDBG
	KernelBase mem.VA
	Image      bool // one begins at KernelBase
	Modules    []windows.Module
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
	PC, SP     uint64
}

func headerContext(record []byte) HeaderContext {
	return HeaderContext{le.Uint32(record[readContextFlags:]), le.Uint32(record[readMxCsr:]), le.Uint32(record[readFloatMxCsr:]),
		le.Uint64(record[readRip:]), le.Uint64(record[readRsp:])}
}

// Context is a processor's context record as the dump holds it.
type Context struct {
	Processor int
	VA        mem.VA
	Flags     uint32
	PC, SP    uint64
	Err       error // why there is none
}

// Verify reads a dump as a debugger does: the header, the runs or the bitmap,
// then through the header's page-table base the debugger block, the modules,
// the processes and each processor's context. It knows nothing of the core that
// the dump was made from, and header, runs and contexts are read at literal
// offsets; the guest's lists are read as they are everywhere here. A dump that a debugger could not open at all gives an
// error with the code verify-failed; lesser things are Report.Problems.
func Verify(ctx context.Context, im io.ReaderAt, size int64) (*Report, error) {
	d, err := open(im, size)
	if err == nil {
		err = d.whole(size)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.VerifyFailed, "the dump's header cannot be used: %v", err)
	}
	// By the page: what lies around it in the dump may be far away in the core.
	phys, err := mem.NewFile(source.Source{ReaderAt: im, Size: size, Name: "the dump", Block: mem.PageSize}, d.extents, cacheToCheck)
	if err != nil {
		return nil, fault.Wrap(err, fault.VerifyFailed, "the dump's runs cannot be used: %v", err)
	}
	r := &Report{Type: d.kind, Runs: len(d.extents), Pages: d.pages, DTB: mem.PA(d.u64(offDirectoryTableBase))}
	for i := 1; i < len(d.extents) && d.part == nil; i++ {
		if d.extents[i].Start < d.extents[i-1].End() {
			r.problem("run %d is not behind run %d: LeechCore and MemProcFS refuse the dump", i, i-1)
		}
	}
	s, err := r.block(phys, d.modes(), mem.VA(d.u64(offKdDebuggerDataBlock)))
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
	r.openOn(d.header[offContext:][:readContextBytes])
	r.contexts(s, processors)
	if d.part != nil {
		if err := d.part.look(r, s); err != nil {
			return nil, fault.Wrap(err, fault.VerifyFailed, "the triage part of the dump cannot be used: %v", err)
		}
	} else {
		r.Modules, r.ModulesErr = windows.Modules(s, r.KDBG)
		processes, err := windows.ProcessLinks(s, r.KDBG)
		r.Processes, r.ProcessesErr = len(processes), err
	}
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
	case h.Flags&readFlagAMD64 == 0 || string(record[readContextFlags:][:4]) == "PAGE":
		r.problem("the header's context has the flags %#x", h.Flags)
	case h.MxCsr != h.FloatMxCsr:
		r.problem("the header's context has two values of MxCsr, %#x and %#x: kdmp-parser refuses the dump", h.MxCsr, h.FloatMxCsr)
	}
}

// block reads the debugger block. The header does not say how many levels the
// page tables have: a debugger tries.
func (r *Report) block(phys mem.Physical, modes []*paging.Mode, va mem.VA) (*paging.Space, error) {
	var first error
	for _, mode := range modes {
		s := paging.New(phys, uint64(r.DTB), mode)
		k, err := readKDBG(s, va)
		if err == nil {
			r.KDBG, r.Paging, r.KernelBase = k, mode.Name, k.KernBase()
			r.Image = imageAt(s, r.KernelBase)
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// imageAt reports whether an image begins at an address.
func imageAt(s *paging.Space, va mem.VA) bool {
	var mz [2]byte
	return s.ReadAt(mz[:], va) == nil && string(mz[:]) == "MZ"
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
	var record [readContextBytes]byte
	if err := s.ReadAt(record[:], c.VA); err != nil {
		return err
	}
	c.Flags = le.Uint32(record[readContextFlags:])
	c.SP, c.PC = le.Uint64(record[readRsp:]), le.Uint64(record[readRip:])
	return nil
}
