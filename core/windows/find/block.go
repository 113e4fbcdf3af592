package find

import (
	"errors"
	"fmt"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// Bounds of the search in an image.
const (
	maxScanBytes = 64 << 20 // of one image: real ones have some 4 MiB that can be written to
	scanBudget   = 1 << 30  // of all candidates together
	scanWindow   = 256 << 10
)

// area is a part of an image that is searched.
type area struct {
	start mem.VA
	bytes uint64
}

// areas gives the sections of an image of which is holds, in the table's order;
// where the table cannot be used, all of the image.
func areas(img *pe.Image, is func(pe.Section) bool) (list []area) {
	sections := img.Sections
	if len(sections) == 0 {
		sections = []pe.Section{pe.Whole(img.SizeOfImage)}
	}
	for _, sec := range sections {
		if is(sec) && sec.VirtualAddress < img.SizeOfImage {
			list = append(list, area{img.Base + mem.VA(sec.VirtualAddress), uint64(min(sec.VirtualSize, img.SizeOfImage-sec.VirtualAddress))})
		}
	}
	return list
}

// share is how many bytes of one more image may be searched: what each of those
// that may still come gets, so that no image starves another.
func (f *finder) share() uint64 {
	return min(maxScanBytes, f.scan/uint64(max(1, maxKernels-len(f.kernels))))
}

// findBlocks looks through areas for debugger blocks of the kernel at base, in
// clear or encoded with any key. With equal, only where both links of the block's
// list entry are the same word, which needs no key to be seen and is so on an
// ordinary kernel; without, everywhere. h counts what was searched.
func (f *finder) findBlocks(s *paging.Space, list []area, base mem.VA, equal bool, h *searched) (out []windows.Spot) {
	left := f.share()
	window := make([]byte, scanWindow+windows.SpotBytes)
	for _, a := range list {
		size := min(a.bytes, left)
		left, f.scan = left-size, f.scan-size
		skip := mem.VA(-a.start & 7)
		for at := uint64(skip); at < size; at += scanWindow {
			p := window[:min(uint64(len(window)), size-at)]
			got := s.ReadBest(p, a.start+mem.VA(at))
			if equal { // the second time counts nothing anew
				h.bytes, h.read = h.bytes+min(uint64(len(p)), scanWindow), h.read+min(uint64(got), scanWindow)
			}
			if got == 0 {
				continue
			}
			if out = windows.Spots(out, p, a.start+mem.VA(at), base, scanWindow, equal); len(out) >= windows.MaxSpots {
				return out
			}
		}
	}
	return out
}

// judged is a block with its validation's outcome.
type judged struct {
	block          windows.KDBG
	contradictions int
	reason         error
}

// blockInMemory finds the debugger block without symbols.
func (f *finder) blockInMemory(c *found) *inMemory {
	if c.memory == nil {
		c.memory = f.searchBlock(c.space, c.image)
	}
	return c.memory
}

// inMemory is what the search in memory found: the best block, and the addresses
// of all that passed.
type inMemory struct {
	best    *judged // nil: none passed
	all     []mem.VA
	refused []string // what looked like a block, and the check that failed
	where   []string // that were searched
	searched
}

// searched counts the bytes that were searched, and those of them that are in
// memory.
type searched struct{ bytes, read uint64 }

// searchBlock finds the debugger block in clear or by known plaintext: in the
// image's writable sections, first where the links are equal, then anywhere;
// where the version block leads, whatever the section table says of that place;
// by the guest's note; and at last in all of the image. Every candidate is
// validated; the one with the fewest contradictions is taken, of equals the
// first.
func (f *finder) searchBlock(s *paging.Space, img *pe.Image) *inMemory {
	h := &inMemory{}
	consider := func(k windows.KDBG, err error) {
		if err != nil {
			h.refuse(f, "what looks like one at %v cannot be read: %v", k.VA, err)
			return
		}
		c, refused, reason := windows.Validate(s, img.Base, img.SizeOfImage, k)
		if refused {
			h.refuse(f, "what looks like one at %v (%s) failed the check of its %v", k.VA, k.FoundBy, reason)
			return
		}
		h.all = append(h.all, k.VA)
		if h.best == nil || c < h.best.contradictions {
			h.best = &judged{k, c, reason}
		}
	}
	look := func(list []area, equal bool) (done bool) {
		for _, at := range f.findBlocks(s, list, img.Base, equal, &h.searched) {
			k, err := at.Read(s)
			k.VA = at.VA
			consider(k, err)
		}
		return h.best != nil && h.best.contradictions == 0
	}
	if list := areas(img, pe.Section.Writable); len(list) > 0 {
		h.where = append(h.where, wherever(img, "the sections of the image that can be written to"))
		if look(list, true) || look(list, false) {
			return h
		}
	}
	if v, ok := f.findVersion(s, img, 0); ok {
		h.where = append(h.where, "where the version block leads")
		if va, err := s.Uint64(mem.VA(v.DebuggerDataList)); err == nil {
			if at, ok := windows.SpotAt(s, mem.VA(va), img.Base); ok && !slices.Contains(h.all, at.VA) {
				k, err := at.Read(s)
				k.VA = at.VA
				consider(k, err)
			}
		}
	}
	if len(f.notes) > 0 {
		h.where = append(h.where, "where the guest's note leads")
	}
	for _, n := range f.notes {
		k, err := windows.ByCopy(s, n.kdbg, n.copy)
		if k.VA = n.kdbg; err != nil {
			f.refuse("the guest's dump header note: %v", err)
			continue
		}
		consider(k, nil)
	}
	if h.best == nil && len(img.Sections) > 0 {
		h.searched = searched{}
		h.where = append(h.where, "all of the image, as its section table may be wrong")
		whole := []area{{img.Base, uint64(img.SizeOfImage)}}
		_ = look(whole, true) || look(whole, false)
	}
	return h
}

// wherever names what was searched in place of what the section table would say.
func wherever(img *pe.Image, sections string) string {
	if len(img.Sections) == 0 {
		return "all of the image, as it has no section table that can be used"
	}
	return sections
}

// refuse remembers why what looks like a block is none.
func (h *inMemory) refuse(f *finder, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	f.logf("debugger block: %s", text)
	if !slices.Contains(h.refused, text) && len(h.refused) < maxRefused {
		h.refused = append(h.refused, text)
	}
}

// maxRefused is how many reasons are kept.
const maxRefused = 16

var errNoBlock = errors.New("no debugger block of this image")

// blockByPDB reads the debugger block at the PDB's address and decodes it by
// the PDB's three variables, as upstream elf2dmp
// does. The error is a
// *fault.Error.
func (f *finder) blockByPDB(s *paging.Space, img *pe.Image, sym symbols) (windows.KDBG, mem.VA, error) {
	at := func(name string) (mem.VA, error) {
		rva, ok := sym.rvas[name]
		if !ok {
			return 0, fault.New(fault.SymbolMissing, "the PDB has no %s", name)
		}
		return img.Base + mem.VA(rva), nil
	}
	va, err := at(symDebuggerBlock)
	if err != nil {
		return windows.KDBG{}, 0, err
	}
	flag, _ := at(symEncodedFlag)
	k, err := windows.ReadKDBG(s, va, func() (windows.Key, error) {
		var values [2]uint64
		for i, name := range []string{symWaitNever, symWaitAlways} {
			p, err := at(name)
			if err != nil {
				return windows.Key{}, err
			}
			if values[i], err = s.Uint64(p); err != nil {
				return windows.Key{}, fault.Wrap(err, fault.KDBGUndecodable, "the kernel's debugger block could not be decoded: %s: %v", name, err)
			}
			f.logf("%s at %v = %#x", name, p, values[i])
		}
		if flag == 0 {
			_, err := at(symEncodedFlag)
			return windows.Key{}, err
		}
		return windows.KeyOf(values[0], values[1], uint64(flag)), nil
	})
	return k, flag, err
}
