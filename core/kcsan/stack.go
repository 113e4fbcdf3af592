package kcsan

import "strings"

// NumStackEntries is how many entries the kernel saves of a stack, before
// runtime frames are trimmed (R7).
const NumStackEntries = 64

// Callers that the kernel leaves out when it saves a stack (R7): its own
// function, and for the producer also the one that called it.
const (
	skipOwn   = 1
	skipOther = 2
)

// A Trace is a stack as a report shows it.
type Trace struct {
	Frames []Frame // innermost first, at most NumStackEntries of the kernel's
	// ReorderedTo is the entry that the access's explicit location replaced:
	// where the access took effect. Nil when nothing was replaced, and in
	// versions that do not print it.
	ReorderedTo *Frame
}

// Top returns the frame that stands for the stack in a title: the first that
// is a stack entry. An empty trace has the zero Frame, which prints as 0x0:
// there the kernel's index runs past the end of the saved entries (R6).
func (t Trace) Top() Frame {
	for _, f := range t.Frames {
		if !f.Inline {
			return f
		}
	}
	return Frame{}
}

// RuntimeFrame is R6: whether a function, given as its %ps string, belongs to
// the sanitizer's runtime and is not shown. Only the first 63 characters
// count, and only the first "kcsan_" is looked at.
func RuntimeFrame(function string) bool {
	function = limited(function)
	if containsAny(function, "tsan_", "_once_size") {
		return true
	}
	_, after, found := strings.Cut(function, "kcsan_")
	return found && !strings.HasPrefix(after, "test")
}

// Sanitize turns saved stack entries into the trace that is shown: R6 trims
// runtime frames from the top, or, when the access carries an explicit location
// ip, R15 replaces the first entry of the same function by ip and drops the
// entries before it. lost reports that R15 found no such entry and that the
// trace was trimmed by R6 instead, where the kernel WARNs. Entries beyond
// [NumStackEntries] are not looked at.
func (v Version) Sanitize(s Symbolizer, entries []uint64, ip uint64) (t Trace, lost bool) {
	if len(entries) > NumStackEntries {
		entries = entries[:NumStackEntries]
	}
	frames := make([]Frame, len(entries))
	for i, addr := range entries {
		frames[i] = NewFrame(s, addr)
	}
	f := v.Features()
	if f.ExplicitIP && ip != 0 {
		at := NewFrame(s, ip)
		if i := sameFunction(frames, at); i >= 0 {
			replaced := frames[i]
			frames[i] = at
			t.Frames = frames[i:]
			if f.ReorderedTo {
				t.ReorderedTo = &replaced
			}
			return t, false
		}
		lost = true
	}
	t.Frames = frames[runtimeFrames(frames):]
	return t, lost
}

// runtimeFrames counts the runtime frames on top of a stack (R6).
func runtimeFrames(frames []Frame) int {
	for i, f := range frames {
		if !RuntimeFrame(f.Func()) {
			return i
		}
	}
	return len(frames)
}

// sameFunction returns the index of the first frame that lies in the function
// of at, or -1. A frame without a symbol ends the search (R15), as does a
// location without one.
func sameFunction(frames []Frame, at Frame) int {
	if at.Symbol.Name == "" {
		return -1
	}
	for i, f := range frames {
		if f.Symbol.Name == "" {
			return -1
		}
		if f.start() == at.start() {
			return i
		}
	}
	return -1
}

// start returns the address of the function that the frame lies in.
func (f Frame) start() uint64 { return f.Addr - f.Symbol.Offset }
