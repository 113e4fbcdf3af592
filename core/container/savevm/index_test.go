package savevm

import (
	"math/rand"
	"testing"
)

// TestIndexAgainstAMap adds records as streams do and as none would, and compares
// with a map of pages.
func TestIndexAgainstAMap(t *testing.T) {
	type where struct {
		kind  kind
		at    int64
		value byte
	}
	for seed := range int64(20) {
		rng := rand.New(rand.NewSource(seed))
		x := &index{page: page}
		want := map[uint32]where{}
		at := int64(1000)
		changes := map[uint32][]uint64{}
		const pages = 3000
		for range 400 {
			first, n := uint32(rng.Intn(pages)), 1+rng.Intn(200)
			if rng.Intn(3) == 0 {
				n = 1 + rng.Intn(3)
			}
			how := rng.Intn(6)
			for i := range n {
				p := first + uint32(i)
				w := where{kind: kindPages}
				switch {
				case how == 0 || how == 1 && rng.Intn(2) == 0:
					w.kind = kindFill
				case how == 2:
					w.kind, w.value = kindFill, byte(rng.Intn(2))
				case how == 3:
					w.kind = kindPacked
				case how == 4 && len(want) > 0:
					if _, ok := want[p]; ok {
						if !x.change(p, at, 7) {
							t.Fatal("no room")
						}
						changes[p] = append(changes[p], uint64(at)|7<<atBits)
						at += 20
						continue
					}
				}
				w.at = at
				if !x.add(p, w.kind, at, w.value) {
					t.Fatal("no room")
				}
				want[p] = w
				delete(changes, p)
				switch w.kind {
				case kindFill:
					at++
				case kindPages:
					at += page
				default:
					at += int64(4 + rng.Intn(3000))
				}
				if at += recordHead; rng.Intn(50) == 0 {
					at += 7 // a name, the end of a section
				}
			}
			if rng.Intn(30) == 0 {
				x.merge()
			}
		}
		if orphans := x.finish(); orphans != 0 || x.full {
			t.Fatal(orphans, x.full)
		}
		if !disjoint(x.done) {
			t.Fatal("runs overlap")
		}
		found := 0
		for _, r := range x.done {
			found += int(r.count())
		}
		if found != len(want) {
			t.Errorf("seed %d: %d pages, want %d", seed, found, len(want))
		}
		for p, w := range want {
			i, ok := x.find(p)
			if !ok {
				t.Fatalf("seed %d: page %d is lost", seed, p)
			}
			r := &x.done[i]
			skip := p - r.first
			got := where{kind: r.kind(), at: r.at()}
			switch r.kind() {
			case kindFill:
				got.value = byte(r.rest())
				got.at += int64(skip) * (zeroBody + recordHead)
			case kindPages:
				got.at += int64(skip) * (page + int64(r.rest()))
			case kindMixed:
				got.kind = kindFill
				if r.bits>>skip&1 == 1 {
					got.kind = kindPages
				}
				got.at += x.mixedOffset(r.bits, skip)
			}
			if got != w {
				t.Fatalf("seed %d: page %d is %+v, want %+v (run %+v)", seed, p, got, w, *r)
			}
			list := x.changes(p)
			if len(list) != len(changes[p]) {
				t.Fatalf("seed %d: page %d has changes %v, want %v", seed, p, list, changes[p])
			}
			for i := range list {
				if list[i] != changes[p][i] {
					t.Fatalf("seed %d: page %d has changes %v, want %v", seed, p, list, changes[p])
				}
			}
		}
	}
}

// TestIndexStaysSmall: zero pages and others by turns cost half a byte a page;
// what cannot be put into runs is refused at the bound.
func TestIndexStaysSmall(t *testing.T) {
	x := &index{page: page}
	at := int64(0)
	const pages = 1 << 22
	for p := range uint32(pages) {
		if p%2 == 0 {
			x.add(p, kindPages, at, 0)
			at += page + recordHead
		} else {
			x.add(p, kindFill, at, 0)
			at += zeroBody + recordHead
		}
	}
	if x.finish(); x.full || len(x.done) != pages/mixedPages {
		t.Errorf("%d runs, full %v", len(x.done), x.full)
	}
	x = &index{page: page}
	p := uint32(0)
	for x.add(p, kindPacked, int64(p), 0) {
		if p++; p > 2*maxRuns {
			t.Fatal("no bound")
		}
	}
	if !x.full || len(x.done)*runBytes > 17<<20 {
		t.Errorf("full %v, %d runs", x.full, len(x.done))
	}
	n := 0
	for x.change(7, 1, 1) {
		n++
	}
	if n != maxDeltas {
		t.Errorf("%d changes", n)
	}
}
