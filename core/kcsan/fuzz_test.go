package kcsan

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzParse gives any text to the parser. Whatever is found is bounded by the
// text, a report prints as its lines and is found again in them, and a fragment
// has a reason; nothing that is shown can drive a terminal.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, models := range goldenModels() {
		for _, r := range models {
			text, err := r.Text()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
			f.Add("[    1.000000][   T43] " + strings.ReplaceAll(text, "\n", "\n[    1.000000][   T43] "))
			f.Add("<3>[    1.000000] " + strings.ReplaceAll(text, "\n", "\nnoise\n<3>[    1.000000] "))
			f.Add("3,1,5,-,caller=C3;" + strings.ReplaceAll(text, "\n", "\n3,2,5,-,caller=C3;"))
			f.Add(text[:len(text)/2] + text)
		}
	}
	f.Add(Separator + "\n" + titlePrefix + "\n" + reportedBy + "\nCPU: 0 PID: 0 Comm:  Tainted:    x y\n" + Separator)
	f.Add("> " + Separator + "\n>\n" + "> " + titlePrefix + "data-race in a / b\n")
	f.Fuzz(func(t *testing.T, text string) {
		found := ParseLog(text)
		// Every found piece has at least one line of its own.
		if len(found) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d found in %d lines", len(found), strings.Count(text, "\n")+1)
		}
		for _, piece := range found {
			for _, l := range piece.Lines {
				if !plain(l) {
					t.Fatalf("line %q", l)
				}
			}
			if !plain(piece.Title) || !plain(piece.Reason) {
				t.Fatalf("title %q, reason %q", piece.Title, piece.Reason)
			}
			if piece.Report == nil {
				if piece.Reason == "" || len(piece.Lines) > maxReportLines+1 {
					t.Fatalf("fragment of %d lines, reason %q", len(piece.Lines), piece.Reason)
				}
				continue
			}
			lines, err := piece.Report.Lines()
			if err != nil || !slices.Equal(lines, piece.Lines) {
				t.Fatalf("prints as\n%s\n%v, found as\n%s", strings.Join(lines, "\n"), err, piece.Text())
			}
			piece.Report.Title()
			piece.Report.SyzTitle()
			again := ParseLog(piece.Text())
			if len(again) != 1 || again[0].Report == nil || again[0].Text() != piece.Text() {
				t.Fatalf("not found again: %+v in\n%s", again, piece.Text())
			}
		}
		groups, n := GroupByTitle(Distinct(found)), 0
		for _, g := range groups {
			n += g.Count
		}
		if n != len(found) {
			t.Fatalf("%d in groups, %d found", n, len(found))
		}
	})
}
