package windows

import (
	"encoding/binary"
	"errors"

	"unicode/utf16"

	"coredrop/core/mem"
)

// inImage reports whether bytes from va on lie inside [base, base+size).
func InImage(va, base mem.VA, size uint32, bytes uint64) bool {
	return va >= base && uint64(va-base)+bytes <= uint64(size)
}

// unknown reports whether an error says only that the core does not hold the
// bytes: nothing is proved either way.
func unknown(err error) bool { return errors.Is(err, mem.ErrHole) }

// utf16String decodes UTF-16 up to a NUL.
func utf16String(raw []byte) string {
	var u []uint16
	for ; len(raw) >= 2; raw = raw[2:] {
		c := binary.LittleEndian.Uint16(raw)
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

func u16(p []byte, off int) uint16 { return binary.LittleEndian.Uint16(p[off:]) }
func u32(p []byte, off int) uint32 { return binary.LittleEndian.Uint32(p[off:]) }
func u64(p []byte, off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }
