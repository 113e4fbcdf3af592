package mem

import (
	"math/rand"
	"testing"
)

// TestPageSet: against a map of page frames.
func TestPageSet(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 200 {
		var runs []Run
		at := PA(0)
		for range 1 + r.Intn(5) {
			at += PA(r.Intn(70000)) * PageSize
			runs = append(runs, Run{at, uint64(1 + r.Intn(200))})
			at = runs[len(runs)-1].End() + PageSize
		}
		inside := func(pa PA) bool {
			for _, run := range runs {
				if pa >= run.Start && pa < run.End() {
					return true
				}
			}
			return false
		}
		s, want := NewPageSet(runs), map[PA]bool{}
		for range 20 {
			pa, n := PA(r.Int63n(int64(at)+8*PageSize)), uint64(r.Intn(50*PageSize))
			s.Add(pa, n)
			for p := pa.Page(); n > 0 && p < pa+PA(n); p += PageSize {
				if inside(p) {
					want[p] = true
				}
			}
		}
		count := 0
		last := PA(0)
		for _, run := range s.Runs() {
			if count > 0 && run.Start <= last || run.Pages == 0 {
				t.Fatalf("runs %v", s.Runs())
			}
			last = run.End()
			for p := run.Start; p < run.End(); p += PageSize {
				if !want[p] || !s.Has(p) {
					t.Fatalf("%v is in the set", p)
				}
				count++
			}
		}
		if count != len(want) {
			t.Fatalf("%d page frames, want %d", count, len(want))
		}
	}
	s := NewPageSet([]Run{{0x1000, 5}})
	s.Add(^PA(0)-10, 100) // beyond the address space
	s.Add(0x2000, 0)
	if len(s.Runs()) != 0 || s.Has(0x2000) || s.Has(1<<63) {
		t.Errorf("%v", s.Runs())
	}
}
