package kcsan

import (
	"slices"
	"strings"
	"testing"
)

// FuzzReadLines reads any lines as a report: a grade holds what it promises.
func FuzzReadLines(f *testing.F) {
	for _, models := range goldenModels() {
		for _, r := range models {
			lines, err := r.Lines()
			if err != nil {
				f.Fatal(err)
			}
			text := strings.Join(lines[1:len(lines)-1], "\n")
			f.Add(text, true, true, true)
			f.Add(strings.ReplaceAll(text, "\n\n", "\n"), false, false, true)
			f.Add(strings.ReplaceAll(text, "+0x", " (a/b.c:1)"), false, true, false)
			f.Add(strings.ReplaceAll(text, " of ", "\nof "), true, false, true)
		}
	}
	f.Add("BUG: KCSAN: racing read in a+0x1/0x2\n\nrace at unknown origin, with read to 0x0 of 4 bytes by NMI on cpu 1:\n a+0x1/0x2\n...\n", false, false, true)
	f.Fuzz(func(t *testing.T, text string, opened, closed, interleaved bool) {
		lines := strings.Split(text, "\n")
		r := ReadLines(lines, Context{Opened: opened, Closed: closed, Interleaved: interleaved, LogEnds: !closed})
		for _, l := range r.Lines {
			if !plain(l) {
				t.Fatalf("line %q", l)
			}
		}
		switch r.Grade {
		case GradeFragment:
			if r.Report != nil || r.Reason == "" || r.Differences != nil {
				t.Fatalf("%+v", r)
			}
			return
		case GradeWhole:
			got, err := r.Report.Lines()
			if err != nil || !slices.Equal(got, r.Lines) || len(r.Differences) > 0 || !opened || !closed {
				t.Fatalf("%+v prints as %q, %v", r, got, err)
			}
		case GradeRetyped:
			if len(r.Differences) == 0 || !slices.IsSorted(r.Differences) {
				t.Fatalf("%+v", r)
			}
			if _, err := r.Report.Lines(); err != nil {
				t.Fatalf("no version prints the model: %v", err)
			}
		}
		if r.Reason != "" || len(r.Report.Own.Trace.Frames) > maxReadFrames+1 {
			t.Fatalf("%+v", r)
		}
		r.Report.SyzTitle()
		if r.Report.Other == nil && strings.Count(text, " bytes by ") > 1 && !interleaved && r.Grade == GradeWhole {
			t.Fatalf("two accesses are one in\n%s", text)
		}
	})
}
