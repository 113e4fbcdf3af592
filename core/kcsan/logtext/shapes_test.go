package logtext

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/server/corpustest"
)

// readFile reads a file of the corpus or of testdata.
func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestShapes reads one report in the forms in which people pass logs on, each
// with the grade that it deserves.
func TestShapes(t *testing.T) {
	dir := filepath.Join(corpustest.KCSAN(t), "shapes")
	var index struct {
		Title  string
		Shapes []struct{ File, Name, Grade string }
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "index.json"))), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Shapes) < 79 {
		t.Fatalf("%d shapes, the index has 79", len(index.Shapes))
	}
	for _, s := range index.Shapes {
		t.Run(s.File+" "+s.Name, func(t *testing.T) {
			data := []byte(readFile(t, filepath.Join(dir, s.File)))
			if s.Grade == "named-error" {
				if IsText(data) {
					t.Error("taken for text")
				}
				return
			}
			if !IsText(data) {
				t.Error("not taken for text")
			}
			log, err := Read(t.Context(), bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if len(log.Entries) != 1 || log.Count != 1 {
				t.Fatalf("%d found: %+v", log.Count, log.Entries)
			}
			e := log.Entries[0]
			if e.Title != index.Title || e.Grade.String() != s.Grade {
				t.Errorf("%s %q: %s %q\n%s", e.Grade, e.Title, e.Reason, e.Differences, e.Text())
			}
			if (e.Grade == kcsan.GradeRetyped) != (len(e.Differences) > 0) || (e.Report == nil) != (e.Grade == kcsan.GradeFragment) {
				t.Errorf("%s with the differences %q", e.Grade, e.Differences)
			}
			t.Log(e.Grade, e.Differences, e.Reason)
		})
	}
}
