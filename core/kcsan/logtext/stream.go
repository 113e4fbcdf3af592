package logtext

import (
	"slices"
	"strings"

	"coredrop/core/kcsan"
)

// streamKey tells apart whose lines belong together: those of one form, by one
// caller, of records or of text.
type streamKey struct {
	shape, caller string
	record        bool
}

// recordShape stands for the records of a kernel log, which have no prefix.
const recordShape = "record"

// A stream is what one caller is in the middle of.
type stream struct {
	keys     []streamKey // under which lines reach it
	caller   string
	opened   bool   // by a separator
	open     bool   // a title was seen
	headless bool   // a report whose beginning is missing
	tail     string // behind the separator
	suffix   string // behind every line, since it is behind the title too
	lines    []string
	bytes    int
	soft     []int // lines that were empty and without the prefix
	blank    bool  // others are blank behind the prefix, so that those are not the report's
	diffs    []string
	broken   string // why the lines cannot be a report
	footer   bool   // its first line was seen
	time     uint64
	timed    bool
	touched  int // number of the line that came last
	others   int // lines in a row that are not the report's
	after    int // lines of others below the footer
	age      uint64
}

// next counts a line, and ends what has been silent for long.
func (a *Assembler) next() {
	a.lines++
	if a.lines%sweepEvery != 0 {
		return
	}
	for _, s := range a.byAge() {
		if a.lines-s.touched > maxSilence {
			a.end(s, false, "nothing more of the report follows")
		}
	}
}

// maxKnown and maxKnownLine bound the lines that are shared.
const (
	maxKnown     = 4096
	maxKnownLine = 128
)

// shared gives the same string for the same line: reports repeat theirs.
func (a *Assembler) shared(text string) string {
	if len(text) > maxKnownLine {
		return strings.Clone(text)
	}
	if s, ok := a.known[text]; ok {
		return s
	}
	if a.known == nil || len(a.known) >= maxKnown {
		a.known = make(map[string]string, maxKnown)
	}
	text = strings.Clone(text)
	a.known[text] = text
	return text
}

// deliver gives a line to its stream.
func (a *Assembler) deliver(s *stream, shape, text, diff string) {
	mine := kcsan.Belongs(text)
	blank := strings.TrimSpace(text) == ""
	if len(s.keys) > 1 {
		// Which form the report has is not known yet.
		switch {
		case mine:
			a.settle(s, shape)
		case shape == "" && !blank:
			return
		}
	}
	if !s.open {
		// Between a separator and its title.
		if !blank {
			if s.others++; s.others > maxWait {
				a.forget(s)
			}
		}
		return
	}
	if kcsan.Typed(text) && s.footer {
		s.diffs = add(s.diffs, kcsan.DiffSeparator)
		a.end(s, true, "")
		return
	}
	s.diffs = add(s.diffs, diff)
	s.lines = append(s.lines, a.shared(text))
	s.bytes += len(text)
	switch {
	case mine:
		s.others = 0
		s.footer = s.footer || strings.HasPrefix(text, "CPU: ")
	case !blank:
		s.others++
		if s.footer {
			s.after++
		}
	}
	a.touch(s)
	switch {
	case len(s.lines) >= maxReportLines || s.bytes >= maxReportBytes:
		s.broken = "longer than any report"
		a.end(s, false, s.broken)
	case s.others > maxIdle:
		a.end(s, false, "nothing more of the report follows")
	case s.after > maxAfter:
		a.end(s, false, "the report does not end")
	}
}

// squeezed notes that blanks are missing in a prefix.
func (a *Assembler) squeezed(s *stream, prefix string) {
	if squeezed(prefix) {
		s.diffs = add(s.diffs, kcsan.DiffSqueezed)
	}
}

// learn begins a stream with the form of lines that have a prefix: as it is,
// without what may be glued to it, and, weakest, without any.
func (a *Assembler) learn(prefix string, m message) *stream {
	prefix = prefix[max(0, len(prefix)-maxPrefix):]
	f := learn(prefix)
	_, who, _ := f.match(prefix, 0)
	if who == "" {
		who = m.caller
	}
	a.addForm(f)
	s := a.begin(streamKey{f.shape, who, m.record})
	if tail, ok := glued(prefix); ok {
		if tail != prefix {
			g := learn(tail)
			a.addForm(g)
			a.join(s, streamKey{g.shape, who, m.record})
		}
	} else if prefix != "" && who == "" {
		bare := &form{}
		a.addForm(bare)
		a.join(s, streamKey{bare.shape, who, m.record})
	}
	return s
}

// begin starts a stream anew.
func (a *Assembler) begin(key streamKey) *stream {
	if a.streams == nil {
		a.streams = map[streamKey]*stream{}
	}
	if old := a.streams[key]; old != nil {
		a.end(old, false, "another report begins in the middle of it")
	}
	if len(a.streams) >= maxStreams {
		a.end(a.byAge()[0], false, "too many callers print at once")
	}
	a.clock++
	s := &stream{keys: []streamKey{key}, caller: key.caller, age: a.clock}
	a.streams[key] = s
	a.touch(s)
	return s
}

// join lets lines under another key reach a stream too.
func (a *Assembler) join(s *stream, key streamKey) {
	switch old := a.streams[key]; {
	case old == s:
		return
	case old != nil && old.open:
		return // a report that is open keeps its lines
	case old != nil:
		old.keys = slices.DeleteFunc(old.keys, func(k streamKey) bool { return k == key })
	}
	a.streams[key] = s
	s.keys = append(s.keys, key)
}

// settle keeps the one form of a stream that its lines turned out to have.
func (a *Assembler) settle(s *stream, shape string) {
	s.keys = slices.DeleteFunc(s.keys, func(k streamKey) bool {
		if k.shape == shape {
			return false
		}
		delete(a.streams, k)
		return true
	})
}

// touch notes that a line reached a stream.
func (a *Assembler) touch(s *stream) {
	s.touched = a.lines
	a.last, a.lastAt = s, a.lines
}

func (a *Assembler) alive(s *stream) bool {
	return len(s.keys) > 0 && a.streams[s.keys[0]] == s
}

// forget drops a stream that holds nothing.
func (a *Assembler) forget(s *stream) {
	for _, k := range s.keys {
		delete(a.streams, k)
	}
}

// byAge lists the streams, the oldest first.
func (a *Assembler) byAge() []*stream {
	var all []*stream
	for _, s := range a.streams {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(s, t *stream) int { return int(int64(s.age) - int64(t.age)) })
	return all
}

// end closes a stream. reason says why a report that is not closed by a
// separator is over.
func (a *Assembler) end(s *stream, closed bool, reason string) {
	a.forget(s)
	if !s.open {
		return
	}
	if s.blank {
		for _, i := range slices.Backward(s.soft) {
			s.lines = slices.Delete(s.lines, i, i+1)
		}
	}
	f := Found{Caller: s.caller, Time: s.time, Timed: s.timed}
	if name, ok := strings.CutPrefix(s.lines[0], title); ok {
		f.Title = kcsan.Clean(strings.TrimSpace(name))
	}
	switch {
	case s.headless:
		f.Reading = kcsan.Fragment(s.lines, "its beginning is missing")
	case s.broken != "":
		f.Reading = kcsan.Fragment(s.lines, s.broken)
	default:
		f.Reading = kcsan.ReadLines(s.lines, kcsan.Context{Opened: s.opened, Closed: closed,
			LogEnds: reason == logEnds && a.lines <= s.touched+1, Interleaved: s.caller == "", Differences: s.diffs})
		if f.Grade == kcsan.GradeFragment && reason != "" && !slices.ContainsFunc(s.lines, kcsan.Lossy) {
			f.Reason = reason
		}
		if f.Report != nil {
			f.Title = f.Report.Title()
		}
	}
	if a.visit != nil {
		a.visit(f)
		return
	}
	a.found = append(a.found, f)
}

const logEnds = "the log ends in the middle of the report"

// add adds a difference once.
func add(diffs []string, diff string) []string {
	if diff == "" || slices.Contains(diffs, diff) {
		return diffs
	}
	return append(diffs, diff)
}
