package find

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// The kernel's publics that are used, as its PDB names them.
const (
	symDebuggerBlock = "KdDebuggerDataBlock"
	symVersionBlock  = "KdVersionBlock"
	symWaitNever     = "KiWaitNever"
	symWaitAlways    = "KiWaitAlways"
	symEncodedFlag   = "KdpDataBlockEncoded"
)

// kernelExports are the module names that a kernel's export directory gives.
var kernelExports = []string{"ntoskrnl.exe", "ntkrnlmp.exe", "ntkrnlpa.exe", "ntkrpamp.exe", "ntkrla57.exe"}

// kernelSection is a section that only the kernel has. Source:
// MemProcFS, which looks for it too.
const kernelSection = "POOLCODE"

// symbols is what is known of an image's PDB.
type symbols struct {
	asked bool
	rvas  map[string]uint32 // nil: there is no PDB
	from  pdb.Origin
	err   error
}

// looksLikeKernel reports whether an image may be the kernel: by its PDB's
// name, by its exports' name where the record or its page is missing, or by its
// sections.
func looksLikeKernel(img *pe.Image) bool {
	if img.CodeView != nil && pe.KernelPDBName(img.CodeView.Name) {
		return true
	}
	if kernelName(img.Exports) {
		return true
	}
	for _, s := range img.Sections {
		if s.Name == kernelSection {
			return true
		}
	}
	return false
}

// debugDirectory gives the address of an image's debug directory, as its header
// has it; 0: it cannot be read.
func debugDirectory(s *paging.Space, base mem.VA) mem.VA {
	const (
		dosNewHeader = 0x3c
		ntDebugData  = 0xb8 // data directory 6
	)
	lfanew, err := s.Uint32(base + dosNewHeader)
	if err != nil {
		return 0
	}
	rva, err := s.Uint32(base + mem.VA(lfanew) + ntDebugData)
	if err != nil || rva == 0 {
		return 0
	}
	return base + mem.VA(rva)
}

// examine looks at what is said to be an image: nil when it is not a kernel, else
// a candidate with what its PDB and the search in memory say of its debugger
// block.
func (f *finder) examine(s *paging.Space, r root, at claim) *found {
	img, err := pe.Read(s, at.base)
	var doubts []string
	if at.mark != nil {
		if img, doubts = f.restore(s, img, err, *at.mark); img == nil {
			return nil
		}
	} else if err != nil {
		f.refuse("image at %v: %v", at.base, err)
		return nil
	} else if img.Machine != f.p.arch.PE || !looksLikeKernel(img) {
		f.refuseImage(img)
		return nil
	}
	c := f.candidate(s, r, img)
	c.doubts = doubts
	if err := f.ctx.Err(); err != nil {
		f.failure = err
		return nil
	}
	f.findBlock(c)
	return c
}

// refuseImage remembers that an image is not the kernel.
func (f *finder) refuseImage(img *pe.Image) {
	name := img.Exports
	if img.CodeView != nil {
		name = img.CodeView.Name
	}
	f.refuse("image at %v: not a kernel (%q)", img.Base, name)
}

// candidate makes a candidate of an image that looks like the kernel.
func (f *finder) candidate(s *paging.Space, r root, img *pe.Image) *found {
	if cv := img.CodeView; cv != nil {
		f.logf("kernel image at %v, %#x bytes, debug directory %v, CodeView RSDS %s %s", img.Base, img.SizeOfImage, debugDirectory(s, img.Base), cv.Name, cv.Key())
	} else {
		f.logf("kernel image at %v, %#x bytes: %v", img.Base, img.SizeOfImage, img.CodeViewErr)
	}
	return &found{root: r, space: s, image: img, symbols: f.symbolsOf(img)}
}

// symbolsOf asks for an image's PDB once and looks up the publics in it.
func (f *finder) symbolsOf(img *pe.Image) symbols {
	cv := img.CodeView
	if f.o.Symbols == nil || cv == nil {
		return symbols{}
	}
	if known, ok := f.pdbs[*cv]; ok {
		return known
	}
	sym := symbols{asked: true}
	file, from, err := f.o.Symbols.PDB(f.ctx, *cv)
	if err == nil && file == nil {
		err = fault.New(fault.SymbolsNotFound, "")
	}
	if err == nil && !file.Matches(cv.GUID, cv.Age) {
		err = fault.New(fault.SymbolsMismatch, "the PDB from %s belongs to another build: %s is needed", from, cv.Key())
	}
	if err == nil {
		sym.from = from
		sym.rvas, err = file.Lookup(symDebuggerBlock, symVersionBlock, symWaitNever, symWaitAlways, symEncodedFlag, symBugCheck)
	}
	if err != nil {
		sym.rvas, sym.err = nil, err
		f.logf("symbols of %s %s: %v", cv.Name, cv.Key(), err)
	} else {
		f.logf("symbols of %s %s from %s", cv.Name, cv.Key(), from)
		for _, name := range []string{symDebuggerBlock, symVersionBlock, symWaitNever, symWaitAlways, symEncodedFlag} {
			if rva, ok := sym.rvas[name]; ok {
				f.logf("%s = %v", name, img.Base+mem.VA(rva))
			}
		}
	}
	f.pdbs[*cv] = sym
	return sym
}

// findBlock finds the candidate's debugger block: by the PDB and in memory.
// The PDB's word counts where both have one; that they differ is a warning.
func (f *finder) findBlock(c *found) {
	memory := f.blockInMemory(c)
	inMemory, all := memory.best, memory.all
	if c.symbols.rvas != nil {
		k, flag, err := f.blockByPDB(c.space, c.image, c.symbols)
		var refused bool
		if err == nil {
			c.contradictions, refused, c.reason = windows.Validate(c.space, c.image.Base, c.image.SizeOfImage, k)
			if refused {
				err = fault.Wrap(c.reason, fault.KDBGUndecodable, "what the PDB says is the kernel's debugger block at %v is none: %v", k.VA, c.reason)
			}
		}
		c.flag = flag
		switch {
		case err == nil:
			c.block = k
			c.doubtTable()
			f.crossCheck(c, inMemory, all)
			return
		case inMemory == nil:
			c.err = err
			return
		default:
			c.warnings = append(c.warnings, fault.Warn(fault.SymbolsDisagree,
				"the PDB and the search in memory disagree: by the PDB %v; in memory (%s) the block is at %v, and that was used",
				err, inMemory.block.FoundBy, inMemory.block.VA))
		}
	}
	if inMemory == nil {
		c.err = f.noBlock(c)
		return
	}
	c.block, c.contradictions, c.reason = inMemory.block, inMemory.contradictions, inMemory.reason
	c.doubtTable()
}

// crossCheck compares the PDB's block with the one found in memory.
func (f *finder) crossCheck(c *found, inMemory *judged, all []mem.VA) {
	if inMemory == nil {
		return
	}
	if inMemory.block.VA == c.block.VA {
		if !bytes.Equal(inMemory.block.Plain, c.block.Plain) {
			c.warnings = append(c.warnings, fault.Warn(fault.SymbolsDisagree,
				"the PDB's variables decode the debugger block at %v otherwise than known plaintext does: its module list would be at %v and at %v; the PDB's was used",
				c.block.VA, c.block.ModuleList(), inMemory.block.ModuleList()))
		}
		return
	}
	if slices.Contains(all, c.block.VA) && c.contradictions <= inMemory.contradictions {
		return // the image holds two, and the PDB says which one counts
	}
	c.warnings = append(c.warnings, fault.Warn(fault.SymbolsDisagree,
		"the PDB has the debugger block at %v, the search in memory (%s) found one at %v; the PDB's was used",
		c.block.VA, inMemory.block.FoundBy, inMemory.block.VA))
}

// noBlock says why there is no debugger block: what looks like one and failed a
// check, one that cannot be decoded, to which the version block leads, as it is
// never encoded, or where none was.
func (f *finder) noBlock(c *found) error {
	h := c.memory
	if len(h.refused) > 0 {
		return fault.Wrap(errNoBlock, fault.KDBGMissing, "no kernel debugger block found for the image at %v: %s", c.image.Base, nameSome(h.refused))
	}
	v, ok := f.findVersion(c.space, c.image, 0)
	if ok {
		if va, err := c.space.Uint64(mem.VA(v.DebuggerDataList)); err == nil && windows.InImage(mem.VA(va), c.image.Base, c.image.SizeOfImage, windows.KDBGMinBytes) {
			if _, clear, ok := windows.InClear(c.space, mem.VA(va)); ok && !clear {
				return fault.Wrap(errNoBlock, fault.KDBGUndecodable,
					"the kernel's debugger block at %v could not be decoded: it is not in clear, and known plaintext gives no key", mem.VA(va))
			}
		}
	}
	missing := ""
	if n := h.bytes - h.read; n > 0 {
		missing = fmt.Sprintf("; %d of the %d KiB that were searched cannot be read", n>>10, h.bytes>>10)
	}
	return fault.Wrap(errNoBlock, fault.KDBGMissing,
		"no kernel debugger block found for the image at %v: neither in clear nor by known plaintext in %s%s", c.image.Base, strings.Join(h.where, ", nor "), missing)
}

// doubtTable puts the section table of an image aside that has the debugger block
// in no section that can be written to: it cannot be right.
func (c *found) doubtTable() {
	rva := uint32(c.block.VA - c.image.Base)
	if sec, ok := c.image.SectionAt(rva); ok && sec.Writable() || !windows.InImage(c.block.VA, c.image.Base, c.image.SizeOfImage, 1) {
		return
	}
	why := "its section table has the debugger block in no section that can be written to"
	if len(c.image.Sections) == 0 {
		if len(c.doubts) > 0 {
			return
		}
		why = "it has no section table that can be used"
	}
	c.doubts = append(c.doubts, why+": all of the image was searched")
	bare := *c.image
	bare.Sections = nil
	c.image = &bare
}
