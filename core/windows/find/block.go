package find

import (
	"errors"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// Bounds of the search in an image's writable sections.
const (
	maxScanBytes = 64 << 20  // of one image: real ones have some 4 MiB
	scanBudget   = 512 << 20 // of all candidates together
	scanWindow   = 256 << 10
)

// findBlocks looks through an image's writable sections for debugger blocks of
// the kernel at its base, in clear or encoded with any key. With equal, only
// where both links of the block's list entry are the same word, which needs no
// key to be seen and is so on an ordinary kernel; without, everywhere.
func (f *finder) findBlocks(s *paging.Space, img *pe.Image, equal bool) (out []windows.Spot) {
	left := min(f.scan, maxScanBytes)
	window := make([]byte, scanWindow+windows.SpotBytes)
	for _, sec := range img.Sections {
		if !sec.Writable() || sec.VirtualAddress >= img.SizeOfImage {
			continue
		}
		size := min(uint64(sec.VirtualSize), uint64(img.SizeOfImage-sec.VirtualAddress), left)
		left, f.scan = left-size, f.scan-size
		start := img.Base + mem.VA(sec.VirtualAddress)
		skip := mem.VA(-start & 7)
		for at := uint64(skip); at < size; at += scanWindow {
			p := window[:min(uint64(len(window)), size-at)]
			if s.ReadBest(p, start+mem.VA(at)) == 0 {
				continue
			}
			if out = windows.Spots(out, p, start+mem.VA(at), img.Base, scanWindow, equal); len(out) >= windows.MaxSpots {
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

// blockInMemory finds the debugger block without symbols: in clear or by known
// plaintext in the image's writable sections, first where the links are equal,
// then anywhere, and by the guest's note. Every candidate is validated; the one
// with the fewest contradictions is taken, of equals the first. all lists the
// addresses of every block that passed.
func (f *finder) blockInMemory(c *found) (best *judged, all []mem.VA) {
	if c.memory == nil {
		best, all = f.searchBlock(c.space, c.image)
		c.memory = &inMemory{best, all}
	}
	return c.memory.best, c.memory.all
}

// inMemory is what the search in memory found: the best block, and the addresses
// of all that passed.
type inMemory struct {
	best *judged
	all  []mem.VA
}

func (f *finder) searchBlock(s *paging.Space, img *pe.Image) (best *judged, all []mem.VA) {
	consider := func(k windows.KDBG) {
		c, refused, reason := windows.Validate(s, img.Base, img.SizeOfImage, k)
		if refused || c > windows.MaxContradictions {
			f.refuse("debugger block at %v (%s): %v", k.VA, k.FoundBy, reason)
			return
		}
		all = append(all, k.VA)
		if best == nil || c < best.contradictions {
			best = &judged{k, c, reason}
		}
	}
	for _, equal := range []bool{true, false} {
		for _, at := range f.findBlocks(s, img, equal) {
			k, err := at.Read(s)
			if err != nil {
				f.refuse("debugger block at %v: %v", at.VA, err)
				continue
			}
			consider(k)
		}
		if best != nil && best.contradictions == 0 {
			return best, all
		}
	}
	for _, n := range f.notes {
		k, err := windows.ByCopy(s, n.kdbg, n.copy)
		if err != nil {
			f.refuse("the guest's dump header note: %v", err)
			continue
		}
		consider(k)
	}
	return best, all
}

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
