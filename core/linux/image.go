package linux

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// The x86-64 kernel's own mapping, arch/x86/include/asm/page_64_types.h and
// Documentation/arch/x86/x86_64/mm.rst.
const (
	kernelMap     = 0xffffffff80000000 // __START_KERNEL_map
	kernelMapSize = 1 << 30            // KERNEL_IMAGE_SIZE with KASLR
	moduleStart   = 0xffffffffa0000000 // MODULES_VADDR without KASLR (then at kernelMap+1 GiB)
	moduleEnd     = 0xffffffffff000000 // MODULES_END
	kernelHalf    = 0xff00000000000000 // lowest kernel address with 5-level tables

	// linkText is where _text is linked: __START_KERNEL_map plus
	// CONFIG_PHYSICAL_START, which every distribution leaves alone.
	linkText = 0xffffffff81000000
)

// maxImage bounds how much of the kernel image is believed to be mapped: all that
// there is room for. The largest distribution kernels have about 100 MiB, one
// with sanitizers and debugging more than 256.
const maxImage = kernelMapSize

// bannerReach is how far behind the beginning of the image's read-only data the
// banner is looked for first: at 0x1a0 to 0x61000 in the kernels measured.
const bannerReach = 1 << 20

// span is a mapped range of virtual addresses.
type span struct{ start, end uint64 }

func (s span) holds(a uint64) bool { return a >= s.start && a < s.end }

// mapped lists what is mapped between from and to, in ascending order, at most
// limit bytes of it.
func mapped(s *paging.Space, from, to, limit uint64) []span {
	var out []span
	for a := from; a < to && limit > 0; {
		_, left, err := s.Translate(mem.VA(a))
		if err != nil {
			next := a + paging.Skip(mem.VA(a), err)
			if next <= a {
				break
			}
			a = next
			continue
		}
		left = min(left, to-a, limit)
		if n := len(out); n > 0 && out[n-1].end == a {
			out[n-1].end += left
		} else {
			out = append(out, span{a, a + left})
		}
		a += left
		limit -= left
	}
	return out
}

// dataStart is where the image's read-only data begins: behind its code, where
// the pages cease to be executable. Both are aligned to 2 MiB (ALIGN_RODATA,
// arch/x86/kernel/vmlinux.lds.S). Without the no-execute bit it is the image's
// own beginning.
func dataStart(s *paging.Space, spans []span) uint64 {
	const large = 2 << 20
	for _, p := range spans {
		for a := p.start; a < p.end; a += large - a%large {
			if entry, err := s.Leaf(mem.VA(a)); err == nil && entry&paging.NoExecute != 0 {
				return a
			}
		}
	}
	if len(spans) == 0 {
		return 0
	}
	return spans[0].start
}

// within is what of the spans lies in the limit bytes from start on.
func within(spans []span, start, limit uint64) []span {
	var out []span
	for _, p := range spans {
		if p := (span{max(p.start, start), min(p.end, start+limit)}); p.start < p.end {
			out = append(out, p)
		}
	}
	return out
}
