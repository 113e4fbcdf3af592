package kcsan

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestR9_Consumer(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		// The bit above the version's address mask: invisible in a watchpoint.
		hidden := uint64(1) << v.Features().AddrBits
		for _, c := range []struct {
			name       string
			other, own Access
			want       Outcome
			warns      int
			encoding   int64
		}{
			{"same", word(someAddr, 0), word(someAddr, 0), Printed, 0, 0},
			{"last byte", word(someAddr+7, 0), word(someAddr, 0), Printed, 0, 0},
			{"first byte", word(someAddr-7, 0), word(someAddr, 0), Printed, 0, 0},
			{"inside", Access{Addr: someAddr + 3, Size: 1}, word(someAddr, 0), Printed, 0, 0},
			{"behind", word(someAddr+8, 0), word(someAddr, 0), Discarded, 1, 0},
			{"before", word(someAddr-8, 0), word(someAddr, 0), Discarded, 1, 0},
			{"hidden bit differs", word(someAddr^hidden, 0), word(someAddr, 0), Discarded, 0, 1},
			{"hidden bit differs, last byte", word(someAddr^hidden+7, 0), word(someAddr, 0), Discarded, 0, 1},
			{"last mask bit differs", word(someAddr^hidden>>1, 0), word(someAddr, 0), Discarded, 1, 0},
		} {
			b := newBench(Config{Version: v})
			b.SetInfo(t.Context(), at(42, fnAlpha), c.other, 5)
			got := b.KnownOrigin(t.Context(), at(43, fnBeta), c.own, ValueTrue, 5, Values{})
			if got != c.want || len(b.warned) != c.warns || b.Counters().Load(EncodingFalsePositives) != c.encoding {
				t.Errorf("%s: %s, warnings %q, %d encoding false positives; want %s, %d, %d", c.name,
					got, b.warned, b.Counters().Load(EncodingFalsePositives), c.want, c.warns, c.encoding)
			}
			for id := range NumCounters {
				if n := b.Counters().Load(id); id != EncodingFalsePositives && n != 0 {
					t.Errorf("%s: counted %d %s", c.name, n, id)
				}
			}
			if b.infos[5].access.Size != 0 {
				t.Errorf("%s: the slot is not released", c.name)
			}
			if (len(b.printed) == 1) != (c.want == Printed) {
				t.Errorf("%s: %d reports", c.name, len(b.printed))
			}
		}

		// A consumer that comes first waits, and a fill of another slot is not
		// what it waits for.
		synctest.Test(t, func(t *testing.T) {
			b := newBench(Config{Version: v})
			var got []Outcome
			go func() {
				got = append(got, b.KnownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, 1, Values{}))
			}()
			synctest.Wait()
			b.SetInfo(t.Context(), at(42, fnAlpha), word(someAddr, 0), 2)
			synctest.Wait()
			if len(got) != 0 {
				t.Fatalf("the consumer did not wait: %s", got[0])
			}
			b.SetInfo(t.Context(), at(44, fnAlpha), word(someAddr, 0), 1)
			synctest.Wait()
			if len(got) != 1 || got[0] != Printed || !strings.Contains(b.printed[0], "by task 44") {
				t.Errorf("waiting consumer: %v", got)
			}
			if b.infos[2].access.Size == 0 {
				t.Error("another slot was consumed")
			}
		})

		// A token of a fill that is already consumed wakes nobody for good.
		done := make(chan Outcome)
		b := newBench(Config{Version: v})
		b.hit(ValueTrue, fnAlpha, fnBeta) // leaves its token: the consumer did not wait
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- b.KnownOrigin(ctx, at(43, fnBeta), word(someAddr, 0), ValueTrue, 0, Values{}) }()
		cancel()
		if got := <-done; got != Cancelled {
			t.Errorf("cancelled consumer: %s", got)
		}
	})
}

func TestR10_Producer(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		// An occupied slot: a warning, and it is filled all the same.
		b := newBench(Config{Version: v})
		first, second := word(someAddr, 0), word(someAddr+4, AccessWrite)
		if got := b.SetInfo(t.Context(), at(42, fnAlpha), first, 3); got != Produced || len(b.warned) != 0 {
			t.Fatalf("%s, warnings %q", got, b.warned)
		}
		b.SetInfo(t.Context(), at(44, fnCaller), second, 3)
		if len(b.warned) != 1 || b.infos[3].access.Addr != second.Addr || b.infos[3].access.PID != 44 {
			t.Errorf("warnings %q, slot %+v", b.warned, b.infos[3].access)
		}
		b.KnownOrigin(t.Context(), at(43, fnBeta), first, ValueTrue, 3, Values{})
		if len(b.printed) != 1 || !strings.Contains(b.printed[0], "by task 44") {
			t.Errorf("reports %q", b.printed)
		}

		// Verbose: T + 2 steps, then the task is cleared.
		for _, d := range []struct{ task, interrupt, steps int }{{80, 20, 82}, {20, 80, 82}, {0, 0, 2}} {
			b = newBench(Config{Version: v, Verbose: true, UDelayTask: d.task, UDelayInterrupt: d.interrupt})
			c := at(42, fnAlpha)
			c.Task = &Task{Describe: func() *Verbose { return verboseBlock("producer", 42) }}
			b.onDelay = func() {
				if !c.Task.Uninterruptible() {
					t.Error("a stalled task is not marked")
				}
				if !b.lock.TryLock() {
					t.Fatal("the lock is held while the producer waits")
				}
				if b.infos[3].task != c.Task {
					t.Error("the slot does not name the task")
				}
				b.lock.Unlock()
			}
			b.SetInfo(t.Context(), c, first, 3)
			if b.delays != d.steps || b.infos[3].task != nil || c.Task.Uninterruptible() {
				t.Errorf("%d steps, task %p, marked %v; want %d steps", b.delays, b.infos[3].task, c.Task.Uninterruptible(), d.steps)
			}
			if b.infos[3].access.Size == 0 {
				t.Error("the time-out gave the slot up")
			}
			b.KnownOrigin(t.Context(), at(43, fnBeta), first, ValueTrue, 3, Values{})
			if len(b.printed) != 1 || strings.Contains(b.printed[0], "producer") {
				t.Errorf("after the time-out: reports %q", b.printed)
			}
		}

		// The stall ends when the slot is consumed, is another address's, or
		// another task's.
		for name, end := range map[string]func(b *bench, c *Caller){
			"consumed": func(b *bench, c *Caller) {
				b.KnownOrigin(t.Context(), at(43, fnBeta), first, ValueTrue, 3, Values{})
			},
			"another address": func(b *bench, c *Caller) { b.infos[3].access.Addr++ },
			"another task":    func(b *bench, c *Caller) { b.infos[3].task = &Task{} },
		} {
			b = newBench(Config{Version: v, Verbose: true, UDelayTask: 80})
			c := at(42, fnAlpha)
			c.Task = &Task{Describe: func() *Verbose { return verboseBlock("producer", 42) }}
			b.onDelay = func() {
				if b.delays == 7 {
					end(b, c)
				}
			}
			b.SetInfo(t.Context(), c, first, 3)
			if b.delays != 7 || c.Task.Uninterruptible() {
				t.Errorf("%s: %d steps, want 7", name, b.delays)
			}
			if name == "consumed" && (len(b.printed) != 1 || !strings.Contains(b.printed[0], "held by producer/42.")) {
				t.Errorf("no block of the stalled producer: %q", b.printed)
			}
		}

		// A task that already sleeps keeps its mark.
		b = newBench(Config{Version: v, Verbose: true})
		c := at(42, fnAlpha)
		c.Task = &Task{}
		c.Task.stalled.Store(true)
		b.SetInfo(t.Context(), c, first, 3)
		if !c.Task.Uninterruptible() {
			t.Error("a sleeping task was woken")
		}

		// The context ends the stall.
		b = newBench(Config{Version: v, Verbose: true, UDelayTask: 1 << 30})
		ctx, cancel := context.WithCancel(t.Context())
		b.onDelay = cancel
		c = at(42, fnAlpha)
		c.Task = &Task{}
		if b.SetInfo(ctx, c, first, 3); b.delays != 1 || b.infos[3].task != nil {
			t.Errorf("cancelled after %d steps, task %p", b.delays, b.infos[3].task)
		}

		// Not verbose: no stall.
		b = newBench(Config{Version: v, UDelayTask: 80})
		if b.SetInfo(t.Context(), at(42, fnAlpha), first, 3); b.delays != 0 {
			t.Errorf("%d steps without verbose mode", b.delays)
		}
	})
}

// sampling records when it is switched, in nested calls.
type sampling struct{ off, calls int }

func (s *sampling) Disable() { s.off++; s.calls++ }
func (s *sampling) Enable()  { s.off-- }

func TestR11_Entry(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		checked := v < V5_14
		const n = 64
		for _, c := range []struct {
			index int
			ok    bool
		}{{-1, false}, {0, true}, {n + 1, true}, {n + 2, false}, {1<<31 - 1, false}} {
			for _, typ := range []ReportType{ReportSignal, ReportConsumed, ReportUnknownOrigin} {
				b := newBench(Config{Version: v, Watchpoints: n})
				want := map[ReportType]Outcome{ReportSignal: Printed, ReportConsumed: Produced, ReportUnknownOrigin: Printed}[typ]
				warns := 0
				if typ == ReportSignal && c.ok {
					b.SetInfo(t.Context(), at(42, fnAlpha), word(someAddr, 0), c.index)
				}
				if !c.ok && (checked || typ != ReportUnknownOrigin) {
					want = Rejected
				}
				if !c.ok && checked {
					warns = 1
				}
				got := b.Report(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, typ, c.index, Values{})
				if got != want || len(b.warned) != warns || (len(b.printed) == 1) != (want == Printed) {
					t.Errorf("type %d, index %d: %s, warnings %q, %d reports; want %s, %d warnings",
						typ, c.index, got, b.warned, len(b.printed), want, warns)
				}
			}
		}

		// Sampling is off whenever anything of the report happens, and on
		// again after every kind of exit.
		b := newBench(Config{Version: v, Verbose: true, UDelayTask: 3})
		s := &sampling{}
		call := func(pid int, interrupt bool) *Caller {
			c := at(pid, fnAlpha)
			c.Sampling, c.Interrupt = s, interrupt
			stack := c.Stack
			c.Stack = func(skip, max int) []uint64 {
				if s.off != 1 {
					t.Errorf("sampling is %d times off while a stack is saved", s.off)
				}
				return stack(skip, max)
			}
			return c
		}
		b.onDelay = func() {
			if s.off != 1 {
				t.Errorf("sampling is %d times off in the stall", s.off)
			}
		}
		b.SetInfo(t.Context(), call(42, false), word(someAddr, 0), 0)
		b.KnownOrigin(t.Context(), call(43, true), word(someAddr, 0), ValueTrue, 0, Values{})
		b.UnknownOrigin(t.Context(), call(43, true), word(someAddr, 0), ValueTrue, Values{})
		b.SetInfo(t.Context(), call(42, false), word(someAddr, 0), -1)
		if s.off != 0 || s.calls != 4 {
			t.Errorf("sampling is %d times off after %d reports", s.off, s.calls)
		}

		// The PID is -1 outside task context, whatever the task.
		for _, want := range []string{
			"\nread to 0xffffffff9f4ad020 of 8 bytes by task 42 on cpu 2:\n",
			"\nread to 0xffffffff9f4ad020 of 8 bytes by interrupt on cpu 2:\n",
		} {
			if len(b.printed) == 0 || !strings.Contains(b.printed[0], want) {
				t.Errorf("no %q in %q", want, b.printed)
			}
		}
		// An unknown origin touches no slot.
		b = newBench(Config{Version: v})
		b.SetInfo(t.Context(), at(42, fnAlpha), word(someAddr, 0), 0)
		b.UnknownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, Values{})
		if b.infos[0].access.Size != 8 {
			t.Error("an unknown origin released a slot")
		}
	})
}

func TestR12_Panic(t *testing.T) {
	texts := map[Version]string{
		Reference: "panic_on_warn set ...",
		V5_10:     "panic_on_warn set ...",
		V5_14:     "panic_on_warn set ...",
		V5_16:     "panic_on_warn set ...",
		V5_17:     "panic_on_warn set ...",
		V6_1:      "KCSAN: panic_on_warn set ...",
		V6_12:     "KCSAN: panic_on_warn set ...",
	}
	eachVersion(t, func(t *testing.T, v Version) {
		b := newBench(Config{Version: v, PanicOnWarn: true, OnceInMS: 1000, Skip: SkipRules{ValueChangeOnly: true}})
		inside, printed, slot := false, 0, uint64(0)
		b.onPanic = func() {
			inside = calledFrom("printReport")
			printed, slot = len(b.printed), b.infos[0].access.Size
		}
		b.hit(ValueMaybe, fnAlpha, fnBeta) // filtered
		b.hit(ValueFalse, fnAlpha, fnBeta)
		if len(b.panics) != 0 {
			t.Fatalf("panic %q without a report", b.panics)
		}
		b.hit(ValueTrue, fnAlpha, fnBeta)
		if !slices.Equal(b.panics, []string{texts[v]}) {
			t.Fatalf("panics %q, want %q", b.panics, texts[v])
		}
		if want := v >= V5_14; inside != want {
			t.Errorf("panic from inside the printing: %v, want %v", inside, want)
		}
		if printed != 1 || slot == 0 {
			t.Errorf("at the panic %d reports are printed and the slot has size %d; want 1, not 0", printed, slot)
		}
		b.hit(ValueTrue, fnAlpha, fnBeta) // rate limited
		b.SetInfo(t.Context(), at(42, fnAlpha), word(someAddr+8, 0), 0)
		b.KnownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, 0, Values{}) // discarded
		if len(b.panics) != 1 {
			t.Errorf("panics %q without a report", b.panics)
		}
		b.UnknownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, Values{})
		if len(b.panics) != 2 {
			t.Errorf("no panic for an unknown origin")
		}

		b = newBench(Config{Version: v, PanicOnWarn: true, PanicText: "other words"})
		b.hit(ValueTrue, fnAlpha, fnBeta)
		if !slices.Equal(b.panics, []string{"other words"}) {
			t.Errorf("panics %q", b.panics)
		}
		b = newBench(Config{Version: v})
		b.hit(ValueTrue, fnAlpha, fnBeta)
		if len(b.panics) != 0 {
			t.Errorf("panics %q without panic_on_warn", b.panics)
		}
	})
}

// calledFrom reports whether a function of this package is on the stack.
func calledFrom(name string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "."+name) {
			return true
		}
		if !more {
			return false
		}
	}
}

// TestR15_Live shows the WARN of a location that is in no frame: once.
func TestR15_Live(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		b := newBench(Config{Version: v})
		a := word(someAddr, AccessScoped)
		a.IP = fnThread + 4
		for range 2 {
			b.SetInfo(t.Context(), at(42, fnAlpha), a, 0)
			b.KnownOrigin(t.Context(), at(43, fnBeta), a, ValueTrue, 0, Values{})
		}
		want := 0
		if v >= V5_16 {
			want = 1
		}
		if len(b.warned) != want || len(b.printed) != 2 {
			t.Errorf("warnings %q, %d reports", b.warned, len(b.printed))
		}
	})
}

// TestR15_OnlyScoped passes a location with every access, as the kernel does
// since 5.16: it moves the trace of scoped ones only.
func TestR15_OnlyScoped(t *testing.T) {
	for _, kind := range []AccessType{0, AccessScoped} {
		b := newBench(Config{Version: V6_1})
		a := word(someAddr, kind)
		a.IP = fnBeta + 0x22
		b.SetInfo(t.Context(), at(42, fnCaller, fnBeta+0x40), a, 0)
		b.KnownOrigin(t.Context(), at(43, fnAlpha), word(someAddr, AccessWrite), ValueTrue, 0, Values{})
		moved := kind == AccessScoped
		if len(b.printed) != 1 || strings.Contains(b.printed[0], " beta+0x22/") != moved || strings.Contains(b.printed[0], " caller+0x0/") == moved {
			t.Errorf("type %d: %q", kind, b.printed)
		}
	}
}

// TestR1_Live shows what is left of a kernel BUG: a warning that names the
// value, no report, a free slot, no rate-limit entry.
func TestR1_Live(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		b := newBench(Config{Version: v, OnceInMS: 1000})
		bad := word(someAddr, AccessCompound)
		b.SetInfo(t.Context(), at(42, fnAlpha), bad, 0)
		got := b.KnownOrigin(t.Context(), at(43, fnBeta), word(someAddr, 0), ValueTrue, 0, Values{})
		if got != Discarded || len(b.warned) != 1 || !strings.Contains(b.warned[0], "0x2") || len(b.printed) != 0 {
			t.Errorf("%s, warnings %q, %d reports", got, b.warned, len(b.printed))
		}
		if b.infos[0].access.Size != 0 || b.times.Entries()[0].Time != 0 {
			t.Error("the slot or the rate limit kept something")
		}
	})
}
