package kcsan

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pair is what identifies an injected race in its report: who, where, and with
// which trace. Every race of the test has a different one.
type pair struct {
	addr           uint64
	producer, user int
}

// TestR16_Atomicity lets 64 goroutines report races on shared slots and checks
// that every printed block is a whole report of a pair that was injected, and
// that nothing is lost: each race ends in exactly one of four outcomes.
func TestR16_Atomicity(t *testing.T) {
	const workers, slots = 64, 8
	races := int64(100_000)
	if runtime.GOOS == "js" {
		races /= 10 // one thread and no optimizing compiler
	}
	for _, c := range []struct {
		v       Version
		verbose bool
		races   int64
	}{{V6_12, false, races}, {V6_12, true, races / 10}, {Reference, false, races / 10}, {Reference, true, races / 10}} {
		t.Run(fmt.Sprintf("%s verbose=%v", c.v, c.verbose), func(t *testing.T) {
			storm(t, c.v, c.verbose, workers, slots, c.races)
		})
	}
}

func storm(t *testing.T, v Version, verbose bool, workers, slots int, races int64) {
	var (
		mu       sync.Mutex
		injected = map[pair]bool{} // and whether it was printed
		inPrint  atomic.Int32
		clock    atomic.Uint64
		counts   = map[string]int64{}
	)
	clock.Store(1)
	r := NewReporter(Config{
		Version: v, Watchpoints: slots, Verbose: verbose, UDelayTask: 2,
		OnceInMS: 40, Symbols: symbols, Now: clock.Load,
		Skip: SkipRules{ValueChangeOnly: true, Filter: NewFilter(false, fnThread)},
		Footer: func(c *Caller) Footer {
			f := testFooter
			f.PID = c.PID
			return f
		},
		Print: func(text string) {
			if inPrint.Add(1) != 1 {
				t.Error("two reports are printed at once")
			}
			defer inPrint.Add(-1)
			rep, err := Parse(text)
			if err != nil {
				t.Errorf("%v:\n%s", err, text)
				return
			}
			if again, _ := rep.Text(); again != text || strings.Count(text, Separator) != 2 {
				t.Errorf("not one whole report:\n%s", text)
			}
			p := pair{rep.Own.Addr, rep.Other.PID, rep.Own.PID}
			mu.Lock()
			defer mu.Unlock()
			if printed, ok := injected[p]; !ok || printed {
				t.Errorf("report of %+v: injected %v, printed before %v", p, ok, printed)
			}
			injected[p] = true
			if rep.Footer.PID != rep.Own.PID {
				t.Errorf("task %d printed the report of task %d", rep.Footer.PID, rep.Own.PID)
			}
		},
		Warn: func(text string) { // the accesses do not match, or the slot is in use
			mu.Lock()
			defer mu.Unlock()
			counts[text]++
		},
	})

	// A slot is owned by one race at a time, as a watchpoint is. Producers are
	// goroutines of their own, so that either side may come first.
	owner := make([]sync.Mutex, slots)
	work := make(chan func())
	var wg sync.WaitGroup
	for range workers / 2 {
		wg.Go(func() {
			for f := range work {
				f()
			}
		})
	}
	var next atomic.Int64
	var consumers sync.WaitGroup
	var mismatched, encoding atomic.Int64
	for w := range workers / 2 {
		rng := rand.New(rand.NewPCG(uint64(w), 7))
		consumers.Go(func() {
			for {
				id := next.Add(1)
				if id > races {
					return
				}
				slot := rng.IntN(slots)
				own := word(0xffff800000000000+uint64(id)*16, AccessWrite)
				other := own
				other.Type = 0
				change := ValueTrue
				switch rng.IntN(10) {
				case 0:
					other.Addr += 4096 // not what the watchpoint encodes
					mismatched.Add(1)
				case 1:
					other.Addr ^= 1 << v.Features().AddrBits
					encoding.Add(1)
				case 2:
					change = ValueMaybe
				case 3:
					change = ValueFalse
				}
				tops := []uint64{fnAlpha, fnBeta, fnCaller, fnThread, fnTest}
				producer := at(int(id)*2, tops[rng.IntN(5)]+uint64(rng.IntN(4)), fnTestMod)
				producer.Task = &Task{Describe: func() *Verbose { return verboseBlock("producer", int(id)*2) }}
				user := at(int(id)*2+1, fnTsan, tops[rng.IntN(5)]+uint64(rng.IntN(4)), fnTestMod)
				user.Task = &Task{Describe: func() *Verbose { return verboseBlock("consumer", int(id)*2+1) }}
				mu.Lock()
				injected[pair{own.Addr, producer.PID, user.PID}] = false
				mu.Unlock()

				owner[slot].Lock()
				var filled sync.WaitGroup
				filled.Add(1)
				work <- func() {
					defer filled.Done()
					if got := r.SetInfo(context.Background(), producer, other, slot); got != Produced {
						t.Errorf("producer: %s", got)
					}
				}
				r.KnownOrigin(context.Background(), user, own, change, slot, Values{Old: uint64(id)})
				filled.Wait()
				owner[slot].Unlock()
				clock.Add(uint64(rng.IntN(2)))
			}
		})
	}
	consumers.Wait()
	close(work)
	wg.Wait()

	var printed int64
	for _, p := range injected {
		if p {
			printed++
		}
	}
	sum := r.Outcomes(Printed) + r.Outcomes(RateLimited) + r.Outcomes(Filtered) + r.Outcomes(Discarded)
	t.Logf("%d printed, %d rate limited, %d filtered, %d discarded",
		r.Outcomes(Printed), r.Outcomes(RateLimited), r.Outcomes(Filtered), r.Outcomes(Discarded))
	if sum != races || r.Outcomes(Produced) != races || r.Outcomes(Rejected) != 0 || r.Outcomes(Cancelled) != 0 {
		t.Errorf("%d outcomes of %d races, %d produced", sum, races, r.Outcomes(Produced))
	}
	if printed != r.Outcomes(Printed) {
		t.Errorf("%d races printed, %d counted", printed, r.Outcomes(Printed))
	}
	if got := r.Counters().Load(EncodingFalsePositives); got != encoding.Load() {
		t.Errorf("%d encoding false positives, want %d", got, encoding.Load())
	}
	if got := r.Outcomes(Discarded); got != encoding.Load()+mismatched.Load() {
		t.Errorf("%d discarded, want %d", got, encoding.Load()+mismatched.Load())
	}
	if got := counts["other_info does not match the watchpoint"]; got != mismatched.Load() || len(counts) > 1 {
		t.Errorf("warnings %v, want %d", counts, mismatched.Load())
	}
	for _, o := range []Outcome{Printed, RateLimited, Filtered} {
		if r.Outcomes(o) == 0 {
			t.Errorf("no race was %s: the test shows nothing", o)
		}
	}
}
