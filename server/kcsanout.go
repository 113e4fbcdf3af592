package main

import (
	"fmt"
	"io"
	"path"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/races"
	"coredrop/core/summary"
	"coredrop/core/words"
)

// racesOutput is how race reports are shown, and what they are to a script.
type racesOutput struct {
	json, quiet bool
	exit        int // the status when there are races; 0: as without
	allowed     globs
}

// globs are the patterns of a flag that may be repeated.
type globs []string

func (g *globs) String() string { return strings.Join(*g, " ") }

// Set takes a pattern, once it is known to be one.
func (g *globs) Set(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("the pattern %q is damaged", pattern)
	}
	*g = append(*g, pattern)
	return nil
}

// match reports whether a pattern fits a title, as the kernel's or as
// syzkaller's. A title's slash is no path's: stars go over it.
func (g globs) match(title string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "|") }
	for _, pattern := range g {
		for _, t := range []string{title, "KCSAN: " + title, "BUG: KCSAN: " + title} {
			if ok, _ := path.Match(flat(pattern), flat(t)); ok {
				return true
			}
		}
	}
	return false
}

// print shows the summary as JSON, the races a line each, or the reports as text,
// and gives the exit status.
func (o racesOutput) print(r *races.Result, s *summary.Summary, err error, stdout, stderr io.Writer) int {
	var werr error
	switch {
	case o.json:
		werr = printJSON(stdout, s)
	case err != nil:
	case o.quiet:
		werr = writeTitles(stdout, racesByTitle(s), o.allowed)
	default:
		werr = writeRaces(stdout, s, r)
	}
	if err == nil && werr != nil {
		err = fault.Wrap(werr, fault.OutputFailed, "could not write the reports: %v", werr)
	}
	warn(stderr, s.Warnings)
	if err != nil {
		return fail(stderr, err)
	}
	all := racesByTitle(s)
	for _, race := range all {
		if o.exit != 0 && !o.allowed.match(race.title) {
			return o.exit
		}
	}
	if s.File.Format == "log" && len(s.Reports) == 0 && len(all) > 0 {
		count := 0
		for _, race := range all {
			count += race.count
		}
		return fail(stderr, fault.New(fault.LogDamaged, "%s names %s, and no report can be read whole", oneLine(s.File.Name), words.Count(count, "race")))
	}
	return exitDone
}

// A race is all of a log's or core's reports with one title.
type race struct {
	title  string
	count  int
	pieces int // of them, those of which only a piece is left
}

// racesByTitle lists the races in the order of the summary.
func racesByTitle(s *summary.Summary) []race {
	var list []race
	index := map[string]int{}
	add := func(title string, count, pieces int) {
		i, ok := index[title]
		if !ok {
			i = len(list)
			index[title] = i
			list = append(list, race{title: title})
		}
		list[i].count += count
		list[i].pieces += pieces
	}
	for i := range s.Reports {
		add(s.Reports[i].Title, s.Reports[i].Count, 0)
	}
	for i := range s.Fragments {
		f := &s.Fragments[i]
		add(f.Title, f.Count, f.Count)
	}
	return list
}

// writeTitles prints a line a race: how often, its title, and what is special.
func writeTitles(w io.Writer, list []race, allowed globs) error {
	var b strings.Builder
	for _, r := range list {
		title := r.title
		if title == "" {
			title = "(a report without its title)"
		}
		fmt.Fprintf(&b, "%d\t%s", r.count, printable(title))
		switch {
		case r.pieces == r.count:
			b.WriteString("\tnot whole")
		case r.pieces > 0:
			fmt.Fprintf(&b, "\t%d not whole", r.pieces)
		}
		if allowed.match(r.title) {
			b.WriteString("\tallowed")
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
