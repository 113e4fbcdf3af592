package dmp

import (
	"testing"

	"coredrop/core/dump"
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
		if len(p.Literal) == dump.BitmapChunk {
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
