package windows

import (
	"encoding/binary"

	"coredrop/core/mem"
)

// ImageReach is how far from its base anything of the kernel's image can lie:
// the largest are some 30 MiB.
const ImageReach = 64 << 20

// MarkKind says what a Mark of an image is.
type MarkKind int

// The kinds of marks.
const (
	MarkVersion MarkKind = iota // the version block
	MarkBlock                   // the debugger block
	MarkExports                 // the export directory
)

// String names it in sentences.
func (k MarkKind) String() string {
	return [...]string{"version block", "debugger block", "export directory"}[k]
}

// ImageMark is something of a kernel's image that tells where the image begins.
type ImageMark struct {
	Kind MarkKind
	VA   mem.VA // where it lies
	Base mem.VA // of the image, as it says
	// Modules is the module list's head, as a version block has it; 0 elsewhere.
	Modules mem.VA
}

// ImageMarks appends the version blocks and debugger blocks in p, which lies at
// va; from is how many bytes of p may be the first of one. Both name the base of
// their image, which must lie a little below them, on a page's boundary: by that
// a debugger block encoded with an unknown key is known too.
func ImageMarks(out []ImageMark, p []byte, va mem.VA, from int) []ImageMark {
	for off := 0; off+VersionBytes <= len(p) && off < from; off += 8 {
		at := va + mem.VA(off)
		third := binary.LittleEndian.Uint64(p[off+16 : off+24])
		if within(at, mem.VA(third)) && IsVersion(p[off:], mem.VA(third), 0) {
			out = append(out, ImageMark{MarkVersion, at, mem.VA(third), mem.VA(u64(p, off+verModuleList))})
			continue
		}
		if uint32(third) == kdTagValue {
			if base := mem.VA(u64(p, off+kdKernBase)); within(at, base) && SaneSize(uint32(third>>32)) {
				out = append(out, ImageMark{Kind: MarkBlock, VA: at, Base: base})
			}
			continue
		}
		if link := binary.LittleEndian.Uint64(p[off : off+8]); link == binary.LittleEndian.Uint64(p[off+8:off+16]) && link != 0 {
			for _, g := range keysBlind(link, third, u64(p, off+kdKernBase)) {
				if base := mem.VA(g.base); within(at, base) {
					out = append(out, ImageMark{Kind: MarkBlock, VA: at, Base: base})
				}
			}
		}
	}
	return out
}

// within reports whether an image at base can hold what lies at va.
func within(va, base mem.VA) bool {
	return base%mem.PageSize == 0 && base>>47 == 1<<17-1 && va > base && va-base < ImageReach
}
