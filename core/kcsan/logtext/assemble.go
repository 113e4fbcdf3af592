package logtext

import (
	"slices"
	"strings"

	"coredrop/core/kcsan"
)

// Words that no line may be passed over for.
const (
	title      = "BUG: KCSAN:"
	titleLine  = title + " "
	reportedBy = "Reported by Kernel Concurrency Sanitizer"
	kcsan66    = kcsan.Separator
	arrow      = "+-> reordered to:"
)

// Bounds of what is kept of a log while it is read. A report of 64 frames a
// side with locks and interrupt trace has less than 250 lines, symbolised less
// than a thousand; the kernel's lines have less than 1024 bytes.
const (
	maxLineBytes   = 4096
	maxReportLines = 1024
	maxReportBytes = 128 << 10
	maxStreams     = 128
	maxForms       = 8
	maxTail        = 200  // behind a separator
	maxWait        = 16   // lines between separator and title
	maxIdle        = 300  // lines of others in a row
	maxAfter       = 32   // lines of others below a footer
	maxSilence     = 4096 // lines of a log without one of the report
	sweepEvery     = 512
)

// A Record is one entry of a kernel log.
type Record struct {
	Caller string // "T42" or "C3": who printed it; "" when that is not known
	Time   uint64 // nanoseconds since boot
	Text   string // one line or several, without prefix
}

// Found is a report, or a piece of one, in a log.
type Found struct {
	kcsan.Reading
	// Title is the kernel's title without "BUG: KCSAN: "; "" when that line is
	// missing.
	Title string

	Caller string // who printed it, "" when the log does not say
	Time   uint64 // of the first line, nanoseconds since boot
	Timed  bool   // the log has time stamps
}

// Text returns the lines, each ended by a newline.
func (f *Found) Text() string { return strings.Join(f.lines(), "\n") + "\n" }

// lines are those of the reading; a whole report that is kept has none but its
// model's.
func (f *Found) lines() []string {
	if f.Lines == nil && f.Report != nil {
		lines, _ := f.Report.Lines() // it was read from them
		return lines
	}
	return f.Lines
}

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

// An Assembler puts reports together from the lines or records of a log. Its
// zero value is ready.
type Assembler struct {
	visit   func(Found) // nil: collect
	found   []Found
	streams map[streamKey]*stream
	forms   []*form // of streams, the longest first
	past    history
	un      unescaper
	json    jsonReader
	last    *stream // of the last line that had one
	lastAt  int
	lines   int
	clock   uint64
	known   map[string]string
	hint    message // of the journal's record at hand
}

// addPiece adds a line, or a piece of one that is too long for one.
func (a *Assembler) addPiece(line string, ends bool) {
	line = stripped(line)
	if a.json.inside() || !strings.Contains(line, "\r") && a.jsonBegins(line) {
		if a.fromJSON(line, ends) {
			return
		}
	}
	// A line that a terminal would have printed over is several.
	for part := range strings.SplitSeq(line, "\r") {
		a.un.lines(part, func(l, diff string) { a.text(l, diff, a.hint) })
	}
}

// jsonBegins reports whether a document begins in this line, which is not one of
// a report in braces.
func (a *Assembler) jsonBegins(line string) bool {
	if strings.IndexByte(line, '{') < 0 && strings.IndexByte(line, '[') < 0 {
		return false
	}
	_, ok := jsonBegins(line)
	return ok
}

// fromJSON reads a line of a document.
func (a *Assembler) fromJSON(line string, ends bool) bool {
	visit := func(m message) {
		for part := range strings.SplitSeq(stripped(m.text), "\r") {
			a.text(part, "", m)
		}
	}
	rest := line
	if !a.json.inside() {
		at, _ := jsonBegins(line)
		rest = line[at:]
	}
	if a.json.feed(rest, visit) && (!ends || a.json.endLine(visit)) {
		return true
	}
	a.json.reset(visit)
	return false
}

// AddRecord adds one record of a kernel log.
func (a *Assembler) AddRecord(r Record) {
	for i, l := range strings.SplitN(r.Text, "\n", maxReportLines) {
		if i > 0 && l == "" {
			continue
		}
		a.record(l, r)
	}
}

// record adds a line whose caller is known from elsewhere.
func (a *Assembler) record(l string, r Record) {
	a.next()
	key := streamKey{recordShape, r.Caller, true}
	s := a.streams[key]
	m := message{time: r.Time, timed: true}
	switch {
	case l == kcsan66:
		a.separator(key, "")
	case strings.HasPrefix(l, titleLine):
		a.open(key, l, m)
	case s != nil && (s.open || !strings.HasPrefix(l, reportedBy)):
		a.deliver(s, key.shape, l, "")
	case strings.HasPrefix(l, reportedBy):
		a.orphan(key, l, m, func(p *past) (string, bool) { return string(p.line), p.record && p.caller == r.Caller })
	}
	a.past.push(l, true, r.Caller)
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

// text adds a line of text, decoded.
func (a *Assembler) text(l, diff string, m message) {
	overlong := len(l) > maxLineBytes
	if at := strings.Index(l, title); overlong && at >= maxLineBytes-maxPrefix {
		l = l[at-min(at, maxPrefix):] // a title deep in a line
	}
	l = l[:min(len(l), maxLineBytes)]
	a.next()
	at, what := trigger(l)
	if what == nothing && len(a.streams) == 0 {
		a.past.push(l, false, "")
		return
	}
	switch {
	case what == isSeparator:
		a.separatorIn(l, at, diff, m)
	case what == isTitle:
		a.titleIn(l, at, diff, m)
	case kcsan.Lossy(l):
		for _, s := range a.streams {
			if s.open && s.broken == "" {
				s.lines = append(s.lines, l)
			}
		}
	default:
		a.inside(l, at, what, overlong, diff, m)
	}
	a.past.push(l, false, "")
}

// What a line is for, at first sight.
type purpose uint8

const (
	nothing purpose = iota
	isTitle
	isSeparator
	isReportedBy
)

// trigger looks for what makes a line one of a report, and where that begins.
func trigger(l string) (int, purpose) {
	if i := strings.Index(l, title); i >= 0 {
		return i, isTitle
	}
	if i := strings.LastIndex(l, kcsan66); i >= 0 && i <= maxPrefix && len(l)-i-len(kcsan66) <= maxTail {
		return i, isSeparator
	}
	if i := strings.Index(l, reportedBy); i >= 0 && i <= maxPrefix {
		return i, isReportedBy
	}
	return 0, nothing
}

// match finds the form, and the stream if there is one, of a line; at >= 0: with
// the text beginning there.
func (a *Assembler) match(l string, at int, m message) (f *form, key streamKey, end int, ok bool) {
	for _, anchored := range []bool{true, false} {
		for _, f := range a.forms {
			var who string
			if anchored {
				end, who, ok = f.match(l, 0)
			} else {
				end, who, ok = f.find(l)
			}
			if !ok || at >= 0 && end != at {
				continue
			}
			if who == "" {
				who = m.caller
			}
			key = streamKey{f.shape, who, m.record}
			// Behind something else a stamp is a report's only if nothing is
			// known to belong before it: it may be another machine's.
			if s := a.streams[key]; !anchored && (s == nil || len(s.keys) > 1) {
				continue
			}
			return f, key, end, true
		}
	}
	return nil, streamKey{}, 0, false
}

// separatorIn handles a line with a separator at at.
func (a *Assembler) separatorIn(l string, at int, diff string, m message) {
	tail := l[at+len(kcsan66):]
	_, key, _, ok := a.match(l, at, m)
	if !ok {
		s := a.learn(l[:at], m)
		s.opened, s.tail, s.diffs = true, tail, add(nil, diff)
		a.suspect(s, s.keys[0])
		return
	}
	before := a.streams[key]
	s := a.separator(key, tail)
	s.diffs = add(s.diffs, diff)
	a.squeezed(s, l[:at])
	if before == nil || !before.open {
		a.suspect(s, key) // else what stands above is that report's
	}
}

// separator ends what is open and begins a stream: a report's end may be the
// beginning of the next, whose predecessor lost its own.
func (a *Assembler) separator(key streamKey, tail string) *stream {
	if s := a.streams[key]; s != nil && s.open {
		a.end(s, true, "")
	} else if s != nil {
		a.forget(s)
	}
	s := a.begin(key)
	s.opened, s.tail = true, tail
	return s
}

// suspect looks whether a trace of somebody else was being printed when the
// separator came: its lines cannot be told from the report's where the log does
// not name who prints.
func (a *Assembler) suspect(s *stream, key streamKey) {
	if s.caller != "" {
		return
	}
	f := a.formOf(key.shape)
	if f == nil {
		return
	}
	n := 0
	a.past.back(func(p *past) bool {
		end, _, ok := f.match(string(p.line), 0)
		if !ok {
			n++
			return n < maxForms
		}
		text := string(p.line[end:])
		if kcsan.Tracing(text) {
			s.broken = "another stack trace began before it, and the log does not say who printed which line"
		}
		return false
	})
}

// titleIn handles a line with a title at at.
func (a *Assembler) titleIn(l string, at int, diff string, m message) {
	text := l[at:]
	if ns, ok := bootTime(l[:at]); ok && !m.timed {
		m.time, m.timed = ns, true
	}
	_, key, _, ok := a.match(l, at, m)
	if !ok {
		// A separator that a program's output was glued to, or that this line
		// has it glued to, is the same stream's.
		var before *stream
		if a.last != nil && !a.last.open && a.last.opened && a.lines-a.lastAt <= 2 && a.alive(a.last) {
			before = a.last
		}
		s := a.learn(l[:at], m)
		if before != nil && before.caller == s.caller {
			s.opened, s.tail, s.diffs, s.broken = true, before.tail, before.diffs, before.broken
			for _, k := range before.keys {
				a.join(s, k)
			}
		}
		key = s.keys[0]
	}
	s := a.open(key, text, m)
	if ok {
		a.settle(s, key.shape)
	}
	s.diffs = add(s.diffs, diff)
	a.squeezed(s, l[:at])
	if s.tail != "" && strings.Trim(s.tail, " \t") != "" && strings.HasSuffix(text, s.tail) {
		s.suffix = s.tail
		s.lines[0] = strings.TrimSuffix(s.lines[0], s.tail)
	}
}

// open begins a report with its title.
func (a *Assembler) open(key streamKey, text string, m message) *stream {
	s := a.streams[key]
	switch {
	case s == nil:
		s = a.begin(key)
	case s.open:
		a.end(s, false, "another report begins in the middle of it")
		s = a.begin(key)
	}
	s.open, s.lines, s.bytes = true, []string{a.shared(text)}, len(text)
	s.time, s.timed = m.time, m.timed
	a.touch(s)
	return s
}

// inside handles a line that is neither a separator nor a title.
func (a *Assembler) inside(l string, at int, what purpose, overlong bool, diff string, m message) {
	f, key, end, ok := a.match(l, -1, m)
	if ok {
		s := a.streams[key]
		ok = s != nil || f.shape != "" // else it has none of the known forms
		if s != nil {
			if what == isReportedBy && !s.open {
				ok = false
			} else {
				if overlong && s.open {
					s.broken = "a line is longer than any of the kernel's"
				}
				text := l[end:]
				if s.suffix != "" {
					text = strings.TrimSuffix(text, s.suffix)
				}
				a.squeezed(s, l[:end])
				if s.open && strings.TrimSpace(text) == "" {
					if f.shape == "" && len(s.keys) > 1 {
						s.soft = append(s.soft, len(s.lines))
					} else {
						s.blank = true
					}
				}
				first, rest, two := strings.Cut(text, `\x0a`) // /dev/kmsg
				a.deliver(s, f.shape, first, diff)
				if two && a.alive(s) {
					a.deliver(s, f.shape, rest, diff)
				}
				return
			}
		}
	}
	if what == isReportedBy {
		a.orphanIn(l, at, m)
		return
	}
	if s := a.last; !ok && s != nil && s.open && a.alive(s) {
		a.continued(s, l)
	}
}

// continued takes a line without the prefix for what goes on from the line
// before it.
func (a *Assembler) continued(s *stream, l string) {
	shape := s.keys[0].shape
	before := s.lines[len(s.lines)-1]
	switch to := strings.Index(l, arrow); {
	case to >= 0 && strings.TrimSpace(before) == "|":
		// The second line of a record of two, which tools print without a
		// prefix, and indented.
		a.deliver(s, shape, "  "+l[to:], "")
	case (l == "" || a.blank(s, l)) && (s.caller == "" || a.lines == a.lastAt+1):
		// dmesg and crash(8) print an empty record as an empty line.
		s.soft = append(s.soft, len(s.lines))
		a.deliver(s, shape, "", "")
	case l != "" && a.lines == a.lastAt+1 && !a.printed(shape) && kcsan.GoesOn(before):
		s.lines = append(s.lines, l)
		s.bytes += len(l)
		a.touch(s)
	}
}

// blank reports whether a line is a blank one of a stream, see form.blank.
func (a *Assembler) blank(s *stream, l string) bool {
	return slices.ContainsFunc(s.keys, func(k streamKey) bool {
		f := a.formOf(k.shape)
		return f != nil && f.blank(l)
	})
}

// printed reports whether lines of a form come from the kernel or a logger, which
// break none.
func (a *Assembler) printed(shape string) bool {
	f := a.formOf(shape)
	return f == nil || slices.ContainsFunc(f.tokens, func(t token) bool { return t.kind == stamp || t.kind == caller || t.kind == number })
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

// orphanIn handles the end of a report whose beginning is lost.
func (a *Assembler) orphanIn(l string, at int, m message) {
	f := learn(l[:at])
	_, who, _ := f.match(l, 0)
	if who == "" {
		who = m.caller
	}
	key := streamKey{f.shape, who, m.record}
	a.addForm(f)
	if ns, ok := bootTime(l[:at]); ok {
		m.time, m.timed = ns, true
	}
	a.orphan(key, l[at:], m, func(p *past) (string, bool) {
		end, by, ok := f.match(string(p.line), 0)
		return string(p.line[end:]), ok && !p.record && (by == who || by == "")
	})
}

// orphan collects what the log still has of such a report.
func (a *Assembler) orphan(key streamKey, text string, m message, own func(*past) (string, bool)) {
	var lines []string
	a.past.back(func(p *past) bool {
		l, ok := own(p)
		if !ok {
			return true
		}
		if strings.TrimSpace(l) != "" && !kcsan.Belongs(l) || strings.HasPrefix(l, reportedBy) || strings.HasPrefix(l, title) {
			return false
		}
		lines = append(lines, l)
		return true
	})
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	slices.Reverse(lines)
	s := a.open(key, text, m)
	s.headless, s.lines = true, append(lines, text)
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

// formOf returns the form with a shape.
func (a *Assembler) formOf(shape string) *form {
	for _, f := range a.forms {
		if f.shape == shape {
			return f
		}
	}
	return nil
}

// addForm makes lines of a form known. The stream whose form has waited longest
// goes when there are too many.
func (a *Assembler) addForm(f *form) {
	if a.formOf(f.shape) != nil {
		return
	}
	if len(a.forms) >= maxForms {
		a.dropForms()
	}
	for len(a.forms) >= maxForms {
		a.end(a.byAge()[0], false, "too many kinds of lines at once")
		a.dropForms()
	}
	a.forms = append(a.forms, f)
	slices.SortStableFunc(a.forms, func(f, g *form) int { return len(g.tokens) - len(f.tokens) })
}

// dropForms forgets the forms that no stream has; until then the next report
// finds its form known.
func (a *Assembler) dropForms() {
	a.forms = slices.DeleteFunc(a.forms, func(f *form) bool {
		for k := range a.streams {
			if k.shape == f.shape {
				return false
			}
		}
		return true
	})
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

// Finish returns what was found, in the order of the reports' ends. Reports
// that are not over are read as far as they go. The Assembler is empty
// afterwards.
func (a *Assembler) Finish() []Found {
	a.finish()
	found := a.found
	*a = Assembler{}
	return found
}

// finish ends everything that is open.
func (a *Assembler) finish() {
	a.un.flush(func(l, diff string) { a.text(l, diff, message{}) })
	a.json.reset(func(m message) { a.text(m.text, "", m) })
	for _, s := range a.byAge() {
		a.end(s, false, logEnds)
	}
}

// add adds a difference once.
func add(diffs []string, diff string) []string {
	if diff == "" || slices.Contains(diffs, diff) {
		return diffs
	}
	return append(diffs, diff)
}
