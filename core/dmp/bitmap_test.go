package dmp

import (
	"testing"

	"coredrop/core/mem"
)

func TestBitmapOnRequest(t *testing.T) {
	g := newGuest(2, true)
	// A second stretch far up: whole chunks of the bitmap are of one kind.
	g.fragments(2, 0x40_0000_0000)
	k := g.kernel(t, nil)
	im := build(t, k, Options{Type: TypeBitmap})
	if len(im.Warnings) != 0 {
		t.Errorf("warnings %v", im.Warnings)
	}
	d := reread(t, bytesOf(t, im, g.file))
	if d.Type != 5 || len(d.Runs) != 3 {
		t.Fatalf("type %d, runs %v", d.Type, d.Runs)
	}
	verified(t, k, im)
	shared := map[*byte]int{}
	for _, p := range im.Parts() {
		if len(p.Literal) == bitmapChunk {
			shared[&p.Literal[0]]++
		}
	}
	most := 0
	for _, n := range shared {
		most = max(most, n)
	}
	if most < 5 {
		t.Errorf("the bitmap's equal chunks do not share their bytes: %v", shared)
	}
}

func TestBitmapBits(t *testing.T) {
	runs := []mem.Run{{Start: 0x3000, Pages: 2}, {Start: 9 << 12, Pages: 70}, {Start: 1 << 35, Pages: 20 << 20}, {Start: 1 << 38, Pages: 1}}
	s := shapeOf(runs)
	im := &Image{}
	b := &builder{im: im}
	b.bytes(make([]byte, headerBytes))
	b.bitmap(runs, s)
	if im.size != s.firstPage || s.firstPage%4096 != 0 || s.bits%64 != 0 {
		t.Fatalf("size %#x, shape %+v", im.size, s)
	}
	bitmap := make([]byte, s.bits/8)
	if _, err := im.ReadAt(bitmap, headerBytes+0x38); err != nil {
		t.Fatal(err)
	}
	set, next := uint64(0), 0
	for pfn := uint64(0); pfn < s.bits; pfn++ {
		for next < len(runs) && pfn >= uint64(runs[next].End())/4096 {
			next++
		}
		want := next < len(runs) && pfn >= uint64(runs[next].Start)/4096
		got := bitmap[pfn/8]>>(pfn%8)&1 == 1
		if got != want {
			t.Fatalf("page %#x: %v, want %v", pfn, got, want)
		}
		if got {
			set++
		}
	}
	if set != s.set {
		t.Errorf("%d set, shape says %d", set, s.set)
	}
}
