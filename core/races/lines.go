package races

import (
	"fmt"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/srcline"
)

// Lines are the source lines of stack entries, by the entry as a report prints
// it: "foo+0x12/0x40 [mod]".
type Lines map[string][]srcline.Frame

// Frames are the stack entries of a report's threads that are known.
func (rep *Report) Frames() []kcsan.Frame {
	if rep.Model == nil {
		return nil
	}
	var out []kcsan.Frame
	if rep.Model.Other != nil {
		out = append(out, rep.Model.Other.Trace.Frames...)
	}
	return append(out, rep.Model.Own.Trace.Frames...)
}

// Annotate adds source lines to a report's text, in the form of syzkaller's
// symbolized reports: each function that was inlined has a line of its own above
// the entry.
func (l Lines) Annotate(text string) string {
	if len(l) == 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		entry, isEntry := strings.CutPrefix(strings.TrimSuffix(line, "\n"), " ")
		frames := l[entry]
		if !isEntry || len(frames) == 0 {
			b.WriteString(line)
			continue
		}
		for _, f := range frames {
			where := fmt.Sprintf("%s:%d", f.File, f.Line)
			if f.File == "" {
				where = "??:0"
			}
			if f.Inline {
				fmt.Fprintf(&b, " %s %s [inline]\n", f.Func, where)
			} else {
				fmt.Fprintf(&b, " %s %s\n", entry, where)
			}
		}
	}
	return b.String()
}
