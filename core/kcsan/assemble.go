package kcsan

import "strings"

// Bounds of what is kept of a log while it is read. A report of 64 frames a
// side with locks and interrupt trace has less than 250 lines; the kernel's
// lines have less than 1024 bytes.
const (
	maxLineBytes   = 4096
	maxReportLines = 1024
	maxStreams     = 256
	maxIndent      = 32
)

// A Record is one entry of a kernel log.
type Record struct {
	Caller string // "T42" or "C3": who printed it; "" when that is not known
	Time   uint64 // nanoseconds since boot
	Text   string // one line or several, without prefix
}

// Found is a report, or a piece of one, in a log.
type Found struct {
	// Report is the parsed report, nil for a fragment. It prints as Lines.
	Report *Report
	// Reason says why a fragment is not a whole report.
	Reason string
	// Lines are the lines from separator to separator. Control characters
	// are shown as \xNN.
	Lines []string
	// Title is the kernel's title without "BUG: KCSAN: "; "" when that line is
	// missing.
	Title string

	Caller  string // who printed it, "" when the log does not say
	Time    uint64 // of the first line, nanoseconds since boot
	Timed   bool   // the log has time stamps
	Foreign int    // lines of others that stood between
}

// Text returns the lines, each ended by a newline.
func (f *Found) Text() string { return strings.Join(f.Lines, "\n") + "\n" }

// ParseLog finds the reports of a log: the output of dmesg or a console, with or
// without time stamps, levels and callers, the journal, crash's log, or a
// pasted report. Where the log names callers, reports are put together from one
// caller's lines. Any text gives a result; time and memory are linear in its
// length.
func ParseLog(text string) []Found {
	var a Assembler
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		a.AddLine(line)
	}
	return a.Finish()
}

// streamKey tells apart whose lines belong together. Lines without any prefix
// are a stream of their own: in a console log they are not the kernel's.
type streamKey struct {
	caller string
	bare   bool
}

// A stream is what one caller is in the middle of.
type stream struct {
	indent   string   // what stood before the separator
	open     bool     // a title was seen
	headless bool     // a report whose beginning is missing
	lines    []string // of the report, or what may be the rest of one
	time     uint64
	timed    bool
	broken   string // why the report in lines cannot be whole
	age      uint64
}

// An Assembler puts reports together from the lines or records of a log. Its
// zero value is ready.
type Assembler struct {
	streams map[streamKey]*stream
	found   []Found
	last    streamKey // of the last line that had a prefix
	pipe    bool      // that line was the first of reordered-to's two
	clock   uint64
}

// AddLine adds one line of a log as it is printed, with or without prefix.
func (a *Assembler) AddLine(line string) {
	line = strings.TrimRight(line, "\r")
	p, text := splitPrefix(line)
	key := streamKey{p.caller, !p.found}
	if p.found {
		a.last = key
		a.pipe = strings.TrimSpace(text) == strings.TrimSpace(reorderedPipe)
	} else if to := strings.TrimLeft(text, " "); a.pipe && strings.HasPrefix(to, reorderedArrow[2:]) {
		// The second line of a record of two lines, which some tools print
		// without the prefix and indented.
		key, text = a.last, "  "+to
		a.pipe = false
	} else if text == "" && a.last.caller == "" && a.isOpen(a.last) && !a.isOpen(key) {
		// crash(8) prints an empty record of a 5.10 kernel as an empty
		// line.
		key = a.last
	}
	a.add(key, text, p.time, p.timed)
}

// isOpen reports whether a stream is inside a report.
func (a *Assembler) isOpen(key streamKey) bool {
	s := a.streams[key]
	return s != nil && s.open
}

// AddRecord adds one record of a kernel log.
func (a *Assembler) AddRecord(r Record) {
	for i, line := range strings.SplitN(r.Text, "\n", maxReportLines) {
		if i > 0 && line == "" {
			continue
		}
		a.add(streamKey{caller: r.Caller}, line, r.Time, true)
	}
}

// Finish returns what was found, in the order of the reports' ends. Reports
// that are not over are fragments. The Assembler is empty afterwards.
func (a *Assembler) Finish() []Found {
	for len(a.streams) > 0 {
		a.drop("the log ends in the middle of the report")
	}
	found := a.found
	*a = Assembler{}
	return found
}

// add gives a line to its stream.
func (a *Assembler) add(key streamKey, text string, time uint64, timed bool) {
	overlong := len(text) > maxLineBytes
	if overlong {
		text = text[:maxLineBytes]
	}
	s := a.streams[key]
	indent, isSeparator := cutSeparator(text)
	switch {
	case s != nil && s.open:
		text = s.cutIndent(text)
		switch {
		case isSeparator:
			a.end(key, s, "")
			a.begin(key, indent)
		case strings.HasPrefix(text, titlePrefix):
			a.end(key, s, "another report begins in the middle of it")
			a.open(a.begin(key, s.indent), text, time, timed)
		case len(s.lines) >= maxReportLines:
			a.end(key, s, "longer than any report")
		case overlong:
			s.broken = "a line is longer than any of the kernel's"
			s.lines = append(s.lines, text)
		default:
			s.lines = append(s.lines, text)
		}
	case isSeparator:
		a.begin(key, indent)
	default:
		a.idle(key, s, text, time, timed)
	}
}

// idle handles a line outside any report.
func (a *Assembler) idle(key streamKey, s *stream, text string, time uint64, timed bool) {
	if s != nil {
		text = s.cutIndent(text)
	}
	indent := ""
	if s == nil {
		if i := strings.Index(text, titlePrefix); i > 0 && i <= maxIndent && strings.Trim(text[:i], " >") == "" {
			indent, text = text[:i], text[i:]
		}
	}
	switch {
	case strings.HasPrefix(text, titlePrefix):
		if s == nil {
			s = a.begin(key, indent)
		}
		a.open(s, text, time, timed)
	case text == reportedBy:
		// The end of a report whose beginning is lost.
		if s == nil {
			s = a.begin(key, "")
		}
		lines := s.lines
		a.open(s, text, time, timed)
		s.lines = append(lines, text)
		s.headless = true
	case classify(text) != foreign && (s == nil || len(s.lines) < maxReportLines):
		// It may be the rest of such a report.
		if s == nil {
			if text == "" {
				return
			}
			s = a.begin(key, "")
		}
		s.lines = append(s.lines, text)
	default:
		delete(a.streams, key)
	}
}

// begin starts a stream anew after a separator, or without one.
func (a *Assembler) begin(key streamKey, indent string) *stream {
	if a.streams == nil {
		a.streams = map[streamKey]*stream{}
	}
	if len(a.streams) >= maxStreams && a.streams[key] == nil {
		a.drop("too many callers print at once")
	}
	a.clock++
	s := &stream{indent: indent, age: a.clock}
	a.streams[key] = s
	return s
}

// open begins a report with its title.
func (a *Assembler) open(s *stream, title string, time uint64, timed bool) {
	s.open, s.lines, s.time, s.timed = true, []string{title}, time, timed
}

// drop ends the oldest stream.
func (a *Assembler) drop(reason string) {
	var oldest streamKey
	age := ^uint64(0)
	for key, s := range a.streams {
		if s.age < age {
			oldest, age = key, s.age
		}
	}
	s := a.streams[oldest]
	if s.open {
		a.end(oldest, s, reason)
	}
	delete(a.streams, oldest)
}

// end closes a report. An empty reason means that its closing separator was
// seen.
func (a *Assembler) end(key streamKey, s *stream, reason string) {
	delete(a.streams, key)
	f := Found{Caller: key.caller, Time: s.time, Timed: s.timed}
	if title, ok := strings.CutPrefix(s.lines[0], titlePrefix); ok {
		f.Title = clean(title)
	}
	switch {
	case s.headless:
		reason = "its beginning is missing"
	case reason == "":
		reason = s.broken
	}
	if reason == "" {
		rep, foreign, err := parseLines(s.lines, key.caller == "")
		f.Foreign = foreign
		if err == nil {
			f.Report = rep
			f.Lines, _ = rep.Lines()
			a.found = append(a.found, f)
			return
		}
		reason = err.Error()
	}
	f.Reason = reason
	f.Lines = make([]string, len(s.lines))
	for i, l := range s.lines {
		f.Lines[i] = clean(l)
	}
	a.found = append(a.found, f)
}

// cutSeparator reports whether a line is a separator, and what is before it:
// reports are found indented and quoted.
func cutSeparator(s string) (indent string, ok bool) {
	s = strings.TrimRight(s, " ")
	indent, ok = strings.CutSuffix(s, Separator)
	return indent, ok && len(indent) <= maxIndent && strings.Trim(indent, " >") == ""
}

// cutIndent removes from a line what stood before the separator.
func (s *stream) cutIndent(text string) string {
	if rest, ok := strings.CutPrefix(text, s.indent); ok {
		text = rest
	} else if strings.TrimRight(text, " ") == strings.TrimRight(s.indent, " ") {
		return ""
	}
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return text
}
