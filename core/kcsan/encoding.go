package kcsan

// Geometry of watchpoints, kernel/kcsan/encoding.h.
const (
	PageSize = 4096 // SLOT_RANGE: addresses of one page share a slot

	// CheckAdjacent is how many neighbouring slots are searched on each side.
	CheckAdjacent = 1
	// NumSlots is how many slots one access may find its watchpoint in.
	NumSlots = 2*CheckAdjacent + 1

	// MaxEncodableSize is the largest access that can be watched.
	MaxEncodableSize = PageSize * (1 + CheckAdjacent)

	watchpointWrite     = 1 << 63
	watchpointSizeShift = 49
	watchpointSizeMask  = 1<<14 - 1
)

// Watchpoint values that encode no access.
const (
	FreeWatchpoint     = 0 // INVALID_WATCHPOINT
	ConsumedWatchpoint = 1 // CONSUMED_WATCHPOINT: hit, to be reported
)

// AddrMask is WATCHPOINT_ADDR_MASK: the bits of an address that survive the
// encoding.
func (v Version) AddrMask() uint64 { return 1<<v.Features().AddrBits - 1 }

// EncodeWatchpoint packs an access into a watchpoint. It answers false for what
// the kernel does not watch: the first page and accesses larger than
// [MaxEncodableSize].
func (v Version) EncodeWatchpoint(addr, size uint64, write bool) (uint64, bool) {
	if addr < PageSize || size > MaxEncodableSize {
		return 0, false
	}
	w := size<<watchpointSizeShift | addr&v.AddrMask()
	if write {
		w |= watchpointWrite
	}
	return w, true
}

// DecodeWatchpoint unpacks a watchpoint: the masked address, size and whether it
// is for a write. It answers false for the values that encode no access.
func (v Version) DecodeWatchpoint(w uint64) (addr, size uint64, write, ok bool) {
	if w == FreeWatchpoint || w == ConsumedWatchpoint {
		return 0, 0, false, false
	}
	return w & v.AddrMask(), w >> watchpointSizeShift & watchpointSizeMask, w&watchpointWrite != 0, true
}

// MatchesWatchpoint reports whether an access at addr hits a watchpoint for
// (waddr, wsize) when only the encoded address bits are known.
func (v Version) MatchesWatchpoint(waddr, wsize, addr, size uint64) bool {
	mask := v.AddrMask()
	return overlaps(waddr&mask, wsize, addr&mask, size)
}

// SlotIndex returns the first of the [NumSlots] slots that an address uses in a
// table of n watchpoints (which has n + NumSlots - 1 entries).
func SlotIndex(addr uint64, n int) int { return int(addr / PageSize % uint64(n)) }
