package watch

// Options say how densely and how patiently to sample. The zero value of every
// field means its default.
type Options struct {
	// Skip is how many accesses pass between two samples at most; the actual
	// number is drawn below it each time. Default 4000, as in the kernel; 1
	// samples every access.
	Skip int
	// Yields is how often a sampling goroutine gives way before it looks again.
	// Default 80.
	Yields int
	// Watchpoints is how many addresses can be watched at a time. Default 64.
	Watchpoints int
	// ValueChangeOnly reports only races that were seen to change the value.
	ValueChangeOnly bool
	// IgnoreUnknownOrigin does not report a value that changed while no
	// access was seen. Assertions are reported all the same.
	IgnoreUnknownOrigin bool
	// Seed chooses another sequence of skip counts.
	Seed uint64
	// Print receives one whole report. The default writes to standard error.
	// Accesses made in it are not watched.
	Print func(text string)
	// PanicOnWarn panics after a report, in the goroutine that found it.
	PanicOnWarn bool
}
