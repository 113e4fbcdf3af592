package dmp

import "coredrop/core/mem"

// bitmapChunk is the size of a literal of the bitmap. Chunks that say the same
// of all their pages share one array, so that the bitmap costs memory by the
// number of runs, not by the guest's size.
const bitmapChunk = 1 << 20

// bitmapShape is the geometry of a bitmap dump.
type bitmapShape struct {
	bits, set uint64
	firstPage int64
}

func shapeOf(runs []mem.Run) bitmapShape {
	var s bitmapShape
	for _, r := range runs {
		s.set += r.Pages
		s.bits = uint64(r.End()) / mem.PageSize
	}
	// Whole 64-bit words: LeechCore ignores a remainder, volatility3 reads words.
	s.bits = (s.bits + 63) &^ 63
	end := headerBytes + offBMPBitmap + int64(s.bits/8)
	s.firstPage = (end + mem.PageSize - 1) &^ (mem.PageSize - 1)
	return s
}

// bitmap appends the bitmap header and the bitmap, padded to a page.
func (b *builder) bitmap(runs []mem.Run, s bitmapShape) {
	head := make([]byte, offBMPBitmap)
	copy(head[offBMPSignature:], "FDMP")
	copy(head[offBMPValidDump:], "DUMP")
	le.PutUint64(head[offBMPFirstPage:], uint64(s.firstPage))
	le.PutUint64(head[offBMPSet:], s.set)
	le.PutUint64(head[offBMPBits:], s.bits)

	// The head shares the first chunk, so that every literal is whole pages.
	uniform := map[byte][]byte{}
	total := s.firstPage - headerBytes - offBMPBitmap // with the padding
	for at, n := int64(0), int64(0); at < total; at += n {
		n = min(bitmapChunk-int64(len(head)), total-at)
		lo, hi := uint64(at)*8, uint64(at+n)*8
		for len(runs) > 0 && uint64(runs[0].End())/mem.PageSize <= lo {
			runs = runs[1:]
		}
		if v, ok := uniformBits(runs, lo, hi); ok && n == bitmapChunk {
			if uniform[v] == nil {
				uniform[v] = make([]byte, bitmapChunk)
				for i := range uniform[v] {
					uniform[v][i] = v
				}
			}
			b.bytes(uniform[v])
			continue
		}
		chunk := make([]byte, int64(len(head))+n)
		bits := chunk[copy(chunk, head):]
		head = nil
		for _, r := range runs {
			first, end := uint64(r.Start)/mem.PageSize, uint64(r.End())/mem.PageSize
			if first >= hi {
				break
			}
			setBits(bits, max(first, lo)-lo, min(end, hi)-lo)
		}
		b.bytes(chunk)
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
