package windows

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
)

// Bounds of the search in an image's writable sections.
const (
	maxScanBytes  = 64 << 20  // of one image: real ones have some 4 MiB
	scanBudget    = 512 << 20 // of all candidates together
	scanWindow    = 256 << 10
	scanOverlap   = 0x20 // the first four words of a block may cross a window
	maxCandidates = 256
)

// spot is a place in the image where a debugger block may begin.
type spot struct {
	va    mem.VA
	plain bool
	key   key // where it is not in clear
}

// findBlocks looks through an image's writable sections for debugger blocks of
// the kernel at its base, in clear or encoded with any key. With equal, only
// where both links of the block's list entry are the same word, which needs no
// key to be seen and is so on an ordinary kernel; without, everywhere.
func (f *finder) findBlocks(s *paging.Space, img *pe.Image, equal bool) (out []spot) {
	left := min(f.scan, maxScanBytes)
	window := make([]byte, scanWindow+scanOverlap)
	for _, sec := range img.Sections {
		if sec.Characteristics&sectionWrite == 0 || sec.VirtualAddress >= img.SizeOfImage {
			continue
		}
		size := min(uint64(sec.VirtualSize), uint64(img.SizeOfImage-sec.VirtualAddress), left)
		left, f.scan = left-size, f.scan-size
		start := img.Base + mem.VA(sec.VirtualAddress)
		skip := mem.VA(-start & 7)
		for at := uint64(skip); at < size; at += scanWindow {
			p := window[:min(uint64(len(window)), size-at)]
			if readBest(s, p, start+mem.VA(at)) == 0 {
				continue
			}
			if out = scanWords(p, start+mem.VA(at), uint64(img.Base), equal, out); len(out) >= maxCandidates {
				return out
			}
		}
	}
	return out
}

// scanWords appends the places in p, which lies at va, where a block begins.
func scanWords(p []byte, va mem.VA, base uint64, equal bool, out []spot) []spot {
	for off := 0; off+scanOverlap <= len(p) && off < scanWindow && len(out) < maxCandidates; off += 8 {
		e2, e3 := u64(p, off+kdTag), u64(p, off+kdKernBase)
		if uint32(e2) == kdTagValue && e3 == base {
			out = append(out, spot{va: va + mem.VA(off), plain: true})
			continue
		}
		if e2 == e3 || equal && binary.LittleEndian.Uint64(p[off:]) != u64(p, off+kdBlink) {
			continue
		}
		if k, ok := keyFrom(e2, e3, base); ok {
			out = append(out, spot{va: va + mem.VA(off), key: k})
		}
	}
	return out
}

// blockAt reads the whole block of a spot.
func blockAt(s *paging.Space, at spot) (KDBG, error) {
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], at.va); err != nil {
		return KDBG{}, err
	}
	size := u32(head[:], kdSize)
	if !at.plain {
		size = uint32(at.key.word(u64(head[:], kdTag)) >> 32)
	}
	if !sane(size) {
		return KDBG{}, fmt.Errorf("size %#x", size)
	}
	raw := make([]byte, size)
	if err := s.ReadAt(raw, at.va); err != nil {
		return KDBG{}, err
	}
	k := KDBG{VA: at.va, Size: size, Plain: raw, FoundBy: FoundByPlain}
	if !at.plain {
		k.Encoded, k.Plain, k.FoundBy, k.key = true, at.key.decode(raw), FoundByKnownPlaintext, at.key
	}
	return k, nil
}

// judged is a block with its validation's outcome.
type judged struct {
	block          KDBG
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
	consider := func(k KDBG) {
		c, refused, reason := validate(s, img.Base, img.SizeOfImage, k)
		if refused || c > maxContradictions {
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
			k, err := blockAt(s, at)
			if err != nil {
				f.refuse("debugger block at %v: %v", at.va, err)
				continue
			}
			consider(k)
		}
		if best != nil && best.contradictions == 0 {
			return best, all
		}
	}
	for _, n := range f.notes {
		k, err := fwcfgBlock(s, n)
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
func (f *finder) blockByPDB(s *paging.Space, img *pe.Image, sym symbols) (KDBG, mem.VA, error) {
	at := func(name string) (mem.VA, error) {
		rva, ok := sym.rvas[name]
		if !ok {
			return 0, fault.New(fault.SymbolMissing, "the PDB has no %s", name)
		}
		return img.Base + mem.VA(rva), nil
	}
	va, err := at(symDebuggerBlock)
	if err != nil {
		return KDBG{}, 0, err
	}
	flag, _ := at(symEncodedFlag)
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], va); err != nil {
		return KDBG{}, flag, fault.Wrap(err, fault.KDBGMissing, "the kernel's debugger block at %v could not be read: %v", va, err)
	}
	k := KDBG{VA: va, FoundBy: FoundByPDB}
	decode := func(p []byte) []byte { return p }
	if u32(head[:], kdTag) != kdTagValue {
		k.Encoded = true
		var values [2]uint64
		for i, name := range []string{symWaitNever, symWaitAlways} {
			p, err := at(name)
			if err != nil {
				return KDBG{}, flag, err
			}
			if values[i], err = s.Uint64(p); err != nil {
				return KDBG{}, flag, fault.Wrap(err, fault.KDBGUndecodable, "the kernel's debugger block could not be decoded: %s: %v", name, err)
			}
			f.logf("%s at %v = %#x", name, p, values[i])
		}
		if flag == 0 {
			_, err := at(symEncodedFlag)
			return KDBG{}, 0, err
		}
		decode = keyOf(values[0], values[1], uint64(flag)).decode
		copy(head[:], decode(head[:]))
		if u32(head[:], kdTag) != kdTagValue {
			return KDBG{}, flag, fault.New(fault.KDBGUndecodable, "the kernel's debugger block at %v could not be decoded by the PDB's KiWaitNever, KiWaitAlways and KdpDataBlockEncoded", va)
		}
	}
	if k.Size = u32(head[:], kdSize); !sane(k.Size) {
		return KDBG{}, flag, fault.New(fault.KDBGUndecodable, "the kernel's debugger block at %v says that it has %#x bytes", va, k.Size)
	}
	raw := make([]byte, k.Size)
	if err := s.ReadAt(raw, va); err != nil {
		return KDBG{}, flag, fault.Wrap(err, fault.KDBGMissing, "the kernel's debugger block at %v ends early: %v", va, err)
	}
	k.Plain = decode(raw)
	return k, flag, nil
}
