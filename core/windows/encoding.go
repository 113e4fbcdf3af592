package windows

import (
	"encoding/binary"
	"math/bits"
)

// Key decodes a debugger block. Windows 8 and later keep it encoded while no debugger is
// attached (the decoding is in upstream elf2dmp 10.2.2, main.c, and in
// Volatility 2, win32/kdbg.py). Per 64-bit word, with r = KiWaitNever mod
// 64 and A the address of KdpDataBlockEncoded:
//
//	plain = bswap(rol(encoded ^ KiWaitNever, r) ^ A) ^ KiWaitAlways
//
// rol and bswap are linear over xor, so this is bswap(rol(encoded, r)) ^ K with
// one constant K for a whole boot. That is what makes the block decodable
// without symbols: two words in a row, of which the plain values are known but
// for the size, give r, and one of them K.
type Key struct {
	rotation int    // r
	constant uint64 // K
}

// KeyOf makes the key from the kernel's variables, as a PDB names them.
func KeyOf(never, always, flag uint64) Key {
	r := int(never % 64)
	return Key{r, bits.ReverseBytes64(bits.RotateLeft64(never, r)^flag) ^ always}
}

// word decodes one word.
func (k Key) word(encoded uint64) uint64 {
	return bits.ReverseBytes64(bits.RotateLeft64(encoded, k.rotation)) ^ k.constant
}

// decode gives the plain form of an encoded block; a rest shorter than a word
// is left out.
func (k Key) Decode(encoded []byte) []byte {
	plain := make([]byte, len(encoded)&^7)
	for i := 0; i < len(plain); i += 8 {
		binary.LittleEndian.PutUint64(plain[i:], k.word(binary.LittleEndian.Uint64(encoded[i:])))
	}
	return plain
}

// SaneSize reports whether a debugger block can have this size: at least Windows
// XP's, and some room above the newest known (0x3a8). The list of sizes is open
// at its end, so no search asks for those of releases that are known.
func SaneSize(size uint32) bool { return size >= KDBGMinBytes && size <= KDBGMaxBytes && size%8 == 0 }

// keyFrom finds the key by which the encoded words e2 (tag and size) and e3
// (KernBase) decode to a debugger block of the kernel at base.
func keyFrom(e2, e3, base uint64) (Key, bool) {
	x := e2 ^ e3
	// bswap(rol(x, r)) must have this in its low half; swapped, it is the high
	// half of rol(x, r): one comparison a rotation.
	want := bits.ReverseBytes32(uint32(base) ^ kdTagValue)
	for r := range 64 {
		v := bits.RotateLeft64(x, r)
		if uint32(v>>32) != want {
			continue
		}
		if size := uint32((bits.ReverseBytes64(v) ^ base) >> 32); SaneSize(size) {
			return Key{r, bits.ReverseBytes64(bits.RotateLeft64(e3, r)) ^ base}, true
		}
	}
	return Key{}, false
}

// blindGuess is what the first words of an encoded block say where the kernel's
// base is not known.
type blindGuess struct {
	Key
	base uint64
}

// keysBlind lists the keys by which e2 and e3 decode to the tag with a sane size
// and a page-aligned base among the kernel's image addresses, and link to an
// address in the image at that base. Of the size and the base's high half only
// their sum is known, so that one block gives up to 32 bases; that link and base
// have the same high half needs neither, and keeps accidents out.
func keysBlind(link, e2, e3 uint64) (out []blindGuess) {
	x, y := e2^e3, link^e3
	for r := range 64 {
		v := bits.ReverseBytes64(bits.RotateLeft64(x, r))
		low := uint32(v) ^ kdTagValue
		if low&0xfff != 0 {
			continue
		}
		// A carry into the high half, where the image crosses 4 GiB, gives ones.
		if carry := bits.ReverseBytes64(bits.RotateLeft64(y, r)) >> 32; carry&(carry+1) != 0 {
			continue
		}
		for size := uint32(KDBGMinBytes); size <= KDBGMaxBytes; size += 8 {
			high := uint32(v>>32) ^ size
			if high>>8 != 0xfffff8 {
				continue
			}
			base := uint64(high)<<32 | uint64(low)
			g := blindGuess{Key{r, bits.ReverseBytes64(bits.RotateLeft64(e3, r)) ^ base}, base}
			if at := g.word(link); at > base && at-base < ImageReach {
				out = append(out, g)
			}
		}
	}
	return out
}
