package kcsan

import "slices"

// A Filter is the list of functions that debugfs (kernel/kcsan/debugfs.c)
// keeps: with deny semantics a report whose top function is listed is skipped,
// with allow semantics every other one is. It does not change once made.
type Filter struct {
	starts []uint64
	allow  bool
}

// NewFilter makes a list of functions, given by their start addresses.
func NewFilter(allow bool, starts ...uint64) *Filter {
	starts = slices.Clone(starts)
	slices.Sort(starts)
	return &Filter{starts: slices.Compact(starts), allow: allow}
}

// skips reports whether the list drops a report with this top frame. An empty
// list drops nothing, whatever its semantics, and a frame without a symbol has
// no function that could be listed.
func (f *Filter) skips(top Frame) bool {
	if f == nil || len(f.starts) == 0 || top.Symbol.Name == "" {
		return false
	}
	_, listed := slices.BinarySearch(f.starts, top.start())
	return listed != f.allow
}

// SkipRules are the rules that keep a race from being reported (R5).
type SkipRules struct {
	// ValueChangeOnly is CONFIG_KCSAN_REPORT_VALUE_CHANGE_ONLY: a race that
	// may not have changed the value is not reported.
	ValueChangeOnly bool
	// Filter is the list of functions; nil lists nothing.
	Filter *Filter
}

// A Skip says which rule of R5 suppresses a report.
type Skip uint8

// The rules of R5.
const (
	NotSkipped    Skip = iota
	SkipNoChange       // the value change is FALSE: nothing is ever printed
	SkipUnchanged      // value-change-only, and the value may not have changed
	SkipListed         // the function list drops the top function
)

// String describes the rule in words.
func (s Skip) String() string {
	switch s {
	case NotSkipped:
		return "not skipped"
	case SkipNoChange:
		return "the value did not change"
	case SkipUnchanged:
		return "only value changes are reported and none was seen"
	case SkipListed:
		return "the top function is filtered"
	}
	return "invalid"
}

// Skip decides about a whole report. The own top frame is asked first and
// always as TRUE, since the value that the own access writes is not known; only
// the function list can drop it. The other frame, nil for an unknown origin, is
// asked with the real value change.
func (s SkipRules) Skip(change ValueChange, own Frame, other *Frame) Skip {
	if change == ValueFalse {
		return SkipNoChange
	}
	if why := s.frame(ValueTrue, own); why != NotSkipped || other == nil {
		return why
	}
	return s.frame(change, *other)
}

// frame is the kernel's skip_report for one top frame.
func (s SkipRules) frame(change ValueChange, top Frame) Skip {
	// RCU opted out of the value filter.
	if s.ValueChangeOnly && change == ValueMaybe &&
		!containsAny(limited(top.Func()), "rcu_", "_rcu", "_srcu") {
		return SkipUnchanged
	}
	if s.Filter.skips(top) {
		return SkipListed
	}
	return NotSkipped
}
