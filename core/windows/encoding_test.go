package windows

import (
	"encoding/binary"
	"math/bits"
	"math/rand"
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

func TestBlindKeys(t *testing.T) {
	base := uint64(0xfffff80412345000)
	for r := range uint64(64) {
		for _, size := range releaseSizes {
			p := words(0xfffff80412360010, 0xfffff80412360010, kdTagValue|uint64(size)<<32, base)
			e := encoded(p, 0x7c5e23aa9b001200|r, 0x99aa77bb55cc33dd, 0xfffff80412340020)
			for _, at := range []int{0, 0x128, 0xfe0} {
				var page [mem.PageSize]byte
				copy(page[at:], e)
				found := false
				for _, b := range Blinds(nil, &page, 0x5000) {
					found = found || b.PA == 0x5000+mem.PA(at) && uint64(b.Base) == base
				}
				if !found {
					t.Fatalf("rotation %d, size %#x at %#x: not found", r, size, at)
				}
			}
		}
	}
}
