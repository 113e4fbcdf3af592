package logtext

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coredrop/core/kcsan"
)

// FuzzParse gives any text to the parser. Whatever is found is bounded by the
// text, a report prints as its lines and is found again in them, and a fragment
// has a reason; nothing that is shown can drive a terminal.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "golden", "*.txt"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text := readFile(f, file)
		f.Add(text)
		f.Add("[    1.000000][   T43] " + strings.ReplaceAll(text, "\n", "\n[    1.000000][   T43] "))
		f.Add("<3>[    1.000000] " + strings.ReplaceAll(text, "\n", "\nnoise\n<3>[    1.000000] "))
		f.Add("3,1,5,-,caller=C3;" + strings.ReplaceAll(text, "\n", "\n3,2,5,-,caller=C3;"))
		f.Add(text[:len(text)/2] + text)
	}
	f.Add(kcsan.Separator + "\n" + titleLine + "\n" + footerHead + "\nCPU: 0 PID: 0 Comm:  Tainted:    x y\n" + kcsan.Separator)
	f.Add("> " + kcsan.Separator + "\n>\n" + "> " + titleLine + "data-race in a / b\n")
	f.Fuzz(func(t *testing.T, text string) {
		found := Parse(text)
		checkFound(t, text, found)
		groups, n := GroupByTitle(Distinct(found)), 0
		for _, g := range groups {
			n += g.Count
		}
		if n != len(found) {
			t.Fatalf("%d in groups, %d found", n, len(found))
		}
		log, err := Read(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if log.Count < strings.Count(text, titleLine)/maxReportLines {
			t.Fatalf("%d found where %d titles are", log.Count, strings.Count(text, titleLine))
		}
	})
}

// checkFound checks what holds of everything that is found in any text.
func checkFound(t *testing.T, text string, found []Found) {
	t.Helper()
	named := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, titleLine) {
			named++
		}
	}
	if named > 0 && len(found) == 0 {
		t.Fatalf("a title is passed over in silence")
	}
	for _, f := range found {
		for _, l := range f.Lines {
			if kcsan.Clean(l) != l {
				t.Fatalf("line %q", l)
			}
		}
		if kcsan.Clean(f.Title) != f.Title || kcsan.Clean(f.Reason) != f.Reason {
			t.Fatalf("title %q, reason %q", f.Title, f.Reason)
		}
		switch f.Grade {
		case kcsan.GradeFragment:
			if f.Reason == "" || f.Report != nil || len(f.Differences) > 0 || len(f.Lines) > maxReportLines+1 {
				t.Fatalf("fragment of %d lines, reason %q", len(f.Lines), f.Reason)
			}
			continue
		case kcsan.GradeRetyped:
			if len(f.Differences) == 0 || f.Reason != "" || f.Report == nil {
				t.Fatalf("retyped without a difference, %q\n%s", f.Reason, f.Text())
			}
		case kcsan.GradeWhole:
			lines, err := f.Report.Lines()
			if err != nil || !slices.Equal(lines, f.Lines) || len(f.Differences) > 0 || f.Reason != "" {
				t.Fatalf("prints as\n%s\n%v, found as\n%s", strings.Join(lines, "\n"), err, f.Text())
			}
			text := f.Text()
			if f.Caller != "" { // who printed it says which lines are its
				text = "[" + f.Caller + "] " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n["+f.Caller+"] ") + "\n"
			}
			again := Parse(text)
			if len(again) != 1 || again[0].Grade != kcsan.GradeWhole || again[0].Text() != f.Text() {
				t.Fatalf("not found again: %+v in\n%s", again, f.Text())
			}
		}
		f.Report.Title()
		f.Report.SyzTitle()
		if n := len(f.Report.Own.Trace.Frames); n > maxReportLines {
			t.Fatalf("%d frames", n)
		}
	}
}

// FuzzPrefix puts any prefix and suffix around the lines of a report: a form fits
// what it was learned from, and the title is found.
func FuzzPrefix(f *testing.F) {
	for _, form := range lineForms {
		line := form.write(1, 3, "\x01")
		before, after, _ := strings.Cut(line, "\x01")
		f.Add(before, after, before)
	}
	f.Add("[[[[", "]", "<<<")
	f.Add("\xff\x00\x1b[", "\r", "é")
	whole := strings.Split(strings.TrimSuffix(sample, "\n"), "\n")
	f.Fuzz(func(t *testing.T, before, after, other string) {
		if strings.ContainsAny(before+after+other, "\n") {
			return
		}
		if len(before) <= maxPrefix {
			p := learn(before)
			if end, _, ok := p.match(before, 0); !ok || end != len(before) {
				t.Fatalf("%q does not have its own form %q: %d %v", before, p.shape, end, ok)
			}
			if end, _, ok := p.match(other, 0); ok && end > len(other) {
				t.Fatalf("%q has %d bytes of prefix", other, end)
			}
			p.find(other)
			p.blank(other)
		}
		var log strings.Builder
		for i, l := range whole {
			if i == 7 {
				log.WriteString(other + "\n")
			}
			log.WriteString(before + l + after + "\n")
		}
		checkFound(t, log.String(), Parse(log.String()))
	})
}

// FuzzRecords reads anything as JSON and as the journal's export format, whole and
// in pieces of lines.
func FuzzRecords(f *testing.F) {
	for _, form := range lineForms {
		if text := form.log(strings.Split(sample, "\n")); strings.Contains(text, "{") {
			f.Add(text)
		}
	}
	f.Add("__CURSOR=x\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00  |\nx\n\nMESSAGE=" + kcsan.Separator + "\n")
	f.Add("{\"MESSAGE\":[66,85,71,58,32,75,67,83,65,78,58],\"a\":{\"b\":[[[[{}]]]]}}")
	f.Add("[[[[[[[[[[[[[[[[[[{\"a\":\"\\ud83d\\ude00\\u0000\\n" + title)
	f.Fuzz(func(t *testing.T, text string) {
		var j jsonReader
		for line := range strings.SplitSeq(text, "\n") {
			visit := func(m message) {
				if strings.Contains(m.text, "\n") {
					t.Fatalf("a message of two lines: %q", m.text)
				}
			}
			if !j.feed(line, visit) || !j.endLine(visit) {
				j.reset(visit)
			}
			if len(j.str) > maxJSONString || j.size > 2*maxJSONString {
				t.Fatalf("%d and %d bytes kept", len(j.str), j.size)
			}
		}
		checkFound(t, text, Parse(text))
	})
}
