package find

import (
	"bytes"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// compat finds the kernel by the choices of upstream elf2dmp 10.2.2 (main.c), in
// its order: one page-table base, one interrupt gate, one test of an image, the
// PDB's word for the debugger block, processors by position. Nothing else in
// this package asks how upstream would do it.
func (f *finder) compat() (*windows.Kernel, error) {
	f.logRegisters()
	f.tried = append(f.tried, "upstream's three")
	r, ok := f.compatRoot()
	if !ok {
		return nil, f.refusal()
	}
	s := paging.New(f.m.Mem, r.value, r.mode)
	if s.Resolves(windows.SharedVA) {
		f.roots = append(f.roots, r)
		f.logf("page-table base %#x (%s, %s): the shared page resolves", uint64(s.Root), r.from, r.mode.Name)
	} else {
		f.logf("page-table base %#x (%s): the shared page does not resolve", uint64(s.Root), r.from)
	}
	f.noteShared(s)
	img := f.compatImage(s)
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	if img == nil {
		return nil, f.refusal()
	}
	c := f.candidate(s, r, img)
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	f.kernels = []*found{c}
	switch {
	case c.symbols.rvas != nil:
		c.block, c.flag, c.err = f.blockByPDB(c.space, c.image, c.symbols)
	case c.symbols.err != nil:
		c.err = c.symbols.err
	default:
		c.err = fault.New(fault.SymbolsOffline, "-compat needs the kernel's PDB, as elf2dmp does")
	}
	if c.err != nil {
		return f.partial(), f.refusal()
	}
	k := f.begin(c)
	f.introduce(k)
	if !k.Shared.Readable {
		return k, fault.New(fault.KUSDUnreadable, "").Hint("leave -compat away: the dump can be made without the shared page")
	}
	k.WarnClock()
	f.compatProcessors(k)
	if err := f.compatVersion(k, c); err != nil {
		return k, err
	}
	f.follow(k)
	f.conclude(k)
	return k, f.ctx.Err()
}

// compatImage walks down from the handler of CPU 0's gate 0 to the first image
// that upstream takes for the kernel; nil: there is none.
func (f *finder) compatImage(s *paging.Space) (found *pe.Image) {
	if f.cpu(0) == nil {
		return nil
	}
	start, ok := f.readGate(s, 0, 0)
	if !ok || start < windows.ImageFloor {
		return nil
	}
	w := f.far.walk(compatPages)
	f.walkDown(s, start, windows.ImageFloor, &w, map[mem.VA]bool{}, func(base mem.VA) bool {
		img, err := pe.Read(s, base)
		switch {
		case err != nil:
			f.refuse("image at %v: %v", base, err)
		case img.Machine != f.p.arch.PE || !upstreamTakes(s, base):
			f.refuseImage(img)
		default:
			found = img
		}
		return found == nil
	})
	return found
}

// upstreamTakes reports whether upstream elf2dmp would take an image for the
// kernel: its first debug entry is a CodeView record of exactly one size with
// exactly one name (10.2.2 main.c).
func upstreamTakes(s *paging.Space, base mem.VA) bool {
	const (
		debugType      = 0x0c
		debugSize      = 0x10
		debugAddress   = 0x14
		debugEntry     = 28
		debugCodeView  = 2
		rsdsName       = 0x18
		upstreamRecord = "ntkrnlmp.pdb\x00"
	)
	var entry [debugEntry]byte
	if s.ReadAt(entry[:], debugDirectory(s, base)) != nil || u32(entry[:], debugType) != debugCodeView ||
		u32(entry[:], debugSize) != uint32(rsdsName+len(upstreamRecord)) {
		return false
	}
	record := make([]byte, rsdsName+len(upstreamRecord))
	return s.ReadAt(record, base+mem.VA(u32(entry[:], debugAddress))) == nil &&
		bytes.HasPrefix(record, []byte("RSDS")) && string(record[rsdsName:]) == upstreamRecord
}

// compatVersion reads the version block where the PDB has it.
func (f *finder) compatVersion(k *windows.Kernel, c *found) error {
	rva, ok := c.symbols.rvas[symVersionBlock]
	if !ok {
		return fault.New(fault.SymbolMissing, "the PDB has no %s", symVersionBlock)
	}
	var p [windows.VersionBytes]byte
	va := c.image.Base + mem.VA(rva)
	if err := k.Space.ReadAt(p[:], va); err != nil {
		return fault.Wrap(err, fault.VersionUnreadable, "the kernel's version block at %v could not be read: %v", va, err).Hint("leave -compat away: the dump can be made without the version block")
	}
	k.Version = windows.ParseVersion(p[:], va)
	return nil
}

// compatProcessors is upstream's way: CPU i is processor i, an entry that is 0
// is skipped.
func (f *finder) compatProcessors(k *windows.Kernel) {
	for i := range f.m.CPUs {
		prcb, err := k.Space.Uint64(k.KDBG.ProcessorBlock() + mem.VA(8*i))
		p := windows.Processor{Number: i, PRCB: mem.VA(prcb), CPU: i}
		switch {
		case err != nil:
			p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
		case prcb == 0:
			p.Err = fault.New(fault.ContextUnreadable, "processor %d: its context is missing", i)
		case k.KDBG.PrcbContext() == 0:
			// Upstream reads the offset behind the block's end; what it takes for
			// a pointer could be anything.
			p.Err = fault.New(fault.ContextUnreadable, "processor %d: the debugger block of %#x bytes ends before the place of the context records", i, k.KDBG.Size)
		default:
			p.KPCR = p.PRCB - windows.PcrPrcb
			at, err := k.Space.Uint64(p.PRCB + mem.VA(k.KDBG.PrcbContext()))
			if err != nil {
				p.Err = fault.Wrap(err, fault.ContextUnreadable, "processor %d: no place to store its registers: %v", i, err)
			}
			p.Context = mem.VA(at)
		}
		if p.Err != nil {
			k.Warnings = append(k.Warnings, windows.WarningOf(p.Err))
		}
		k.Processors = append(k.Processors, p)
	}
	for _, v := range f.m.CPUs {
		k.Modes = append(k.Modes, f.strangerMode(k, v.State))
	}
}
