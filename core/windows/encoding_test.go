package windows

import (
	"encoding/binary"
	"math/bits"
	"math/rand"
	"slices"
	"testing"

	"coredrop/core/mem"
)

func words(values ...uint64) (p []byte) {
	for _, v := range values {
		p = binary.LittleEndian.AppendUint64(p, v)
	}
	return p
}

// encoded encodes a block as Windows does.
func encoded(plain []byte, never, always, flag uint64) []byte {
	out := make([]byte, len(plain))
	for i := 0; i < len(plain); i += 8 {
		p := binary.LittleEndian.Uint64(plain[i:])
		binary.LittleEndian.PutUint64(out[i:], bits.RotateLeft64(bits.ReverseBytes64(p^always)^flag, -int(never&63))^never)
	}
	return out
}

func TestKeyFromIsTight(t *testing.T) {
	random := rand.New(rand.NewSource(3))
	hits := 0
	for range 1 << 20 {
		if _, ok := keyFrom(random.Uint64(), random.Uint64(), 0xfffff80412345000); ok {
			hits++
		}
	}
	if hits > 0 {
		t.Errorf("%d accidents in a million random pairs", hits)
	}
}

// TestBlindKeys: a block of any size is found without its kernel's base; the list
// of sizes has no end that a release could reach.
func TestBlindKeys(t *testing.T) {
	for _, base := range []uint64{0xfffff80412345000, 0xfffff803ffff0000} { // the second crosses 4 GiB
		link := base + 0x1b010
		for r := range uint64(64) {
			for size := uint32(0x290); size <= 0x1000; size += 8 {
				p := words(link, link, kdTagValue|uint64(size)<<32, base)
				e := encoded(p, 0x7c5e23aa9b001200|r, 0x99aa77bb55cc33dd, 0xfffff80412340020)
				at := []int{0, 0x128, 0xfe0}[size/8%3]
				var page [mem.PageSize]byte
				copy(page[at:], e)
				all := Blinds(nil, &page, 0x5000)
				if want := (Blind{0x5000 + mem.PA(at), mem.VA(base), mem.VA(link)}); !slices.Contains(all, want) || len(all) > 32 {
					t.Fatalf("rotation %d, size %#x at %#x: not among %v", r, size, at, all)
				}
			}
		}
	}
}

func TestBlindKeysAreTight(t *testing.T) {
	random := rand.New(rand.NewSource(4))
	hits := 0
	for range 1 << 20 {
		hits += len(keysBlind(random.Uint64(), random.Uint64(), random.Uint64()))
	}
	if hits > 0 {
		t.Errorf("%d accidents in a million random heads", hits)
	}
}

// TestImageMarks: what names a base is a mark where the base lies a little below.
func TestImageMarks(t *testing.T) {
	const base, at = 0xfffff80412345000, 0xfffff80412360000
	version := append([]byte{0xf, 0, 0x61, 0x4a, 6, 2, 0x47, 0}, words(0x31030c8664, base, at+0x500, at+0x600)...)
	plain := words(at+0x500, at+0x500, kdTagValue|0x3b8<<32, base)
	for name, c := range map[string]struct {
		p    []byte
		want ImageMark
	}{
		"version block": {version, ImageMark{MarkVersion, at + 8, base, at + 0x500}},
		"in clear":      {plain, ImageMark{Kind: MarkBlock, VA: at + 8, Base: base}},
		"encoded":       {encoded(plain, 0x7c5e23aa9b00121f, 0x99aa77bb55cc33dd, at+0x20), ImageMark{Kind: MarkBlock, VA: at + 8, Base: base}},
	} {
		p := append(append(make([]byte, 8), c.p...), make([]byte, 0x40)...)
		if all := ImageMarks(nil, p, at, len(p)); len(all) != 1 || all[0] != c.want {
			t.Errorf("%s: %v", name, all)
		}
		if all := ImageMarks(nil, p, at+ImageReach, len(p)); len(all) != 0 {
			t.Errorf("%s, far from its image: %v", name, all)
		}
		if all := ImageMarks(nil, p, at, 8); len(all) != 0 {
			t.Errorf("%s, behind what may be the first: %v", name, all)
		}
	}
}
