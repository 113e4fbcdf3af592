package races

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"coredrop/core/kcsan"
)

// WriteText writes every report in the kernel's own form, below one line that no
// parser of reports takes for a part of one. Reports of one title that differ
// are headed by their number. What is only residue, and pieces of reports, are
// written behind the same mark, since they are no reports.
func (r *Result) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range r.Reports {
		rep := &r.Reports[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == 0 || !rep.with(&r.Reports[i-1]) {
			b.WriteString(heading(r.Reports[i:]))
		}
		fmt.Fprintf(b, "# %s%s\n", rep.Label(), rep.what())
		if rep.State != Residue && rep.Model != nil {
			b.WriteString(r.Lines.Annotate(rep.Text))
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
		times := ""
		if f.Count > 1 {
			times = fmt.Sprintf(", %d times", f.Count)
		}
		fmt.Fprintf(b, "# not a whole report%s: %s\n", times, f.Reason)
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

// with reports whether two reports are shown under one heading.
func (rep *Report) with(o *Report) bool { return rep.State == o.State && rep.Title == o.Title }

// heading sums up the reports with the title of the first; "" for one text only.
func heading(list []Report) string {
	texts, count := 0, 0
	for i := range list {
		if !list[i].with(&list[0]) {
			break
		}
		texts++
		count += list[i].Count
	}
	switch {
	case texts == 1:
		return ""
	case texts == count:
		return fmt.Sprintf("# %s: %d reports\n", list[0].Title, count)
	}
	return fmt.Sprintf("# %s: %d reports, %d different texts\n", list[0].Title, count, texts)
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
			if rep.Caller != "" {
				fmt.Fprintf(&b, " by %s", rep.Caller)
			}
		}
		if len(rep.Sources) > 1 {
			fmt.Fprintf(&b, "; also in %s", enumerate(rep.Sources[1:]))
		}
		if len(rep.Differences) > 0 {
			fmt.Fprintf(&b, "; %s: %s", rep.Grade, strings.Join(rep.Differences, ", "))
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
