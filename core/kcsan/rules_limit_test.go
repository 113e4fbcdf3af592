package kcsan

import (
	"slices"
	"testing"
)

func TestR5_Skip(t *testing.T) {
	frame := func(addr uint64) Frame { return NewFrame(symbols, addr) }
	other := func(addr uint64) *Frame { f := frame(addr); return &f }
	only := SkipRules{ValueChangeOnly: true}
	deny := SkipRules{Filter: NewFilter(false, fnBeta, fnAlpha)}
	allow := SkipRules{Filter: NewFilter(true, fnAlpha, fnThread)}
	for _, c := range []struct {
		name   string
		rules  SkipRules
		change ValueChange
		own    uint64
		other  *Frame
		want   Skip
	}{
		// Without value-change-only, everything but FALSE is reported.
		{"true", SkipRules{}, ValueTrue, fnBeta, other(fnAlpha), NotSkipped},
		{"maybe", SkipRules{}, ValueMaybe, fnBeta, other(fnAlpha), NotSkipped},
		{"false", SkipRules{}, ValueFalse, fnBeta, other(fnAlpha), SkipNoChange},
		{"false, unknown origin", SkipRules{}, ValueFalse, fnBeta, nil, SkipNoChange},
		// The six combinations come down to the value change.
		{"only, true", only, ValueTrue, fnBeta, other(fnAlpha), NotSkipped},
		{"only, maybe", only, ValueMaybe, fnBeta, other(fnAlpha), SkipUnchanged},
		{"only, false", only, ValueFalse, fnBeta, other(fnAlpha), SkipNoChange},
		{"only, unknown origin", only, ValueMaybe, fnBeta, nil, NotSkipped},
		{"only, unknown origin, false", only, ValueFalse, fnBeta, nil, SkipNoChange},
		// RCU opted out, by the other function's name alone.
		{"rcu, other", only, ValueMaybe, fnBeta, other(fnRcu), NotSkipped},
		{"rcu, own", only, ValueMaybe, fnRcu, other(fnBeta), SkipUnchanged},
		{"srcu", only, ValueMaybe, fnBeta, other(fnSrcu), NotSkipped},
		{"rcu beyond 63 characters", only, ValueMaybe, fnBeta, other(fnLongRcu), SkipUnchanged},
		// The function list.
		{"deny own", deny, ValueTrue, fnAlpha + 0x10, other(fnThread), SkipListed},
		{"deny other", deny, ValueMaybe, fnThread, other(fnBeta + 0xff), SkipListed},
		{"deny neither", deny, ValueMaybe, fnThread, other(fnCaller), NotSkipped},
		{"deny, unknown origin", deny, ValueMaybe, fnAlpha, nil, SkipListed},
		{"deny, no symbol", deny, ValueTrue, noSymbol, other(noSymbol), NotSkipped},
		{"allow both", allow, ValueTrue, fnAlpha, other(fnThread), NotSkipped},
		{"allow own only", allow, ValueTrue, fnAlpha, other(fnBeta), SkipListed},
		{"allow other only", allow, ValueTrue, fnBeta, other(fnAlpha), SkipListed},
		{"allow, no symbol", allow, ValueTrue, noSymbol, other(fnAlpha), NotSkipped},
		{"empty allow list", SkipRules{Filter: NewFilter(true)}, ValueTrue, fnBeta, other(fnAlpha), NotSkipped},
		// The own frame is asked before the other's value change.
		{"order", SkipRules{ValueChangeOnly: true, Filter: NewFilter(false, fnAlpha)}, ValueMaybe, fnAlpha, other(fnBeta), SkipListed},
	} {
		if got := c.rules.Skip(c.change, frame(c.own), c.other); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestR5_Live shows what a skipped report leaves behind: a free slot and no
// rate-limit entry.
func TestR5_Live(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		b := newBench(Config{Version: v, OnceInMS: 1000, Skip: SkipRules{ValueChangeOnly: true}})
		for _, c := range []struct {
			change ValueChange
			want   Outcome
		}{{ValueFalse, Filtered}, {ValueMaybe, Filtered}, {ValueTrue, Printed}, {ValueTrue, RateLimited}} {
			if got := b.hit(c.change, fnAlpha, fnBeta); got != c.want {
				t.Errorf("%s: %s, want %s", c.change, got, c.want)
			}
			if b.infos[0].access.Size != 0 {
				t.Errorf("%s: the slot is not released", c.change)
			}
		}
		if len(b.printed) != 1 || len(b.warned) != 0 {
			t.Errorf("%d reports, warnings %q", len(b.printed), b.warned)
		}
		// An unknown origin is not filtered by MAYBE, but by FALSE.
		if got := b.UnknownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueFalse, Values{}); got != Filtered {
			t.Errorf("unknown origin, false: %s", got)
		}
		if got := b.UnknownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueMaybe, Values{}); got != Printed {
			t.Errorf("unknown origin, maybe: %s", got)
		}
	})
}

func TestR8_RateLimit(t *testing.T) {
	type step struct {
		now, f1, f2 uint64
		suppressed  bool
	}
	const base = 0xfffedb08 // where jiffies start
	for _, c := range []struct {
		name  string
		once  uint
		hz    uint
		start []ReportTime
		steps []step
	}{
		{"never", 0, 250, nil, []step{{base, 1, 2, false}, {base, 1, 2, false}}},
		{"same pair", 1000, 1000, nil, []step{{base, 1, 2, false}, {base + 1, 1, 2, true}, {base + 1, 2, 1, true}, {base + 1, 1, 3, false}, {base + 1, 3, 2, false}}},
		{"unknown origin", 1000, 1000, nil, []step{{base, 1, 0, false}, {base + 1, 1, 0, true}, {base + 1, 1, 2, false}}},
		// One exactly that old still suppresses, and its time is not refreshed.
		{"age", 1000, 1000, nil, []step{{base, 1, 2, false}, {base + 999, 1, 2, true}, {base + 1000, 1, 2, true}, {base + 1001, 1, 2, false}}},
		{"hz", 1000, 250, nil, []step{{base, 1, 2, false}, {base + 250, 1, 2, true}, {base + 251, 1, 2, false}}},
		{"jiffies round up", 3, 250, nil, []step{{base, 1, 2, false}, {base + 1, 1, 2, true}, {base + 2, 1, 2, false}}},
		// The scan stops at the first entry that was never used.
		{"stops at 0", 3, 1000, []ReportTime{{base, 1, 2}, {0, 0, 0}, {base, 5, 6}}, []step{{base, 5, 6, false}, {base, 5, 6, true}}},
		// Two entries: a third pair overwrites the older, though it is live.
		{"overwrites the oldest", 2, 1000, []ReportTime{{base + 1, 1, 2}, {base, 3, 4}},
			[]step{{base + 1, 5, 6, false}, {base + 1, 3, 4, false}, {base + 1, 5, 6, true}}},
		{"an expired entry does not count", 2, 1000, []ReportTime{{base, 1, 2}, {base + 9, 3, 4}},
			[]step{{base + 10, 1, 2, false}, {base + 10, 3, 4, true}, {base + 10, 1, 2, true}}},
		{"jiffies wrap", 10, 1000, nil, []step{{^uint64(0) - 1, 1, 2, false}, {3, 1, 2, true}, {8, 1, 2, true}, {9, 1, 2, false}}},
		{"jiffies have just wrapped", 10, 1000, nil, []step{{3, 1, 2, false}, {5, 1, 2, true}, {13, 1, 2, true}, {14, 1, 2, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewRateLimit(c.once, c.hz)
			l.Load(c.start)
			for i, s := range c.steps {
				before := l.Entries()
				if got := l.Suppressed(s.now, s.f1, s.f2); got != s.suppressed {
					t.Errorf("step %d: asked: %v, want %v", i, got, s.suppressed)
				}
				if !slices.Equal(before, l.Entries()) {
					t.Errorf("step %d: asking changed the table", i)
				}
				if got := l.Limit(s.now, s.f1, s.f2); got != s.suppressed {
					t.Errorf("step %d: %v, want %v", i, got, s.suppressed)
				}
				if s.suppressed && !slices.Equal(before, l.Entries()) {
					t.Errorf("step %d: a suppressed pair changed the table", i)
				}
			}
		})
	}
	for _, c := range []struct {
		once uint
		want int
	}{{0, 0}, {1, 1}, {100, 100}, {170, 170}, {171, 170}, {3000, 170}} {
		if got := len(NewRateLimit(c.once, 250).Entries()); got != c.want {
			t.Errorf("ONCE_IN_MS=%d: %d entries, want %d", c.once, got, c.want)
		}
	}
}

// TestR8_Live shows what a race is known by: the exact return addresses on top
// of both trimmed stacks, 0 for an unknown origin.
func TestR8_Live(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		b := newBench(Config{Version: v, OnceInMS: 1000})
		for i, c := range []struct {
			other, own uint64
			want       Outcome
		}{
			{fnAlpha + 1, fnBeta + 1, Printed},
			{fnAlpha + 1, fnBeta + 1, RateLimited},
			{fnBeta + 1, fnAlpha + 1, RateLimited},
			{fnAlpha + 2, fnBeta + 1, Printed}, // another place in the same function
		} {
			if got := b.hit(ValueTrue, c.other, c.own); got != c.want {
				t.Errorf("%d: %s, want %s", i, got, c.want)
			}
		}
		// A runtime frame on top is not what the race is known by.
		b.SetInfo(t.Context(), at(42, fnTsan, fnAlpha+1), word(someAddr, 0), 0)
		if got := b.KnownOrigin(t.Context(), at(43, fnTsan+4, fnBeta+1), word(someAddr, AccessWrite), ValueTrue, 0, Values{}); got != RateLimited {
			t.Errorf("below runtime frames: %s", got)
		}
		for i, want := range []Outcome{Printed, RateLimited} {
			if got := b.UnknownOrigin(t.Context(), at(43, fnBeta+1), word(someAddr, 0), ValueTrue, Values{}); got != want {
				t.Errorf("unknown origin %d: %s, want %s", i, got, want)
			}
		}
		want := []ReportTime{{1000, fnBeta + 1, fnAlpha + 1}, {1000, fnBeta + 1, fnAlpha + 2}, {1000, fnBeta + 1, 0}}
		if got := b.times.Entries()[:4]; !slices.Equal(got[:3], want) || got[3].Time != 0 {
			t.Errorf("table %v, want %v", got, want)
		}
		if len(b.printed) != 3 {
			t.Errorf("%d reports, want 3", len(b.printed))
		}
	})
}
