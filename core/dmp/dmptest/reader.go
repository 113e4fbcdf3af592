// Package dmptest reads 64-bit Windows crash dumps for tests. It shares no code
// and no constants with core/dmp, so that a mistake there is not repeated here:
// every offset stands as a literal where it is used, as the public parsers
// kdmp-parser, LeechCore and volatility3 and the header winnt.h have them.
package dmptest

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// Run is a stretch of page frames and where the dump holds them.
type Run struct {
	Page, Count uint64
	Offset      int64
}

// Dump is an opened crash dump.
type Dump struct {
	Header []byte // the first 0x2000 bytes
	Type   uint32 // 1 full, 5 bitmap, 4 triage
	Runs   []Run  // in the dump's order
	Triage []byte // of a triage dump: the 0x80 bytes behind the header
	Blocks []Block
	Levels int // of page tables, for Virtual; 4 unless set

	r    io.ReaderAt
	size int64
}

// Open reads the header and the runs, or the bitmap.
func Open(r io.ReaderAt, size int64) (*Dump, error) {
	d := &Dump{Header: make([]byte, 0x2000), Levels: 4, r: r, size: size}
	if n, err := r.ReadAt(d.Header, 0); n != 0x2000 {
		return nil, fmt.Errorf("header: %d bytes, %v", n, err)
	}
	if string(d.Header[0:4]) != "PAGE" || string(d.Header[4:8]) != "DU64" {
		return nil, errors.New("not a 64-bit crash dump")
	}
	switch d.Type = d.U32(0xf98); d.Type {
	case 1:
		return d, d.runs()
	case 5:
		return d, d.bitmap()
	case 4:
		return d, d.triage()
	}
	return nil, fmt.Errorf("dump type %d", d.Type)
}

// U32 reads a 32-bit field of the header.
func (d *Dump) U32(off int) uint32 { return le.Uint32(d.Header[off:]) }

// U64 reads a 64-bit field of the header.
func (d *Dump) U64(off int) uint64 { return le.Uint64(d.Header[off:]) }

func (d *Dump) runs() error {
	n := int(d.U32(0x88))
	if n > 43 {
		return fmt.Errorf("%d runs do not fit", n)
	}
	off, pages := int64(0x2000), uint64(0)
	for i := 0; i < n; i++ {
		run := Run{d.U64(0x98 + 16*i), d.U64(0xa0 + 16*i), off}
		d.Runs = append(d.Runs, run)
		off += int64(run.Count) * 4096
		pages += run.Count
	}
	if off != d.size || pages != d.U64(0x90) || d.U64(0xfa0) != uint64(d.size) {
		return fmt.Errorf("runs end at %#x, dump at %#x; %d pages, header says %d", off, d.size, pages, d.U64(0x90))
	}
	return nil
}

func (d *Dump) bitmap() error {
	head := make([]byte, 0x38)
	if _, err := d.r.ReadAt(head, 0x2000); err != nil {
		return err
	}
	if s := string(head[:8]); s != "SDMPDUMP" && s != "FDMPDUMP" {
		return fmt.Errorf("bitmap signature %q", s)
	}
	first := int64(le.Uint64(head[0x20:]))
	set := le.Uint64(head[0x28:])
	bits := le.Uint64(head[0x30:])
	if first%4096 != 0 || bits%64 != 0 || bits > 0x7fffffff || first < 0x2038+int64(bits/8) {
		return fmt.Errorf("first page %#x, %d bits", first, bits)
	}
	bitmap := make([]byte, bits/8)
	if _, err := d.r.ReadAt(bitmap, 0x2038); err != nil {
		return err
	}
	at, seen := first, uint64(0)
	for pfn := uint64(0); pfn < bits; pfn++ {
		if bitmap[pfn/8] == 0 {
			pfn |= 7
			continue
		}
		if bitmap[pfn/8]>>(pfn%8)&1 == 0 {
			continue
		}
		if n := len(d.Runs); n > 0 && d.Runs[n-1].Page+d.Runs[n-1].Count == pfn {
			d.Runs[n-1].Count++
		} else {
			d.Runs = append(d.Runs, Run{pfn, 1, at})
		}
		at += 4096
		seen++
	}
	if seen != set || at != d.size || d.U64(0xfa0) != uint64(d.size) {
		return fmt.Errorf("%d bits set, header says %d; pages end at %#x, dump at %#x", seen, set, at, d.size)
	}
	return nil
}

// Physical fills p with guest memory at a physical address.
func (d *Dump) Physical(p []byte, pa uint64) error {
	for len(p) > 0 {
		pfn, in := pa/4096, pa%4096
		n := min(4096-in, uint64(len(p)))
		found := false
		i := 0
		if len(d.Runs) > 64 { // a bitmap's are sorted
			i = sort.Search(len(d.Runs), func(i int) bool { return d.Runs[i].Page+d.Runs[i].Count > pfn })
		}
		for ; i < len(d.Runs) && !found; i++ {
			if run := d.Runs[i]; pfn >= run.Page && pfn-run.Page < run.Count {
				if _, err := d.r.ReadAt(p[:n], run.Offset+int64((pfn-run.Page)*4096+in)); err != nil {
					return err
				}
				found = true
			}
		}
		if !found {
			return fmt.Errorf("page %#x is not in the dump", pfn)
		}
		p, pa = p[n:], pa+n
	}
	return nil
}

// Translate walks the page tables from the header's page-table base.
func (d *Dump) Translate(va uint64) (uint64, error) {
	table := d.U64(0x10) & 0x000ffffffffff000
	for level := d.Levels; level >= 1; level-- {
		var e [8]byte
		shift := uint(12 + 9*(level-1))
		if err := d.Physical(e[:], table+8*(va>>shift&511)); err != nil {
			return 0, err
		}
		entry := le.Uint64(e[:])
		if entry&1 == 0 {
			return 0, fmt.Errorf("%#x: level %d not present", va, level)
		}
		table = entry & 0x000ffffffffff000
		if level == 1 || (level <= 3 && entry&0x80 != 0) {
			mask := uint64(1)<<shift - 1
			return table&^mask | va&mask, nil
		}
	}
	return 0, errors.New("no levels")
}

// Virtual fills p with guest memory at a virtual address.
func (d *Dump) Virtual(p []byte, va uint64) error {
	if d.Type == 4 {
		return d.fromBlocks(p, va)
	}
	for len(p) > 0 {
		pa, err := d.Translate(va)
		if err != nil {
			return err
		}
		n := min(4096-va%4096, uint64(len(p)))
		if err := d.Physical(p[:n], pa); err != nil {
			return err
		}
		p, va = p[n:], va+n
	}
	return nil
}

// Bytes reads n bytes at a virtual address; nil where it cannot.
func (d *Dump) Bytes(va uint64, n int) []byte {
	p := make([]byte, n)
	if d.Virtual(p, va) != nil {
		return nil
	}
	return p
}

// Pointer reads a 64-bit word at a virtual address; 0 where it cannot.
func (d *Dump) Pointer(va uint64) uint64 {
	p := d.Bytes(va, 8)
	if p == nil {
		return 0
	}
	return le.Uint64(p)
}

// Module is an entry of the loaded-module list.
type Module struct {
	Name string
	Base uint64
	Size uint32
}

// Modules walks PsLoadedModuleList as the header gives it.
func (d *Dump) Modules() (list []Module) {
	head := d.U64(0x20)
	for at := d.Pointer(head); at != 0 && at != head && len(list) < 1000; at = d.Pointer(at) {
		e := d.Bytes(at, 0x68)
		if e == nil {
			break
		}
		text := d.Bytes(le.Uint64(e[0x60:]), int(le.Uint16(e[0x58:])))
		var name []byte
		for i := 0; i+1 < len(text); i += 2 {
			name = append(name, text[i])
		}
		list = append(list, Module{string(name), le.Uint64(e[0x30:]), le.Uint32(e[0x40:])})
	}
	return list
}

// Process is an entry of the active-process list.
type Process struct {
	PID, DTB uint64
	Name     string
}

// Processes walks PsActiveProcessHead with the offsets of build 19041.
func (d *Dump) Processes() (list []Process) {
	head := d.U64(0x28)
	for at := d.Pointer(head); at != 0 && at != head && len(list) < 1000; at = d.Pointer(at) {
		name := d.Bytes(at-0x448+0x5a8, 15)
		n := 0
		for n < len(name) && name[n] != 0 {
			n++
		}
		list = append(list, Process{d.Pointer(at - 8), d.Pointer(at - 0x448 + 0x28), string(name[:n])})
	}
	return list
}

// KDBG reads the debugger block; nil where its tag does not stand there.
func (d *Dump) KDBG() []byte {
	head := d.Bytes(d.U64(0x80), 0x18)
	if head == nil || string(head[0x10:0x14]) != "KDBG" {
		return nil
	}
	return d.Bytes(d.U64(0x80), int(min(le.Uint32(head[0x14:]), 0x1000)))
}

// Prcb gives the address of a processor's control block.
func (d *Dump) Prcb(processor int) uint64 {
	k := d.KDBG()
	if k == nil {
		return 0
	}
	return d.Pointer(le.Uint64(k[0x218:]) + 8*uint64(processor))
}

// Context reads a processor's context record and gives its address.
func (d *Dump) Context(processor int) (va uint64, record []byte) {
	k, prcb := d.KDBG(), d.Prcb(processor)
	if prcb == 0 {
		return 0, nil
	}
	if len(k) < 0x340 { // before Windows 7 it lies inside the control block
		va = prcb + uint64(le.Uint16(k[0x2bc:]))
	} else {
		va = d.Pointer(prcb + uint64(le.Uint16(k[0x338:])))
	}
	return va, d.Bytes(va, 0x4d0)
}
