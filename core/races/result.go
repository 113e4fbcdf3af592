package races

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/linux"
	"coredrop/core/owner"
	"coredrop/core/progress"
)

// The states of a report.
const (
	Printed    = "printed"    // whole, in the log
	InFlight   = "in-flight"  // the kernel was at or inside its printing
	Pending    = "pending"    // its second thread still waited or delayed
	Suppressed = "suppressed" // complete, but a rule keeps it from being printed
	Residue    = "residue"    // traces of a report that the log does not hold
)

// States lists the states in the order in which they are shown.
func States() []string { return []string{InFlight, Pending, Suppressed, Printed, Residue} }

// Report is one race as the core holds it. Reports with the same text are one,
// with a count.
type Report struct {
	State string
	// Title is the kernel's, without "BUG: KCSAN: ". A thread that is not
	// known is "?".
	Title string
	// Text is what the kernel prints, from separator to separator without time
	// stamps. For residue it is only the part that is left, and no report.
	Text  string
	Count int

	// Grade of a printed report: whole, or retyped with the Differences.
	Grade       kcsan.Grade
	Differences []string

	Time  uint64 // of the first in the log, nanoseconds since boot
	Timed bool   // Time is known
	// Times are those of every occurrence in the log that has one, in its order.
	Times []uint64
	// Caller is who printed the first in the log, "T42" or "C1", "" unknown.
	Caller string

	Sources []string // "log", "cpu 1", "other_infos[46]", "report_times[3]"
	Rule    string   // why a suppressed one is
	Unknown []string // what of the text is not known

	Model *kcsan.Report // nil for residue

	// Objects are what the accesses of Model were to, in the order in which they
	// are printed; of a report of a log none are known.
	Objects []owner.Object
}

// Result is everything about races that a core or log holds.
type Result struct {
	Reports []Report
	State   *State // the sanitizer's data; nil for a log and for a kernel without KCSAN

	// Fragments are pieces of reports in the log whose rest was overwritten or
	// never written, each with the reason.
	Fragments []logtext.Entry
	// Records counts the log's records.
	Records int
	// LastTime is the time stamp of the newest record, nanoseconds since boot: the
	// guest ran at least so long.
	LastTime uint64

	// Lines are the source lines of the reports' stacks, where debugging
	// information is there.
	Lines Lines

	Warnings []fault.Warning
}

// Count counts the reports in a state, equal ones as often as they occur.
func (r *Result) Count(state string) int {
	n := 0
	for i := range r.Reports {
		if r.Reports[i].State == state {
			n += r.Reports[i].Count
		}
	}
	return n
}

// FromLog makes a result of what a log's text holds.
func FromLog(log *logtext.Log) *Result {
	r := &Result{}
	r.addPrinted(log.Entries)
	if log.Unkept > 0 {
		r.warn(fault.LogDamaged, "the log holds more different reports than are kept: of %d only the titles are, and of %d not even those",
			log.Unkept-log.Unnamed, log.Unnamed)
	}
	r.warnFragments()
	return r
}

// Recover finds every report that a kernel still holds. Only a cancelled context
// is an error: what cannot be read is a warning.
func Recover(ctx context.Context, k *linux.Kernel, sink progress.Sink) (*Result, error) {
	r := &Result{}
	found, err := r.readLog(ctx, k)
	if err != nil {
		return r, err
	}
	r.addPrinted(logtext.Distinct(found))
	sink.Logf("races: %d records in the log, %d reports, %d fragments", r.Records, r.Count(Printed), len(r.Fragments))

	defer r.own(k)
	s, ok := readState(k)
	if !ok {
		r.warnFragments()
		if k.Symbols.Len() == 0 {
			r.warn(fault.UnknownLayout, "without the kernel's symbol table only the reports in its log can be found")
		} else {
			r.warn(fault.NoKCSAN, "")
		}
		return r, nil
	}
	r.State = s
	for _, name := range []string{"other_infos", "report_times", "watchpoints", "kcsan_counters"} {
		if a, ok := s.addrs[name]; ok {
			sink.Logf("races: %s at %#x by %s", name, a, s.From[name])
		} else {
			r.warn(fault.UnknownLayout, "%s was not found in the kernel: what it holds is not shown", name)
		}
	}
	c := &recovery{k: k, s: s, r: r, log: found}
	c.footers(found)
	c.run()
	r.warnFragments()
	if err := ctx.Err(); err != nil {
		return r, fault.Wrap(err, fault.Cancelled, "")
	}
	return r, nil
}

func (r *Result) warn(code fault.Code, format string, args ...any) {
	r.Warnings = append(r.Warnings, fault.Warn(code, format, args...))
}

// readLog puts the reports of the kernel's log together, each caller's records
// for themselves.
func (r *Result) readLog(ctx context.Context, k *linux.Kernel) ([]logtext.Found, error) {
	var a logtext.Assembler
	err := k.Log(ctx, func(rec linux.Record) bool {
		r.Records++
		r.LastTime = max(r.LastTime, rec.Time)
		a.AddRecord(logtext.Record{Caller: rec.CallerName(), Time: rec.Time, Text: rec.Text})
		return true
	})
	if ctx.Err() != nil {
		return nil, fault.Wrap(ctx.Err(), fault.Cancelled, "")
	}
	if err != nil {
		f := fault.As(err)
		r.warn(f.Code, "%s", f.Text)
	}
	return a.Finish(), nil
}

// warnFragments says that there are pieces.
func (r *Result) warnFragments() {
	if n := len(r.Fragments); n > 0 {
		noun := "reports are"
		if n == 1 {
			noun = "report is"
		}
		r.warn(fault.LogDamaged, "%d %s not whole; what is left is shown with the reason", n, noun)
	}
}

// addPrinted takes over the reports of a log and their pieces, the most frequent
// title first.
func (r *Result) addPrinted(entries []logtext.Entry) {
	for _, g := range logtext.GroupByTitle(entries) {
		for _, e := range g.Entries {
			if e.Report == nil {
				r.Fragments = append(r.Fragments, e)
				continue
			}
			r.Reports = append(r.Reports, Report{State: Printed, Grade: e.Grade, Differences: e.Differences, Title: g.Title,
				Text: e.Text(), Count: e.Count, Time: e.Time, Timed: e.Timed, Times: e.Times, Caller: e.Caller,
				Sources: []string{"log"}, Model: e.Report})
		}
	}
}
