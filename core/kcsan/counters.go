package kcsan

import "sync/atomic"

// A Counter is one of the kernel's nine, enum kcsan_counter_id.
type Counter uint8

// The counters, in the kernel's order. The reporter itself counts only encoding
// false positives; the others belong to the sampler on top of it.
const (
	UsedWatchpoints Counter = iota
	SetupWatchpoints
	DataRaces
	AssertFailures
	NoCapacity
	ReportRaces
	RacesUnknownOrigin
	UnencodableAccesses
	EncodingFalsePositives
	NumCounters
)

var counterNames = [NumCounters]string{
	"used_watchpoints",
	"setup_watchpoints",
	"data_races",
	"assert_failures",
	"no_capacity",
	"report_races",
	"races_unknown_origin",
	"unencodable_accesses",
	"encoding_false_positives",
}

// String returns the name that debugfs shows.
func (c Counter) String() string {
	if c < NumCounters {
		return counterNames[c]
	}
	return "invalid"
}

// Counters are kcsan_counters. The zero value is ready, and safe for concurrent
// use.
type Counters struct{ n [NumCounters]atomic.Int64 }

// Add changes a counter; UsedWatchpoints also goes down.
func (c *Counters) Add(id Counter, delta int64) { c.n[id].Add(delta) }

// Load returns a counter.
func (c *Counters) Load(id Counter) int64 { return c.n[id].Load() }
