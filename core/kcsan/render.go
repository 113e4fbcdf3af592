package kcsan

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Separator is the line that begins and ends every report: 66 equal signs.
const Separator = "=================================================================="

// Texts of print_report and print_stack_trace.
const (
	unknownOrigin  = "race at unknown origin, with "
	reorderedPipe  = "  |"
	reorderedArrow = "  +-> reordered to: "
	valueChanged   = "value changed: 0x"
	bitsChanged    = " bits changed: 0x"
)

// maxValueSize is the largest access whose value is compared and printed.
const maxValueSize = 8

// Lines is R4: the whole report, line by line, separators included, without
// line ends. It fails with a *[TypeError] when an access has a type that the
// version cannot name; nothing else can fail. Control characters in names are
// shown as \xNN, so that a line is always one line.
func (r *Report) Lines() ([]string, error) {
	out := []string{Separator, r.TitleLine(), ""}
	if r.Other != nil {
		head, err := r.headline(&r.Other.Access, "")
		if err != nil {
			return nil, err
		}
		out = append(out, head)
		out = append(out, r.Other.lines()...)
		out = append(out, "")
		if head, err = r.headline(&r.Own.Access, ""); err != nil {
			return nil, err
		}
		out = append(out, head)
	} else {
		head, err := r.headline(&r.Own.Access, unknownOrigin)
		if err != nil {
			return nil, err
		}
		out = append(out, head)
	}
	out = append(out, r.Own.lines()...)
	out = append(out, r.valueLines()...)
	out = append(out, "", reportedBy)
	out = append(out, r.Footer.lines(r.Version)...)
	out = append(out, Separator)
	for i, l := range out {
		out[i] = clean(l)
	}
	return out, nil
}

// Text returns the report as the kernel prints it, every line ended by a
// newline. It fails as [Report.Lines] does.
func (r *Report) Text() (string, error) {
	lines, err := r.Lines()
	if err != nil {
		return "", err
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// headline describes one access.
func (r *Report) headline(a *Access, prefix string) (string, error) {
	kind, err := r.Version.KindName(a.Type)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%s to 0x%016x of %d bytes by %s on cpu %d:",
		prefix, kind, a.Addr, a.Size, a.threadName(), a.CPU), nil
}

// threadName is "task 42" or "interrupt".
func (a *Access) threadName() string {
	if a.Interrupt() {
		return "interrupt"
	}
	return fmt.Sprintf("task %d", a.PID)
}

// lines is what follows a headline: the trace, R15's two lines, and the verbose
// block.
func (t *Thread) lines() []string {
	var out []string
	for _, f := range t.Trace.Frames {
		out = append(out, " "+f.line())
	}
	if to := t.Trace.ReorderedTo; to != nil {
		out = append(out, reorderedPipe, reorderedArrow+to.line())
	}
	return append(out, t.Verbose.lines()...)
}

// valueLines is R14: the observed change, when there is one and the access is
// small enough to have been compared.
func (r *Report) valueLines() []string {
	v, size := r.Values, r.Own.Size
	if v == nil || size > maxValueSize || !r.Version.Features().ValueChange {
		return nil
	}
	diff := v.Old ^ v.New
	if v.Mask != 0 {
		diff &= v.Mask
	}
	if diff == 0 {
		return nil
	}
	digits := int(2 * size)
	out := []string{"", fmt.Sprintf("%s%0*x -> 0x%0*x", valueChanged, digits, v.Old, digits, v.New)}
	if v.Mask != 0 {
		out = append(out, fmt.Sprintf("%s%0*x with mask 0x%0*x", bitsChanged, digits, diff, digits, v.Mask))
	}
	return out
}

// clean shows every byte that could break a line or drive a terminal as \xNN.
// Clean shows every byte that could break a line or drive a terminal as \xNN.
func Clean(s string) string { return clean(s) }

func clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if printable(r, n) {
			b.WriteString(s[i : i+n])
		} else {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		i += n
	}
	return b.String()
}

// plain reports whether clean would return s as it is.
func plain(s string) bool {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if !printable(r, n) {
			return false
		}
		i += n
	}
	return true
}

// printable reports whether a rune of n bytes is shown as it is: no C0 or C1
// control character, no invalid UTF-8, no character that turns the direction
// of text.
func printable(r rune, n int) bool {
	switch {
	case r == utf8.RuneError && n == 1, r < 0x20, r >= 0x7f && r < 0xa0:
		return false
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029:
		return false
	}
	return true
}
