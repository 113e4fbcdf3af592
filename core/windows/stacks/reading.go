package stacks

import (
	"encoding/binary"
	"unicode/utf16"
)

func u16(p []byte, off int) uint16 { return binary.LittleEndian.Uint16(p[off:]) }
func u32(p []byte, off int) uint32 { return binary.LittleEndian.Uint32(p[off:]) }
func u64(p []byte, off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }

// utf16Text decodes UTF-16.
func utf16Text(raw []byte) string {
	var u []uint16
	for ; len(raw) >= 2; raw = raw[2:] {
		u = append(u, u16(raw, 0))
	}
	return string(utf16.Decode(u))
}
