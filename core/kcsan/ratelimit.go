package kcsan

import "slices"

// maxReportTimes is how many entries of 24 bytes fit a page: report_times never
// grows beyond it.
const maxReportTimes = 4096 / 24

// A ReportTime is the kernel's struct report_time: when a pair of frames was
// last reported.
type ReportTime struct {
	Time           uint64 // jiffies; 0 means that the entry was never used
	Frame1, Frame2 uint64 // return addresses; Frame2 is 0 for an unknown origin
}

// A RateLimit is R8: the memory of which races were reported lately. It is not
// safe for concurrent use; the kernel's is guarded by the report lock.
type RateLimit struct {
	window  uint64 // jiffies
	entries []ReportTime
}

// NewRateLimit makes a table for CONFIG_KCSAN_REPORT_ONCE_IN_MS and the
// kernel's HZ. onceInMS 0 never limits; hz 0 counts as 1000, which makes a
// jiffy a millisecond.
func NewRateLimit(onceInMS, hz uint) *RateLimit {
	if hz == 0 {
		hz = 1000
	}
	return &RateLimit{
		window:  (uint64(onceInMS)*uint64(hz) + 999) / 1000, // msecs_to_jiffies rounds up
		entries: make([]ReportTime, min(onceInMS, maxReportTimes)),
	}
}

// Load replaces the table's contents, as found in a core. Entries beyond the
// table's length are dropped.
func (l *RateLimit) Load(entries []ReportTime) {
	clear(l.entries)
	copy(l.entries, entries)
}

// Entries returns a copy of the table.
func (l *RateLimit) Entries() []ReportTime { return slices.Clone(l.entries) }

// Suppressed reports whether the pair of frames was reported too recently to be
// reported again at time now (jiffies). It changes nothing.
func (l *RateLimit) Suppressed(now, frame1, frame2 uint64) bool {
	suppressed, _ := l.scan(now, frame1, frame2)
	return suppressed
}

// Limit is Suppressed, and remembers the pair when the answer is no. A
// suppressed pair keeps its old time.
func (l *RateLimit) Limit(now, frame1, frame2 uint64) bool {
	suppressed, use := l.scan(now, frame1, frame2)
	if !suppressed && use != nil {
		*use = ReportTime{now, frame1, frame2}
	}
	return suppressed
}

// scan looks for a live entry with the pair, in either order, and for the entry
// to overwrite otherwise: the oldest, expired or not.
func (l *RateLimit) scan(now, frame1, frame2 uint64) (suppressed bool, use *ReportTime) {
	if len(l.entries) == 0 {
		return false, nil
	}
	use = &l.entries[0]
	oldest := now - l.window
	for i := range l.entries {
		e := &l.entries[i]
		if before(e.Time, use.Time) {
			use = e
		}
		if e.Time == 0 {
			break // this entry and all that follow were never used
		}
		if before(e.Time, oldest) {
			continue
		}
		if e.Frame1 == frame1 && e.Frame2 == frame2 || e.Frame1 == frame2 && e.Frame2 == frame1 {
			return true, e
		}
	}
	return false, use
}

// before is the kernel's time_before: a signed difference, so that jiffies may
// wrap.
func before(a, b uint64) bool { return int64(a-b) < 0 }
