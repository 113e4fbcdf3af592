package windows

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
)

// Offsets of the export directory. Source: Microsoft's
// "PE Format" document.
const (
	exportVersion = 0x08 // u16 major, u16 minor
	exportName    = 0x0c // RVA of the module's name
	exportCounts  = 0x14 // number of functions, of names
	exportTables  = 0x1c // RVAs of functions, names, ordinals
	exportBytes   = 0x28
	maxExports    = 1 << 16
)

// ExportedAt gives the address of an image's export. The names are sorted, so
// that few pages are read; false: it is not there, or its pages are not.
func ExportedAt(s *paging.Space, img *pe.Image, name string) (mem.VA, bool) {
	at := func(rva uint32, p []byte) bool {
		return uint64(rva)+uint64(len(p)) <= uint64(img.SizeOfImage) && s.ReadAt(p, img.Base+mem.VA(rva)) == nil
	}
	var word [8]byte
	start, size := img.ExportDirectory()
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

// Where an export directory may lie without an image's header: its tables follow
// it at once.
const (
	exportNameBytes = 16        // of the module, that are looked at
	exportTablePage = 16 * 4096 // to its first table at most
)

// ExportMarks appends the export directories in p, which lies at va, whose
// module's name is one of names; from is how many bytes of p may be the first of
// one. Its tables are at RVAs a little above its own, which with the address
// gives the image's base.
func ExportMarks(out []ImageMark, s *paging.Space, p []byte, va mem.VA, from int, names func(string) bool) []ImageMark {
	for off := 0; off+exportBytes <= len(p) && off < from; off += 4 {
		first := u32(p, off+exportTables)
		if first == 0 || u32(p, off) != 0 || u32(p, off+exportVersion) != 0 || first >= ImageReach {
			continue
		}
		functions, count, name := u32(p, off+exportCounts), u32(p, off+exportCounts+4), u32(p, off+exportName)
		second, third := u32(p, off+exportTables+4), u32(p, off+exportTables+8)
		if functions == 0 || functions > maxExports || count > maxExports || name >= ImageReach || second <= first || third <= second || third >= ImageReach {
			continue
		}
		at := va + mem.VA(off)
		for rva := mem.VA(first - 1); at > rva && mem.VA(first)-rva <= exportTablePage; rva-- {
			// The next lower RVA on the same place of a page.
			rva -= (rva - at) & (mem.PageSize - 1)
			if rva > mem.VA(first) {
				break
			}
			var text [exportNameBytes]byte
			if base := at - rva; rva+exportBytes <= mem.VA(first) && s.ReadAt(text[:], base+mem.VA(name)) == nil && names(cString(text[:])) {
				out = append(out, ImageMark{Kind: MarkExports, VA: at, Base: base})
				break
			}
		}
	}
	return out
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
