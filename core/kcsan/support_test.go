package kcsan

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// A symtab is a tiny kallsyms: functions by start address.
type symtab []struct {
	start, size  uint64
	name, module string
}

// Symbol resolves an address.
func (s symtab) Symbol(addr uint64) (Symbol, bool) {
	for _, f := range s {
		if addr >= f.start && addr < f.start+f.size {
			return Symbol{Name: f.name, Offset: addr - f.start, Size: f.size, Module: f.module}, true
		}
	}
	return Symbol{}, false
}

// Functions of the test kernel. The gaps between them resolve to nothing.
const (
	fnAlpha   = 0xffffffff81000000
	fnBeta    = 0xffffffff81001000
	fnCaller  = 0xffffffff81002000
	fnThread  = 0xffffffff81003000
	fnTsan    = 0xffffffff81004000
	fnOnce    = 0xffffffff81005000
	fnSetup   = 0xffffffff81006000
	fnTest    = 0xffffffff81007000
	fnRcu     = 0xffffffff81008000
	fnTestMod = 0xffffffff81009000
	fnRtMod   = 0xffffffff8100a000
	fnLongA   = 0xffffffff8100b000
	fnLongB   = 0xffffffff8100c000
	fnLongRcu = 0xffffffff8100d000
	fnSrcu    = 0xffffffff8100e000
	fnLongRt  = 0xffffffff8100f000
	noSymbol  = 0xffffffff82000000
)

// long is a name part that fills what report.c looks at of a symbol.
var long = strings.Repeat("x", 60)

var symbols = symtab{
	{fnAlpha, 0x100, "alpha", ""},
	{fnBeta, 0x100, "beta", ""},
	{fnCaller, 0x100, "caller", ""},
	{fnThread, 0x100, "thread", ""},
	{fnTsan, 0x100, "__tsan_read8", ""},
	{fnOnce, 0x100, "__read_once_size", ""},
	{fnSetup, 0x100, "kcsan_setup_watchpoint", ""},
	{fnTest, 0x100, "kcsan_test_read", ""},
	{fnRcu, 0x100, "my_rcu_read", ""},
	{fnTestMod, 0x100, "access_thread", "kcsan_test"},
	{fnRtMod, 0x100, "poke", "kcsan_extra"},
	{fnLongA, 0x100, long + "xxxaaa", ""},
	{fnLongB, 0x100, long + "xxxbbb", ""},
	{fnLongRcu, 0x100, long + "_rcu", ""},
	{fnSrcu, 0x100, "init_srcu", ""},
	{fnLongRt, 0x100, long + "_tsan_x", ""},
}

// footer is the machine of all tests.
var testFooter = Footer{CPU: 3, PID: 43, Comm: "access_thread", Taint: "Not tainted", Release: "5.9.1", Build: "#1"}

// thread makes one side of a race whose trace is the given addresses.
func thread(t AccessType, pid int, entries ...uint64) Thread {
	th := Thread{Access: Access{Addr: 0xffffffff9f4ad020, Size: 8, Type: t, PID: pid, CPU: 2}}
	for _, e := range entries {
		th.Trace.Frames = append(th.Trace.Frames, NewFrame(symbols, e))
	}
	return th
}

// race makes a race of two threads with one frame each.
func race(v Version, otherTop, ownTop uint64) *Report {
	other := thread(0, 42, otherTop)
	return &Report{Version: v, Other: &other, Own: thread(AccessWrite, 43, ownTop), Footer: testFooter}
}

func mustLines(t *testing.T, r *Report) []string {
	t.Helper()
	lines, err := r.Lines()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// eachVersion runs a test for every generation of report.c.
func eachVersion(t *testing.T, f func(t *testing.T, v Version)) {
	for _, v := range Versions() {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

// A bench is a reporter with everything it says collected. Its hooks are called
// under the report lock; log guards reading while it runs.
type bench struct {
	*Reporter
	log     sync.Mutex
	printed []string
	warned  []string
	panics  []string
	now     uint64
	delays  int
	onDelay func() // called in every step of a stall, without the report lock
	onPanic func()
}

func newBench(cfg Config) *bench {
	b := &bench{now: 1000}
	add := func(to *[]string) func(string) {
		return func(s string) {
			b.log.Lock()
			defer b.log.Unlock()
			*to = append(*to, s)
		}
	}
	cfg.Symbols = symbols
	cfg.Print, cfg.Warn = add(&b.printed), add(&b.warned)
	cfg.Panic = func(s string) {
		add(&b.panics)(s)
		if b.onPanic != nil {
			b.onPanic()
		}
	}
	cfg.Now = func() uint64 { return b.now }
	cfg.Delay = func() {
		b.delays++
		if b.onDelay != nil {
			b.onDelay()
		}
	}
	cfg.Footer = func(c *Caller) Footer {
		f := testFooter
		f.CPU, f.PID = c.CPU, c.PID
		return f
	}
	b.Reporter = NewReporter(cfg)
	return b
}

// at makes a context whose stack is the given entries, below as many of the
// kernel's own functions as report.c leaves out.
func at(pid int, entries ...uint64) *Caller {
	return &Caller{PID: pid, CPU: 2, Stack: func(skip, max int) []uint64 {
		all := append([]uint64{fnSetup + 1, fnSetup + 2}[:skip:skip], entries...)[skip:]
		return all[:min(len(all), max)]
	}}
}

// word is an access of eight bytes at addr.
func word(addr uint64, t AccessType) Access { return Access{Addr: addr, Size: 8, Type: t} }

const someAddr = 0xffffffff9f4ad020

// hit lets a producer and a consumer of the same word meet at slot 0.
func (b *bench) hit(change ValueChange, otherTop, ownTop uint64) Outcome {
	ctx := context.Background()
	b.SetInfo(ctx, at(42, otherTop), word(someAddr, 0), 0)
	return b.KnownOrigin(ctx, at(43, ownTop), word(someAddr, AccessWrite), change, 0, Values{})
}
