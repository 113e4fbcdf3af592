package races

import (
	"context"
	"math/rand/v2"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/mem"
	"coredrop/core/progress"
)

// damaged is memory in which some bytes are not what they were.
type damaged struct {
	mem.Physical
	bytes map[mem.PA]byte
}

func (d damaged) ReadAt(p []byte, pa mem.PA) error {
	if err := d.Physical.ReadAt(p, pa); err != nil {
		return err
	}
	if len(p) < len(d.bytes) {
		for i := range p {
			if x, ok := d.bytes[pa+mem.PA(i)]; ok {
				p[i] ^= x
			}
		}
		return nil
	}
	for a, x := range d.bytes {
		if a >= pa && a < pa+mem.PA(len(p)) {
			p[a-pa] ^= x
		}
	}
	return nil
}

// TestDamaged recovers from guests with random bytes changed wherever something
// lies: whatever comes out, it ends, and what it calls a report is one.
func TestDamaged(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: seed%2 == 0, delays: seed%3 == 0, change: uint64(kcsan.ValueTrue)})
		m := g.Machine()
		d := damaged{m.Mem, map[mem.PA]byte{}}
		// Page tables, vmcoreinfo, heap, text, read-only data and data.
		for _, area := range []struct{ start, bytes uint64 }{
			{0x180000, 0x400}, {0x200000, 0x8000}, {0x1000000, 0x800}, {0x1200000, 0x2000}, {0x1300000, 0xc000},
		} {
			for range 1 + r.IntN(200) {
				d.bytes[mem.PA(area.start+r.Uint64N(area.bytes))] = byte(1 + r.IntN(255))
			}
		}
		if seed%10 == 0 {
			d.bytes[mem.PA(0x101000+r.Uint64N(0x4000))] = 1
		}
		m.Mem = d
		k, err := linux.Locate(context.Background(), m, linux.Options{})
		if err != nil {
			continue
		}
		res, err := Recover(context.Background(), k, progress.Sink{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, rep := range res.Reports {
			if rep.Model == nil {
				continue
			}
			if _, err := kcsan.Parse(rep.Text); err != nil && rep.State == Printed {
				t.Errorf("seed %d: %v:\n%s", seed, err, rep.Text)
			}
		}
	}
}
