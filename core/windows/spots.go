package windows

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// SpotBytes is how many bytes tell where a debugger block begins.
const SpotBytes = 0x20

// MaxSpots bounds what Spots collects.
const MaxSpots = 256

// Spot is a place where a debugger block may begin.
type Spot struct {
	VA    mem.VA
	plain bool
	key   Key // where it is not in clear
}

// Spots appends the places in p, which lies at va, where a block of the kernel at
// base begins, in clear or encoded with any key; from is how many bytes of p may
// be the first of one. With equal, only where both links of the block's list
// entry are the same word, which needs no key to be seen and is so on an ordinary
// kernel; without, everywhere.
func Spots(out []Spot, p []byte, va, base mem.VA, from int, equal bool) []Spot {
	for off := 0; off+SpotBytes <= len(p) && off < from && len(out) < MaxSpots; off += 8 {
		e2, e3 := u64(p, off+kdTag), u64(p, off+kdKernBase)
		if uint32(e2) == kdTagValue && e3 == uint64(base) {
			out = append(out, Spot{VA: va + mem.VA(off), plain: true})
			continue
		}
		if e2 == e3 || equal && binary.LittleEndian.Uint64(p[off:]) != u64(p, off+kdBlink) {
			continue
		}
		if k, ok := keyFrom(e2, e3, uint64(base)); ok {
			out = append(out, Spot{VA: va + mem.VA(off), key: k})
		}
	}
	return out
}

// Read reads the whole block of a spot.
func (at Spot) Read(s *paging.Space) (KDBG, error) {
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], at.VA); err != nil {
		return KDBG{}, err
	}
	size := u32(head[:], kdSize)
	if !at.plain {
		size = uint32(at.key.word(u64(head[:], kdTag)) >> 32)
	}
	if !SaneSize(size) {
		return KDBG{}, fmt.Errorf("size %#x", size)
	}
	raw := make([]byte, size)
	if err := s.ReadAt(raw, at.VA); err != nil {
		return KDBG{}, err
	}
	k := KDBG{VA: at.VA, Size: size, Plain: raw, FoundBy: FoundByPlain}
	if !at.plain {
		k.Encoded, k.Plain, k.FoundBy, k.key = true, at.key.Decode(raw), FoundByKnownPlaintext, at.key
	}
	return k, nil
}

// Blind is a debugger block found without knowing the kernel's base.
type Blind struct {
	PA   mem.PA
	Base mem.VA // of the kernel that it names
	Link mem.VA // the list's head, where its list entry leads
}

// Blinds appends the debugger blocks that a page may hold, found by their
// first four words alone: the rest may lie in a page elsewhere. One look at each
// word finds the tag of a block in clear and the equal links of an encoded one,
// so that a pass costs little more than reading. An encoded block is given once
// for each base that it may name.
func Blinds(out []Blind, p *[mem.PageSize]byte, pa mem.PA) []Blind {
	var before uint64
	for at := 0; at < mem.PageSize; at += 8 {
		w := binary.LittleEndian.Uint64(p[at : at+8])
		if w == before && w != 0 {
			out = blindEqual(out, p[:], at-8, pa)
		} else if uint32(w) == kdTagValue && SaneSize(uint32(w>>32)) && at >= kdTag && at+16 <= mem.PageSize {
			if base := u64(p[:], at+8); base&0xfff == 0 && base>>40 == 0xfffff8 {
				out = append(out, Blind{pa + mem.PA(at-kdTag), mem.VA(base), mem.VA(u64(p[:], at-kdTag))})
			}
		}
		before = w
	}
	return out
}

// blindEqual appends the encoded blocks that two equal words at off may begin.
func blindEqual(out []Blind, p []byte, off int, pa mem.PA) []Blind {
	if off+SpotBytes > len(p) {
		return out
	}
	link, e2, e3 := u64(p, off), u64(p, off+kdTag), u64(p, off+kdKernBase)
	if e2 == e3 || e2 == link {
		return out
	}
	for _, g := range keysBlind(link, e2, e3) {
		out = append(out, Blind{pa + mem.PA(off), mem.VA(g.base), mem.VA(g.word(link))})
	}
	return out
}

// Shown gives the block's address in a space that shows it where the kernel has
// it: its list's head leads to an address that is mapped to it.
func (b Blind) Shown(s *paging.Space) (va mem.VA, ok bool) {
	first, err := s.Uint64(b.Link)
	if err != nil {
		return 0, false
	}
	pa, _, err := s.Translate(mem.VA(first))
	return mem.VA(first), err == nil && pa == b.PA
}

// InClear reports whether the head of a debugger block lies at va, in clear, and
// the kernel's base that it names. ok is false where the memory cannot be read.
func InClear(s *paging.Space, va mem.VA) (base mem.VA, clear, ok bool) {
	var head [kdHeaderSize + 8]byte
	if s.ReadAt(head[:], va) != nil {
		return 0, false, false
	}
	return mem.VA(u64(head[:], kdKernBase)), u32(head[:], kdTag) == kdTagValue, true
}

// ByCopy gives the debugger block at va of which the guest keeps a decoded copy,
// after checks: the copy must be a block, and what lies at va must be the same
// block, in clear or encoded with one key for all of its words. The bytes are
// those at va, decoded by that key: the copy may be stale.
func ByCopy(s *paging.Space, va, at mem.VA) (KDBG, error) {
	plain, err := readPlain(s, at)
	if err != nil {
		return KDBG{}, fmt.Errorf("the copy at %v: %w", at, err)
	}
	raw := make([]byte, len(plain))
	if err := s.ReadAt(raw, va); err != nil {
		return KDBG{}, fmt.Errorf("the block at %v: %w", va, err)
	}
	k := KDBG{VA: va, Size: uint32(len(raw)), FoundBy: FoundByFwCfg}
	if u32(raw, kdTag) == kdTagValue {
		if u32(raw, kdSize) != k.Size || !bytes.Equal(raw[kdKernBase:kdKernBase+8], plain[kdKernBase:kdKernBase+8]) {
			return KDBG{}, fmt.Errorf("the block at %v is not the one of the copy", va)
		}
		k.Plain = raw
		return k, nil
	}
	// Behind the list entry, which a driver may have changed since, the two
	// must agree word by word.
	same := func(key Key) bool {
		for i := kdTag; i < len(raw); i += 8 {
			if key.word(binary.LittleEndian.Uint64(raw[i:])) != u64(plain, i) {
				return false
			}
		}
		return true
	}
	e := u64(raw, kdTag)
	for r := range 64 {
		try := Key{r, bits.ReverseBytes64(bits.RotateLeft64(e, r)) ^ u64(plain, kdTag)}
		if same(try) {
			k.Encoded, k.Plain = true, try.Decode(raw)
			return k, nil
		}
	}
	return KDBG{}, fmt.Errorf("the block at %v does not decode to the copy at %v", va, at)
}

// readPlain reads a debugger block that is in clear.
func readPlain(s *paging.Space, va mem.VA) ([]byte, error) {
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], va); err != nil {
		return nil, err
	}
	size := u32(head[:], kdSize)
	if u32(head[:], kdTag) != kdTagValue || !SaneSize(size) {
		return nil, fmt.Errorf("tag %#x, size %#x", u32(head[:], kdTag), size)
	}
	p := make([]byte, size)
	return p, s.ReadAt(p, va)
}

// ReadKDBG reads the debugger block at an address that a PDB names. key is asked
// where it is not in clear; its error is returned as it is. Others are
// *fault.Errors.
func ReadKDBG(s *paging.Space, va mem.VA, key func() (Key, error)) (KDBG, error) {
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], va); err != nil {
		return KDBG{}, fault.Wrap(err, fault.KDBGMissing, "the kernel's debugger block at %v could not be read: %v", va, err)
	}
	k := KDBG{VA: va, FoundBy: FoundByPDB}
	decode := func(p []byte) []byte { return p }
	if u32(head[:], kdTag) != kdTagValue {
		k.Encoded = true
		by, err := key()
		if err != nil {
			return KDBG{}, err
		}
		decode = by.Decode
		copy(head[:], decode(head[:]))
		if u32(head[:], kdTag) != kdTagValue {
			return KDBG{}, fault.New(fault.KDBGUndecodable, "the kernel's debugger block at %v could not be decoded by the PDB's KiWaitNever, KiWaitAlways and KdpDataBlockEncoded", va)
		}
	}
	if k.Size = u32(head[:], kdSize); !SaneSize(k.Size) {
		return KDBG{}, fault.New(fault.KDBGUndecodable, "the kernel's debugger block at %v says that it has %#x bytes", va, k.Size)
	}
	raw := make([]byte, k.Size)
	if err := s.ReadAt(raw, va); err != nil {
		return KDBG{}, fault.Wrap(err, fault.KDBGMissing, "the kernel's debugger block at %v ends early: %v", va, err)
	}
	k.Plain = decode(raw)
	return k, nil
}

// SpotAt gives the place of the kernel's block at an address, in clear or encoded
// with any key; false: there is none.
func SpotAt(s *paging.Space, va, base mem.VA) (Spot, bool) {
	var head [SpotBytes]byte
	if va%8 != 0 || s.ReadAt(head[:], va) != nil {
		return Spot{}, false
	}
	spots := Spots(nil, head[:], va, base, 8, false)
	if len(spots) == 0 {
		return Spot{}, false
	}
	return spots[0], true
}
