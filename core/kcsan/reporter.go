package kcsan

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Config is what a kernel is built, booted and running with, as far as
// reporting depends on it. The zero value of every field works.
type Config struct {
	Version Version

	Watchpoints int  // CONFIG_KCSAN_NUM_WATCHPOINTS; 0 means 64
	OnceInMS    uint // CONFIG_KCSAN_REPORT_ONCE_IN_MS; 0 means no rate limit
	HZ          uint // jiffies a second; 0 means 1000
	Skip        SkipRules
	Verbose     bool // CONFIG_KCSAN_VERBOSE

	// UDelayTask and UDelayInterrupt are the sampler's delays in
	// microseconds; the larger one bounds the stall of a verbose producer.
	UDelayTask, UDelayInterrupt int

	// PanicOnWarn calls Panic when a report was printed. PanicText overrides
	// the version's text, for stable branches that have the newer one.
	PanicOnWarn bool
	PanicText   string

	// Now returns jiffies. Nil stands still at 1.
	Now func() uint64
	// Symbols resolves stack entries; nil resolves nothing.
	Symbols Symbolizer
	// Footer describes the machine and the printing context; nil leaves it
	// empty.
	Footer func(c *Caller) Footer
	// Delay waits one microsecond while a verbose producer is stalled; nil
	// yields.
	Delay func()

	// Print receives one whole report, Warn the text of a kernel WARN, Panic
	// that of a panic. They are called with the report lock held, so they must
	// not call the reporter. Nil drops the text.
	Print, Warn, Panic func(text string)
}

// defaultWatchpoints is CONFIG_KCSAN_NUM_WATCHPOINTS's default.
const defaultWatchpoints = 64

// A Caller is the context that calls the reporter: the kernel's current and its
// CPU.
type Caller struct {
	PID       int
	Interrupt bool // not in task context: the PID is then not used
	CPU       int
	Task      *Task // verbose mode's view of the task; may be nil
	// Stack saves at most max entries of the context's stack, innermost first,
	// without the innermost skip ones. It is called with the report lock held.
	Stack func(skip, max int) []uint64
	// Sampling is turned off in this context while it reports; nil has none.
	Sampling Sampling
}

// Sampling is a context's own switch for race detection; calls nest.
type Sampling interface {
	Disable()
	Enable()
}

func (c *Caller) stack(skip int) []uint64 {
	if c.Stack == nil {
		return nil
	}
	s := c.Stack(skip, NumStackEntries)
	return s[:min(len(s), NumStackEntries)]
}

// access completes an access with what the context knows of itself.
func (c *Caller) access(a Access) Access {
	a.PID, a.CPU = c.PID, c.CPU
	if c.Interrupt {
		a.PID = InterruptPID
	}
	return a
}

// A Task is what verbose mode needs of a task: an identity, a state, and how to
// describe it.
type Task struct {
	// Describe returns the task's locks and interrupt trace. It is called with
	// the report lock held; nil describes nothing.
	Describe func() *Verbose

	stalled atomic.Bool
}

// Uninterruptible reports whether the task is marked as sleeping because it
// waits for its report.
func (t *Task) Uninterruptible() bool { return t.stalled.Load() }

func (t *Task) describe() *Verbose {
	if t == nil || t.Describe == nil {
		return nil
	}
	return t.Describe()
}

// otherInfo is the kernel's struct other_info: one slot, filled by a producer,
// read and released by the consumer that owns the watchpoint of the same index.
// size 0 means free. The report lock guards it.
type otherInfo struct {
	access Access
	stack  []uint64
	task   *Task
	filled chan struct{} // holds a token after a fill, to wake the consumer
}

// A Reporter is the live system. Its methods may be called from any number of
// goroutines.
type Reporter struct {
	cfg      Config
	counters Counters
	outcomes [numOutcomes]atomic.Int64

	lock  sync.Mutex // report_lock: guards everything below and serializes printing
	infos []otherInfo
	times *RateLimit
	lost  bool // the WARN of a location without a frame was given (it is given once)
}

// NewReporter makes a reporter with an empty rate limit and free slots.
func NewReporter(cfg Config) *Reporter {
	if cfg.Watchpoints <= 0 {
		cfg.Watchpoints = defaultWatchpoints
	}
	if cfg.Now == nil {
		cfg.Now = func() uint64 { return 1 }
	}
	if cfg.Delay == nil {
		cfg.Delay = runtime.Gosched
	}
	if cfg.PanicText == "" {
		cfg.PanicText = cfg.Version.Features().PanicText
	}
	for _, hook := range []*func(string){&cfg.Print, &cfg.Warn, &cfg.Panic} {
		if *hook == nil {
			*hook = func(string) {}
		}
	}
	r := &Reporter{
		cfg:   cfg,
		infos: make([]otherInfo, cfg.Watchpoints+NumSlots-1),
		times: NewRateLimit(cfg.OnceInMS, cfg.HZ),
	}
	for i := range r.infos {
		r.infos[i].filled = make(chan struct{}, 1)
	}
	return r
}

// Counters returns the kernel's counters of this reporter.
func (r *Reporter) Counters() *Counters { return &r.counters }

// An Outcome is what became of a call.
type Outcome uint8

// The outcomes. The first four are the ends of a race; every call that consumes
// or has an unknown origin has exactly one of them, unless it was rejected or
// cancelled.
const (
	Printed     Outcome = iota // the report was printed
	RateLimited                // the pair of frames was reported lately (R8)
	Filtered                   // a rule of R5 suppressed it
	Discarded                  // the accesses do not match (R9), or have no name (R1)
	Produced                   // the slot was filled (R10)
	Rejected                   // the watchpoint index is wrong (R11)
	Cancelled                  // the context ended while waiting
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"printed", "rate limited", "filtered", "discarded", "produced", "rejected", "cancelled",
}

// String returns the outcome in words.
func (o Outcome) String() string {
	if o < numOutcomes {
		return outcomeNames[o]
	}
	return "invalid"
}

// Outcomes returns how many calls had the outcome so far.
func (r *Reporter) Outcomes(o Outcome) int64 { return r.outcomes[o].Load() }

// A ReportType says what kind of call it is, the kernel's enum
// kcsan_report_type of 5.8 to 5.13 (later versions have an entry point each).
type ReportType uint8

// The report types, with the kernel's numbers.
const (
	ReportSignal        ReportType = iota // RACE_SIGNAL: the watchpoint's owner saw that it was hit
	ReportConsumed                        // CONSUMED_WATCHPOINT: an access hit a watchpoint
	ReportUnknownOrigin                   // RACE_UNKNOWN_ORIGIN: the value changed, and no access was seen
)

// SetInfo is the producer's entry: an access hit watchpoint index and hands
// itself over. Later names: kcsan_report_set_info.
func (r *Reporter) SetInfo(ctx context.Context, c *Caller, a Access, index int) Outcome {
	return r.Report(ctx, c, a, ValueMaybe, ReportConsumed, index, Values{})
}

// KnownOrigin is the consumer's entry: the owner of watchpoint index, which was
// hit, waits for the other access and reports. Later names:
// kcsan_report_known_origin.
func (r *Reporter) KnownOrigin(ctx context.Context, c *Caller, a Access, change ValueChange, index int, v Values) Outcome {
	return r.Report(ctx, c, a, change, ReportSignal, index, v)
}

// UnknownOrigin reports a value that changed without an access that was seen.
// Later names: kcsan_report_unknown_origin.
func (r *Reporter) UnknownOrigin(ctx context.Context, c *Caller, a Access, change ValueChange, v Values) Outcome {
	return r.Report(ctx, c, a, change, ReportUnknownOrigin, 0, v)
}

// Report is R11, the entry of the reference revision, of which the later ones
// are special cases. Sampling is off in the calling context from entry to exit.
func (r *Reporter) Report(ctx context.Context, c *Caller, a Access, change ValueChange, typ ReportType, index int, v Values) Outcome {
	if c.Sampling != nil {
		c.Sampling.Disable()
		defer c.Sampling.Enable()
	}
	outcome := r.report(ctx, c, c.access(a), change, typ, index, v)
	r.outcomes[outcome].Add(1)
	return outcome
}

func (r *Reporter) report(ctx context.Context, c *Caller, a Access, change ValueChange, typ ReportType, index int, v Values) Outcome {
	outside := index < 0 || index >= len(r.infos)
	if outside && r.cfg.Version.Features().IndexCheck {
		// Before 5.14 the index is checked for every call, also when it is not
		// going to be used.
		r.cfg.Warn("watchpoint index out of range")
		return Rejected
	}
	if outside && typ != ReportUnknownOrigin {
		return Rejected // no kernel checks this any more; we have no slot to use
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	switch typ {
	case ReportConsumed:
		return r.produce(ctx, c, a, &r.infos[index])
	case ReportSignal:
		return r.consume(ctx, c, a, change, &r.infos[index], v)
	default:
		return r.print(c, a, change, nil, v)
	}
}
