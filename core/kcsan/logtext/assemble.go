package logtext

import (
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
