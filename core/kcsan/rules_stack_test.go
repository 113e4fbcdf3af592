package kcsan

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// addresses returns the addresses of a trace.
func addresses(t Trace) []uint64 {
	var out []uint64
	for _, f := range t.Frames {
		out = append(out, f.Addr)
	}
	return out
}

func TestR6_RuntimeFrames(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		for _, c := range []struct {
			name    string
			entries []uint64
			skip    int // entries dropped
		}{
			{"none", []uint64{fnAlpha, fnCaller}, 0},
			{"empty", nil, 0},
			{"tsan", []uint64{fnTsan + 8, fnAlpha}, 1},
			{"once_size", []uint64{fnOnce + 8, fnAlpha}, 1},
			{"kcsan", []uint64{fnSetup, fnTsan, fnAlpha}, 2},
			{"kcsan_test function", []uint64{fnTest, fnAlpha}, 0},
			{"kcsan_test module", []uint64{fnTestMod, fnAlpha}, 0},
			{"another kcsan_ module", []uint64{fnRtMod, fnAlpha}, 1},
			{"only from the top", []uint64{fnSetup, fnAlpha, fnTsan, fnBeta}, 1},
			{"beyond 63 characters", []uint64{fnLongRt, fnAlpha}, 0},
			{"no symbol", []uint64{noSymbol, fnTsan}, 0},
			{"all", []uint64{fnSetup, fnTsan, fnOnce}, 3},
		} {
			got, lost := v.Sanitize(symbols, c.entries, 0)
			if want := c.entries[c.skip:]; !slices.Equal(addresses(got), want) || lost {
				t.Errorf("%s: %#x, want %#x", c.name, addresses(got), want)
			}
		}
		// Only the first "kcsan_" counts.
		for name, want := range map[string]bool{
			"kcsan_test_kcsan_x": false,
			"kcsan_x_kcsan_test": true,
			"my_kcsan_test":      false,
			"mykcsan_":           true,
			"kcsan":              false,
		} {
			if RuntimeFrame(name) != want {
				t.Errorf("%s: %v, want %v", name, !want, want)
			}
		}
		// A trace without frames has frame 0 in the title.
		empty, _ := v.Sanitize(symbols, []uint64{fnSetup, fnTsan}, 0)
		r := race(v, fnAlpha, fnBeta)
		r.Own.Trace = empty
		lines := mustLines(t, r)
		if lines[1] != "BUG: KCSAN: data-race in 0x0 / alpha" {
			t.Errorf("title %q", lines[1])
		}
		if i := slices.Index(lines, "write to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 2:"); lines[i+1] != "" {
			t.Errorf("a trace without frames shows %q", lines[i+1])
		}
	})
}

func TestR7_Depth(t *testing.T) {
	// 100 entries, of which the first two are the runtime's.
	deep := []uint64{fnSetup, fnTsan}
	for i := range uint64(98) {
		deep = append(deep, fnAlpha+i)
	}
	eachVersion(t, func(t *testing.T, v Version) {
		got, _ := v.Sanitize(symbols, deep, 0)
		if want := deep[2:64]; !slices.Equal(addresses(got), want) {
			t.Errorf("%d frames, want %d: 64 are saved before two are dropped", len(got.Frames), len(want))
		}

		// Live: the own stack is saved without one caller, the other's without
		// two.
		var skips []int
		var maxes []int
		c := func(pid int) *Caller {
			return &Caller{PID: pid, Stack: func(skip, max int) []uint64 {
				skips, maxes = append(skips, skip), append(maxes, max)
				return deep // more than asked for
			}}
		}
		b := newBench(Config{Version: v})
		ctx := context.Background()
		b.SetInfo(ctx, c(42), word(someAddr, 0), 0)
		b.KnownOrigin(ctx, c(43), word(someAddr, AccessWrite), ValueTrue, 0, Values{})
		if !slices.Equal(skips, []int{2, 1}) || !slices.Equal(maxes, []int{64, 64}) {
			t.Errorf("saved without %v callers, at most %v entries; want [2 1], [64 64]", skips, maxes)
		}
		if len(b.printed) != 1 {
			t.Fatalf("%d reports", len(b.printed))
		}
		if n := strings.Count(b.printed[0], "\n alpha+"); n != 2*62 {
			t.Errorf("%d frames in both traces, want %d", n, 2*62)
		}
	})
}

func TestR15_Reordered(t *testing.T) {
	stack := []uint64{fnSetup, fnCaller + 0x10, fnAlpha + 0x32, fnThread + 0x59}
	eachVersion(t, func(t *testing.T, v Version) {
		explicit, prints := v >= V5_16, v >= V5_17
		trimmed := stack[1:]
		for _, c := range []struct {
			name     string
			entries  []uint64
			ip       uint64
			want     []uint64 // when the version has explicit locations
			replaced uint64
			lost     bool
		}{
			{"no location", stack, 0, trimmed, 0, false},
			// The entry of the same function is replaced, what is before it
			// dropped.
			{"replaced", stack, fnAlpha + 0x22, []uint64{fnAlpha + 0x22, fnThread + 0x59}, fnAlpha + 0x32, false},
			{"the first of the function", []uint64{fnAlpha + 9, fnAlpha + 0x32}, fnAlpha + 0x22,
				[]uint64{fnAlpha + 0x22, fnAlpha + 0x32}, fnAlpha + 9, false},
			// Runtime frames are not trimmed when an entry is replaced.
			{"runtime function", stack, fnSetup + 4, []uint64{fnSetup + 4, fnCaller + 0x10, fnAlpha + 0x32, fnThread + 0x59}, fnSetup, false},
			{"no such function", stack, fnBeta, trimmed, 0, true},
			{"location without symbol", stack, noSymbol, trimmed, 0, true},
			{"entry without symbol", []uint64{fnSetup, noSymbol, fnAlpha}, fnAlpha + 1, []uint64{noSymbol, fnAlpha}, 0, true},
		} {
			got, lost := v.Sanitize(symbols, c.entries, c.ip)
			if !explicit { // the field does not exist: the trace is only trimmed
				want := c.entries
				if want[0] == fnSetup {
					want = want[1:]
				}
				if !slices.Equal(addresses(got), want) || lost || got.ReorderedTo != nil {
					t.Errorf("%s: %#x %v, want %#x", c.name, addresses(got), lost, want)
				}
				continue
			}
			if !slices.Equal(addresses(got), c.want) || lost != c.lost {
				t.Errorf("%s: %#x lost %v, want %#x lost %v", c.name, addresses(got), lost, c.want, c.lost)
			}
			switch to := got.ReorderedTo; {
			case !prints || c.replaced == 0:
				if to != nil {
					t.Errorf("%s: reordered to %s", c.name, to)
				}
			case to == nil || to.Addr != c.replaced:
				t.Errorf("%s: reordered to %v, want %#x", c.name, to, c.replaced)
			}
		}

		// The two lines stand after the trace that they belong to.
		r := race(v, fnAlpha, fnBeta)
		r.Other.Trace, _ = v.Sanitize(symbols, stack, fnAlpha+0x22)
		lines := mustLines(t, r)
		if !prints {
			if slices.Contains(lines, "  |") {
				t.Error("printed before 5.17")
			}
			return
		}
		want := []string{" alpha+0x22/0x100", " thread+0x59/0x100", "  |", "  +-> reordered to: alpha+0x32/0x100", ""}
		if got := lines[4:9]; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
