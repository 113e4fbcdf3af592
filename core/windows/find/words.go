package find

import "encoding/binary"

func u16(p []byte, off int) uint16 { return binary.LittleEndian.Uint16(p[off:]) }
func u32(p []byte, off int) uint32 { return binary.LittleEndian.Uint32(p[off:]) }
func u64(p []byte, off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }
