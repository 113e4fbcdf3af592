package dump

import (
	"fmt"
	"io"
	"math/bits"

	"coredrop/core/mem"
)

// The bitmap header behind the dump header. Source: kdmp-parser, LeechCore and
// volatility3, which read it alike.
var (
	bitmapSignature = Field{0x00, 8}
	bitmapFirstPage = Field{0x20, 8} // file offset of the first page
	bitmapSet       = Field{0x28, 8} // number of set bits
	bitmapBits      = Field{0x30, 8} // number of bits
)

const (
	bitmapHeader = 0x38

	// MaxBits bounds a bitmap: LeechCore reads up to 0x7fffffff, whole 64 only.
	MaxBits = 0x7fffffc0

	// maxBitmapRuns bounds what a bitmap may make us allocate (128 MiB of
	// extents).
	maxBitmapRuns = 4 << 20

	// BitmapChunk is the size of a piece of a bitmap that is written. Pieces that
	// say the same of all their pages share one array, so that the bitmap costs
	// memory by the number of runs, not by the guest's size.
	BitmapChunk = 1 << 20
)

// The signatures of a bitmap: all of memory, or what the kernel uses of it.
const (
	BitmapOfAll    = "FDMPDUMP"
	BitmapOfKernel = "SDMPDUMP"
)

// Bitmap is the geometry of a bitmap dump.
type Bitmap struct {
	Bits, Set uint64
	FirstPage int64 // file offset of the page data
	Kernel    bool  // of a file: what the kernel uses, not all of memory
}

// BitmapOf gives the bitmap of sorted disjoint runs in a form.
func (f *Form) BitmapOf(runs []mem.Run) Bitmap {
	var b Bitmap
	for _, r := range runs {
		b.Set += r.Pages
		b.Bits = uint64(r.End()) / mem.PageSize
	}
	// Whole 64-bit words: LeechCore ignores a remainder, volatility3 reads words.
	b.Bits = (b.Bits + 63) &^ 63
	end := int64(f.Bytes) + bitmapHeader + int64(b.Bits/8)
	b.FirstPage = (end + mem.PageSize - 1) &^ (mem.PageSize - 1)
	return b
}

// PutBitmap hands over the bitmap of runs in pieces: its header, one bit a page,
// and zeros up to the first page. What is handed over may share its array.
func (f *Form) PutBitmap(signature string, runs []mem.Run, put func([]byte)) {
	b := f.BitmapOf(runs)
	head := make([]byte, bitmapHeader)
	copy(bitmapSignature.In(head), signature)
	bitmapFirstPage.Put(head, uint64(b.FirstPage))
	bitmapSet.Put(head, b.Set)
	bitmapBits.Put(head, b.Bits)

	// The head shares the first chunk, so that every piece is whole pages.
	uniform := map[byte][]byte{}
	total := b.FirstPage - int64(f.Bytes) - bitmapHeader // with the padding
	for at, n := int64(0), int64(0); at < total; at += n {
		n = min(BitmapChunk-int64(len(head)), total-at)
		lo, hi := uint64(at)*8, uint64(at+n)*8
		for len(runs) > 0 && uint64(runs[0].End())/mem.PageSize <= lo {
			runs = runs[1:]
		}
		if v, ok := uniformBits(runs, lo, hi); ok && n == BitmapChunk {
			if uniform[v] == nil {
				uniform[v] = make([]byte, BitmapChunk)
				for i := range uniform[v] {
					uniform[v][i] = v
				}
			}
			put(uniform[v])
			continue
		}
		chunk := make([]byte, int64(len(head))+n)
		p := chunk[copy(chunk, head):]
		head = nil
		for _, r := range runs {
			first, end := uint64(r.Start)/mem.PageSize, uint64(r.End())/mem.PageSize
			if first >= hi {
				break
			}
			setBits(p, max(first, lo)-lo, min(end, hi)-lo)
		}
		put(chunk)
	}
}

// uniformBits reports whether the pages lo to hi are all absent or all present;
// runs begins with the first run that ends behind lo.
func uniformBits(runs []mem.Run, lo, hi uint64) (byte, bool) {
	if len(runs) == 0 || uint64(runs[0].Start)/mem.PageSize >= hi {
		return 0, true
	}
	return 0xff, uint64(runs[0].Start)/mem.PageSize <= lo && uint64(runs[0].End())/mem.PageSize >= hi
}

func setBits(p []byte, lo, hi uint64) {
	for lo < hi && lo%8 != 0 {
		p[lo/8] |= 1 << (lo % 8)
		lo++
	}
	for ; lo+8 <= hi; lo += 8 {
		p[lo/8] = 0xff
	}
	for ; lo < hi; lo++ {
		p[lo/8] |= 1 << (lo % 8)
	}
}

// ReadBitmap reads the bitmap at an offset of a dump of size bytes: what is set
// becomes extents, whose pages follow one another from FirstPage on.
func ReadBitmap(r io.ReaderAt, at, size int64) (Bitmap, []mem.Extent, error) {
	var b Bitmap
	var head [bitmapHeader]byte
	if size < at+bitmapHeader {
		return b, nil, fmt.Errorf("the bitmap header is cut off")
	}
	if err := full(r, head[:], at); err != nil {
		return b, nil, err
	}
	if kind := string(bitmapSignature.In(head[:])); kind != BitmapOfAll && kind != BitmapOfKernel {
		return b, nil, fmt.Errorf("the bitmap's signature is %q", kind)
	}
	first, set, count := bitmapFirstPage.Get(head[:]), bitmapSet.Get(head[:]), bitmapBits.Get(head[:])
	if count%64 != 0 || count > MaxBits || set > count {
		return b, nil, fmt.Errorf("the bitmap has %d bits, %d of them set", count, set)
	}
	end := uint64(at + bitmapHeader + int64(count/8))
	if first%mem.PageSize != 0 || first < end || first > uint64(size) || set > (uint64(size)-first)/mem.PageSize {
		return b, nil, fmt.Errorf("%d pages from %#x on do not fit the dump's %#x bytes", set, first, size)
	}
	b = Bitmap{Bits: count, Set: set, FirstPage: int64(first), Kernel: string(bitmapSignature.In(head[:])) == BitmapOfKernel}
	x := extents{off: b.FirstPage}
	buf := make([]byte, 64<<10)
	for done := uint64(0); done < count/8; done += uint64(len(buf)) {
		p := buf[:min(uint64(len(buf)), count/8-done)]
		if err := full(r, p, at+bitmapHeader+int64(done)); err != nil {
			return b, nil, err
		}
		for i := 0; i < len(p); i += 8 {
			x.word(le.Uint64(p[i:]), (done+uint64(i))*8)
		}
		if len(x.list) > maxBitmapRuns {
			return b, nil, fmt.Errorf("the bitmap has more than %d runs", maxBitmapRuns)
		}
	}
	if x.pages != set {
		return b, nil, fmt.Errorf("%d bits are set, the bitmap's header says %d", x.pages, set)
	}
	return b, x.list, nil
}

// extents grows as pages are met in the file.
type extents struct {
	list  []mem.Extent
	pages uint64
	off   int64
}

// word adds the pages of one 64-bit word of the bitmap, of which bit 0 is page.
func (x *extents) word(w, page uint64) {
	for w != 0 {
		skip := bits.TrailingZeros64(w)
		n := bits.TrailingZeros64(^(w >> skip))
		x.add(mem.PA((page+uint64(skip))*mem.PageSize), uint64(n))
		if skip+n >= 64 {
			break
		}
		w &^= 1<<(skip+n) - 1
	}
}

func (x *extents) add(pa mem.PA, pages uint64) {
	x.pages += pages
	if n := len(x.list) - 1; n >= 0 && x.list[n].End() == pa {
		x.list[n].Bytes += pages * mem.PageSize
	} else {
		x.list = append(x.list, mem.Extent{Start: pa, Bytes: pages * mem.PageSize, Offset: x.off})
	}
	x.off += int64(pages * mem.PageSize)
}
