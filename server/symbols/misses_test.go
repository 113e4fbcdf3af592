package symbols

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

func TestNegativeCache(t *testing.T) {
	for _, c := range []struct {
		err     error
		quiet   time.Duration // not asked again within
		expired time.Duration
	}{
		{fault.New(fault.SymbolsNotFound, ""), 4 * time.Minute, 6 * time.Minute},
		{fault.New(fault.SymbolsMismatch, ""), 23 * time.Hour, 25 * time.Hour},
		{fault.New(fault.SymbolsNotAPDB, ""), 20 * time.Second, 40 * time.Second},
		{fault.New(fault.PDBDamaged, ""), 20 * time.Second, 40 * time.Second},
		{fault.New(fault.SymbolsOffline, ""), 20 * time.Second, 40 * time.Second},
	} {
		calls, now := 0, time.Unix(1e9, 0)
		h := &Handler{Now: func() time.Time { return now }, Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
			calls++
			return nil, c.err
		})}}
		step := func(d time.Duration, want int) {
			t.Helper()
			now = now.Add(d)
			w := ask(h, "/"+demo.PDBKey+"?_refresh=1") // which means nothing to strangers
			if code := refusal(t, w); code != fault.As(c.err).Code || calls != want {
				t.Errorf("%v: %s after %d calls, not %d", c.err, code, calls, want)
			}
		}
		step(0, 1)
		step(c.quiet, 1)
		if err := h.Refresh(demo.PDBKey); err != nil {
			t.Fatal(err)
		}
		step(0, 2)
		step(c.expired, 3)
	}
}

// What was missing and then came is forgotten: the next miss is a first one.
func TestMissIsForgottenOnSuccess(t *testing.T) {
	now, there := time.Unix(1e9, 0), false
	h := &Handler{Now: func() time.Time { return now }, Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
		if there {
			return pdbBytes(t), nil
		}
		return nil, fault.New(fault.SymbolsNotFound, "")
	})}}
	if w := ask(h, "/"+demo.PDBKey); w.Code != 404 || len(h.misses.list) != 1 {
		t.Fatalf("%d, %d misses", w.Code, len(h.misses.list))
	}
	now, there = now.Add(2*missFirst), true
	if w := ask(h, "/"+demo.PDBKey); w.Code != 200 || len(h.misses.list) != 0 {
		t.Errorf("%d, %d misses", w.Code, len(h.misses.list))
	}
}

func TestMissesDoubleAndStayBounded(t *testing.T) {
	none := []error{fault.New(fault.SymbolsNotFound, "")}
	if a, b, z := lifetime(none, 1), lifetime(none, 2), lifetime(none, 100); a != missFirst || b != 2*missFirst || z != missLast {
		t.Errorf("%v %v %v", a, b, z)
	}
	var m misses
	now := time.Unix(1e9, 0)
	for i := range missEntries + 100 {
		var guid [16]byte
		binary.LittleEndian.PutUint64(guid[:], uint64(i))
		k, err := symstore.PDBKey("a.pdb", guid, 1)
		if err != nil {
			t.Fatal(err)
		}
		m.add(k, none[0], none, now)
	}
	if len(m.list) > missEntries {
		t.Errorf("%d entries", len(m.list))
	}
}
