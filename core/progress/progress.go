// Package progress carries what a running job says of itself: counts for a
// progress bar and one line a step for the log. It measures no time: rates and
// remaining time are the viewer's business, and cancellation is the context's.
package progress

import "fmt"

// Func receives a stage's name with how much of it is done, in bytes or items.
// A total of 0 means that it is not known.
type Func func(stage string, done, total int64)

// Sink is where a job reports to; the zero value swallows everything.
type Sink struct {
	OnProgress Func
	OnLine     func(line string)
}

// Report passes counts on.
func (s Sink) Report(stage string, done, total int64) {
	if s.OnProgress != nil {
		s.OnProgress(stage, done, total)
	}
}

// Logf passes one line on; it is formatted only when somebody listens.
func (s Sink) Logf(format string, args ...any) {
	if s.OnLine != nil {
		s.OnLine(fmt.Sprintf(format, args...))
	}
}
