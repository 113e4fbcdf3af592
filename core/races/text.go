package races

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteText writes every report in the kernel's own form, below one line that no
// parser of reports takes for a part of one. What is only residue is written
// behind the same mark, since it is no report.
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
