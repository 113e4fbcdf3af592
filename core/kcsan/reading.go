package kcsan

import (
	"errors"
	"slices"
	"strings"
)

// A Grade says how much of a report a text is.
type Grade uint8

// The grades, the least first.
const (
	// GradeFragment: a piece, or a mixture; no report can be vouched for.
	GradeFragment Grade = iota
	// GradeRetyped: one real report that a tool or a person passed on in other
	// words or blanks than the kernel's. The model is filled as far as the text
	// goes, and what differs is listed.
	GradeRetyped
	// GradeWhole: the kernel's own bytes, from separator to separator.
	GradeWhole
)

// String returns the name that JSON has: "whole", "retyped", "fragment".
func (g Grade) String() string {
	switch g {
	case GradeWhole:
		return "whole"
	case GradeRetyped:
		return "retyped"
	}
	return "fragment"
}

// What differs in a retyped report. Each is a phrase by itself.
const (
	DiffOpening     = "the opening separator is missing"
	DiffClosing     = "the closing separator is missing"
	DiffSeparator   = "a separator of another length"
	DiffBlankLines  = "blank lines are missing"
	DiffMoreBlank   = "there are more blank lines"
	DiffWrapped     = "lines are wrapped"
	DiffSqueezed    = "blanks are squeezed"
	DiffIndent      = "the indentation differs"
	DiffTrailing    = "blanks at the ends of lines differ"
	DiffHTML        = "HTML escapes or tags"
	DiffHardBlanks  = "hard blanks"
	DiffQuoted      = "quoted-printable escapes"
	DiffEscaped     = "escaped line ends"
	DiffAnnotated   = "file and line are added"
	DiffPlaces      = "file and line instead of offsets"
	DiffBare        = "frames without offsets"
	DiffLocks       = "lock lines are symbolised"
	DiffShort       = "pointers of less than 16 digits"
	DiffElided      = "frames are elided"
	DiffFooter      = "the footer is incomplete"
	DiffNoFooter    = "the footer is missing"
	DiffOtherLines  = "other lines stand between"
	Diff2019        = "the form of 2019"
	DiffAccessLines = "an access line is shortened"
)

// Context is what a reader of logs knows of a report's lines besides their text.
type Context struct {
	Opened, Closed bool // a separator stands before, after
	LogEnds        bool // the log ends where the lines end
	// Interleaved: the log does not say who printed a line, so that lines which
	// cannot belong to a report are others'.
	Interleaved bool
	// Differences are those that were found, and taken back, below the lines:
	// by a decoder, in the prefix.
	Differences []string
}

// Reading is what the lines of a report turn out to be.
type Reading struct {
	Grade  Grade
	Report *Report // nil for a fragment
	// Reason says why a fragment is not more.
	Reason string
	// Differences from the kernel's text, of a retyped report; never empty there.
	Differences []string
	// Lines are the kernel's for a whole report, separators included, and else
	// those that were read, without other's after the last that belongs to the
	// report. Control characters are shown as \xNN.
	Lines   []string
	Foreign int // lines of others that stood between
}

// ReadLines reads the lines of one report, without prefixes and separators, the
// title first. It never fails: what is no report is a fragment.
func ReadLines(lines []string, c Context) Reading {
	if reason := poisoned(lines); reason != "" {
		return fragment(lines, reason)
	}
	p, err := parseLines(lines, c.Interleaved)
	if err == nil {
		rep := &p.rep
		diffs := slices.Concat(c.Differences, separators(c), rep.Footer.retouched(), rep.annotated())
		out, _ := rep.Lines()
		if 2*p.blanks > len(out) {
			diffs = append(diffs, DiffMoreBlank) // double spaced
		}
		r := Reading{Grade: GradeWhole, Report: rep, Lines: out, Foreign: p.foreign}
		if len(diffs) > 0 {
			r.Grade, r.Differences = GradeRetyped, tidy(diffs)
			if !c.Opened {
				r.Lines = r.Lines[1:]
			}
			if !c.Closed {
				r.Lines = r.Lines[:len(r.Lines)-1]
			}
		}
		return r
	}
	if r, ok := retype(lines, c); ok {
		return r
	}
	r := fragment(lines, err.Error())
	r.Foreign = p.foreign
	return r
}

// fragment shows lines as they are, but of those behind the last that a report
// could have only a few.
func fragment(lines []string, reason string) Reading {
	last := 1
	for i, l := range lines {
		if c, _ := loosely(l); c != foreign && c != blankLine {
			last = i + 1
		}
	}
	if len(lines)-last <= maxFragmentTail {
		last = len(lines)
	}
	r := Reading{Reason: reason, Lines: make([]string, min(last, len(lines)))}
	for i := range r.Lines {
		r.Lines[i] = clean(lines[i])
	}
	return r
}

const maxFragmentTail = 4

// Fragment makes a fragment of lines for a reason that lies outside of them.
func Fragment(lines []string, reason string) Reading { return fragment(lines, reason) }

// separators lists which are missing.
func separators(c Context) (diffs []string) {
	if !c.Opened {
		diffs = append(diffs, DiffOpening)
	}
	if !c.Closed {
		diffs = append(diffs, DiffClosing)
	}
	return diffs
}

// tidy sorts out repeated differences.
func tidy(diffs []string) []string {
	slices.Sort(diffs)
	return slices.Compact(diffs)
}

// Signs that lines are missing, or that a trace of another kind is among the
// lines.
const (
	dropped    = " printk messages dropped **" // kernel/printk/printk.c
	missed     = "kernel messages"             // "Missed 3 kernel messages", the journal's
	overrun    = "some messages lost"          // "/dev/kmsg buffer overrun, some messages lost."
	rateLimits = "messages lost due to rate-limiting"
)

// Lossy reports whether a line of a log says that lines before it are lost, and
// in which words.
func Lossy(line string) bool {
	return strings.Contains(line, dropped) || strings.Contains(line, overrun) || strings.Contains(line, rateLimits) ||
		strings.Contains(line, missed) && strings.Contains(line, "Missed ")
}

// poisoned names what forbids to take lines for one report.
func poisoned(lines []string) string {
	for _, l := range lines {
		if Lossy(l) {
			return string(fragmentf("lines are missing: the log says %q", strings.TrimSpace(l)).(fragmentError))
		}
	}
	return ""
}

// retouched lists what the kernel cannot have printed although the model prints
// it alike: taint flags out of their columns, and a preemption model without the
// blank that its format has behind it.
func (f *Footer) retouched() (diffs []string) {
	if flags, ok := strings.CutPrefix(f.Taint, taintPrefix); ok {
		for i := range len(flags) {
			if flags[i] != ' ' && !taintColumn(flags[i], i) {
				diffs = append(diffs, DiffSqueezed)
				break
			}
		}
	}
	words := strings.Fields(f.Tail)
	if n := len(words); n > 0 && strings.HasPrefix(words[n-1], "PREEMPT") && !strings.HasSuffix(f.Tail, " ") {
		diffs = append(diffs, DiffTrailing)
	}
	return diffs
}

// annotated says whether a symboliser added places or inlined functions to what
// the kernel printed.
func (r *Report) annotated() []string {
	if r.Own.annotated() || r.Other != nil && r.Other.annotated() {
		return []string{DiffAnnotated}
	}
	return nil
}

func (t *Thread) annotated() bool {
	noted := func(f Frame) bool { return f.Note != "" }
	if v := t.Verbose; v != nil && v.IRQ != nil {
		for _, e := range v.IRQ.events() {
			if noted(e.Frame) {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.Trace.Frames, noted) || t.Trace.ReorderedTo != nil && noted(*t.Trace.ReorderedTo)
}

// taintColumns are the letters of taint_flags, kernel/panic.c, each printed in
// its own column; the first is G where P is not set.
const taintColumns = "PFSRMBUDAWCIOELKXTNJ"

func taintColumn(flag byte, column int) bool {
	if column == 0 {
		return flag == 'G' || flag == 'P'
	}
	return column >= len(taintColumns) || taintColumns[column] == flag
}

// Parse reads a text that is one report, from separator to separator and without
// prefixes, and fails, with the reason, when the first is not what a model prints:
// what the kernel does, with a symboliser's additions at most.
func Parse(text string) (*Report, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	start := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, titlePrefix) })
	if start < 0 {
		return nil, errors.New("no report in this text")
	}
	end := slices.Index(lines[start:], Separator)
	if start == 0 || lines[start-1] != Separator || end < 0 {
		return nil, errors.New("a separator is missing")
	}
	p, err := parseLines(lines[start:start+end], true)
	if err != nil {
		return nil, err
	}
	return &p.rep, nil
}
