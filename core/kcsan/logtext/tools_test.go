package logtext

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coredrop/core/kcsan"
)

// TestTools reads two reports as real tools wrote them, see the recipe in
// testdata/tools.
func TestTools(t *testing.T) {
	want := []string{golden(t, "v5.17-reordered"), golden(t, "reference-verbose")}
	files, err := filepath.Glob(filepath.Join("testdata", "tools", "*.txt"))
	if err != nil || len(files) < 15 {
		t.Fatal(files, err)
	}
	differences := map[string][]string{
		"mail-qp":      {kcsan.DiffQuoted},
		"page.html":    {kcsan.DiffHTML},
		"mail-wrapped": {kcsan.DiffWrapped},
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		found := Parse(readFile(t, file))
		if len(found) != 2 {
			t.Errorf("%s: %d reports", name, len(found))
			continue
		}
		for i, f := range found {
			diffs := differences[name]
			if name == "grep-A" && i == 0 {
				diffs = []string{kcsan.DiffOpening} // it begins at the match
			}
			if !slices.Equal(f.Differences, diffs) || f.Report == nil {
				t.Errorf("%s: report %d: %s %q %q", name, i, f.Grade, f.Reason, f.Differences)
				continue
			}
			text, err := f.Report.Text()
			if err != nil || text != want[i] && name != "mail-wrapped" {
				t.Errorf("%s: report %d: the model prints %v\n%s", name, i, err, text)
			}
		}
	}
}
