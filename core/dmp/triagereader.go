//go:build !lean

package dmp

import (
	"bytes"
	"fmt"
	"io"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// Where a reader finds what it needs in the block behind a triage dump's header:
// literal, as rizin and Ghidra have it, see reader.go.
const (
	readTriageBytes  = 0x80
	readSizeOfDump   = 0x04
	readValid        = 0x08
	readPrcb         = 0x1c
	readCallStack    = 0x28
	readStackBytes   = 0x2c
	readDrivers      = 0x30
	readDriverCount  = 0x34
	readTopOfStack   = 0x48
	readDebugger     = 0x70
	readDebuggerSize = 0x74
	readBlocks       = 0x78
	readBlockCount   = 0x7c

	readBlockBytes  = 16 // address u64, file offset u32, bytes u32
	readDriverBytes = 0x90
	readDriverBase  = 0x38
	readDriverSize  = 0x48
	readPrcbHead    = 0x40 // of a KPRCB: the current thread, the number

	maxReadBlocks = 1 << 20
)

// triagePart is the block behind a triage dump's header, with where to read what
// it points to.
type triagePart struct {
	r    io.ReaderAt
	size int64
	h    [readTriageBytes]byte
}

func (p *triagePart) u32(off int) int64 { return int64(le.Uint32(p.h[off:])) }

// at reads n bytes that the part says are at an offset.
func (p *triagePart) at(what string, off, n int64) ([]byte, error) {
	if off < headerBytes || off > p.size || n > p.size-off {
		return nil, fmt.Errorf("%s, %#x bytes at %#x, does not fit the dump's %#x bytes", what, n, off, p.size)
	}
	out := make([]byte, n)
	return out, readExact(p.r, out, off)
}

// triage reads the data blocks: they become extents of flat memory.
func (d *opened) triage(r io.ReaderAt, size int64) error {
	p := &triagePart{r: r, size: size}
	if err := readExact(r, p.h[:], headerBytes); err != nil {
		return err
	}
	if end := p.u32(readSizeOfDump); end != size || p.u32(readValid) != size-4 || d.u64(offRequiredDumpSpace) != uint64(size) {
		return fmt.Errorf("the triage part ends at %#x, the dump at %#x", end, size)
	}
	if mark, err := p.at("the end", size-4, 4); err != nil || string(mark) != "TRGD" {
		return fmt.Errorf("the triage part ends with %q (%v)", mark, err)
	}
	n := p.u32(readBlockCount)
	if n > maxReadBlocks {
		return fmt.Errorf("%d data blocks", n)
	}
	list, err := p.at("the list of data blocks", p.u32(readBlocks), n*readBlockBytes)
	if err != nil {
		return err
	}
	for ; len(list) > 0; list = list[readBlockBytes:] {
		off, bytes := int64(le.Uint32(list[8:])), le.Uint32(list[12:])
		if off > size || int64(bytes) > size-off {
			return fmt.Errorf("a data block of %#x bytes at %#x does not fit the dump's %#x bytes", bytes, off, size)
		}
		d.extents = append(d.extents, mem.Extent{Start: mem.PA(le.Uint64(list)), Bytes: uint64(bytes), Offset: off})
	}
	d.part, d.ends = p, size
	return nil
}

// look checks what a debugger takes from the places of their own: the debugger
// block, the modules, the control block and the stack of the processor that it
// opens on.
func (p *triagePart) look(r *Report, s *paging.Space) error {
	block, err := p.at("the debugger block", p.u32(readDebugger), p.u32(readDebuggerSize))
	if err != nil {
		return err
	}
	if !bytes.Equal(block, r.KDBG.Plain) {
		r.problem("the debugger block in its place is not the one in memory")
	}
	drivers, err := p.at("the list of modules", p.u32(readDrivers), p.u32(readDriverCount)*readDriverBytes)
	if err != nil {
		return err
	}
	for ; len(drivers) > 0; drivers = drivers[readDriverBytes:] {
		name, err := p.at("a module's name", int64(le.Uint32(drivers)), 4)
		if err == nil {
			_, err = p.at("a module's name", int64(le.Uint32(drivers)), 4+2*int64(le.Uint32(name)))
		}
		if err != nil {
			return err
		}
		r.Modules = append(r.Modules, windows.Module{Base: mem.VA(le.Uint64(drivers[readDriverBase:])), Size: le.Uint32(drivers[readDriverSize:])})
	}
	stack, err := p.at("the call stack", p.u32(readCallStack), p.u32(readStackBytes))
	if err != nil {
		return err
	}
	top := mem.VA(le.Uint64(p.h[readTopOfStack:]))
	if sp := mem.VA(r.Header.SP); s.Mode.Kernel(sp) && s.Resolves(sp) && (sp < top || sp-top >= mem.VA(len(stack))) {
		r.problem("the stack pointer %v is not on the call stack, %#x bytes at %v", sp, len(stack), top)
	}
	prcb, err := p.at("the control block", p.u32(readPrcb), readPrcbHead)
	if err != nil {
		return err
	}
	for i := range r.Contexts {
		at, err := s.Uint64(r.KDBG.ProcessorBlock() + mem.VA(8*i))
		head := make([]byte, readPrcbHead)
		if err == nil && s.ReadAt(head, mem.VA(at)) == nil && bytes.Equal(head, prcb) {
			return nil
		}
	}
	r.problem("the control block in its place is no processor's")
	return nil
}
