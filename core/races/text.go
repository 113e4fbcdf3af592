package races

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"coredrop/core/kcsan"
)

// WriteText writes every report in the kernel's own form, below one line that no
// parser of reports takes for a part of one. What is only residue, and pieces of
// reports, are written behind the same mark, since they are no reports.
func (r *Result) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range r.Reports {
		rep := &r.Reports[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "# %s\n", rep.Label())
		if rep.State != Residue && rep.Model != nil {
			b.WriteString(rep.Text)
			continue
		}
		fmt.Fprintf(b, "#   %s\n", rep.Title)
		for line := range strings.Lines(rep.Text) {
			fmt.Fprintf(b, "#   %s", line)
		}
	}
	for i := range r.Fragments {
		f := &r.Fragments[i]
		if i > 0 || len(r.Reports) > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "# not a whole report: %s\n", f.Reason)
		if f.Title != "" {
			fmt.Fprintf(b, "#   %s\n", f.Title)
		}
		for _, line := range f.Lines {
			// Behind the mark a separator or a title would still look like a
			// report's to some parsers.
			if line != kcsan.Separator && !strings.Contains(line, "BUG: KCSAN:") {
				fmt.Fprintf(b, "#   %s\n", line)
			}
		}
	}
	return b.Flush()
}

// Label says in one line what a report's state is, from what it comes, which
// rule suppresses it and what is not known of it: "in flight: rebuilt from cpu 1
// and other_infos[46]; not known: new value".
func (rep *Report) Label() string {
	var b strings.Builder
	switch rep.State {
	case Printed:
		b.WriteString("printed")
		first := ""
		if rep.Count > 1 {
			fmt.Fprintf(&b, " %d times", rep.Count)
			first = ", first"
		}
		if rep.Timed {
			fmt.Fprintf(&b, "%s at %.6f s", first, float64(rep.Time)/1e9)
		}
		if len(rep.Sources) > 1 {
			fmt.Fprintf(&b, "; also in %s", enumerate(rep.Sources[1:]))
		}
	case Residue:
		fmt.Fprintf(&b, "residue: left in %s", enumerate(rep.Sources))
	default:
		fmt.Fprintf(&b, "%s: rebuilt from %s", strings.ReplaceAll(rep.State, "-", " "), enumerate(rep.Sources))
	}
	if rep.Rule != "" {
		fmt.Fprintf(&b, "; not printed because: %s", rep.Rule)
	}
	if len(rep.Unknown) > 0 {
		fmt.Fprintf(&b, "; not known: %s", strings.Join(rep.Unknown, ", "))
	}
	return b.String()
}

func enumerate(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
