package windows

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
)

// Offsets of the export directory and of what leads to it. Source: Microsoft's
// "PE Format" document.
const (
	exportDirectory = 0x88 // of the NT headers (PE32+): RVA and size
	exportCounts    = 0x14 // number of functions, of names
	exportTables    = 0x1c // RVAs of functions, names, ordinals
	exportBytes     = 0x28
	maxExports      = 1 << 16
	dosNewHeader    = 0x3c
)

// exportedAt gives the address of an image's export. The names are sorted, so
// that few pages are read; false: it is not there, or its pages are not.
func ExportedAt(s *paging.Space, img *pe.Image, name string) (mem.VA, bool) {
	at := func(rva uint32, p []byte) bool {
		return uint64(rva)+uint64(len(p)) <= uint64(img.SizeOfImage) && s.ReadAt(p, img.Base+mem.VA(rva)) == nil
	}
	var word [8]byte
	if !at(dosNewHeader, word[:4]) || !at(u32(word[:], 0)+exportDirectory, word[:]) {
		return 0, false
	}
	start, size := u32(word[:], 0), u32(word[:], 4)
	var dir [exportBytes]byte
	if start == 0 || !at(start, dir[:]) {
		return 0, false
	}
	functions, names := u32(dir[:], exportCounts), u32(dir[:], exportCounts+4)
	if functions > maxExports || names > maxExports {
		return 0, false
	}
	text := make([]byte, len(name)+1)
	for lo, hi := uint32(0), names; lo < hi; {
		mid := (lo + hi) / 2
		if !at(u32(dir[:], exportTables+4)+4*mid, word[:4]) || !at(u32(word[:], 0), text) {
			return 0, false
		}
		switch got := cString(text); {
		case got < name:
			lo = mid + 1
		case got > name:
			hi = mid
		default:
			if !at(u32(dir[:], exportTables+8)+2*mid, word[:2]) {
				return 0, false
			}
			index := uint32(u16(word[:], 0))
			if index >= functions || !at(u32(dir[:], exportTables)+4*index, word[:4]) {
				return 0, false
			}
			rva := u32(word[:], 0)
			// Inside the directory it is the name of another image's export.
			forwarded := rva >= start && rva-start < size
			return img.Base + mem.VA(rva), rva != 0 && rva < img.SizeOfImage && !forwarded
		}
	}
	return 0, false
}

// cString gives the bytes before the first NUL, or all.
func cString(p []byte) string {
	for i, c := range p {
		if c == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}
