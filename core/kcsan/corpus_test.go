package kcsan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/server/corpustest"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantRoundTrip parses a text that is exactly one report and compares what the
// model prints with it.
func wantRoundTrip(t *testing.T, text string) *Report {
	t.Helper()
	rep, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	got, err := rep.Text()
	if err != nil {
		t.Fatalf("Text: %v", err)
	}
	if got != text {
		t.Fatalf("printed differently\n got:\n%s\nwant:\n%s", got, text)
	}
	return rep
}

// versionOfKernel is what each kernel of the corpus must be recognised as.
var versionOfKernel = map[byte]Version{'a': V6_1, 'b': V6_1, 'c': V6_12, 'd': V5_10}

func TestExamples(t *testing.T) {
	dir := filepath.Join(corpustest.KCSAN(t), "examples")
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 146 {
		t.Fatalf("%d examples, the index has 146", len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			rep := wantRoundTrip(t, readFile(t, file))
			kernel := strings.TrimPrefix(name, "native-")[0]
			if want := versionOfKernel[kernel]; rep.Version != want {
				t.Errorf("version %s, want %s", rep.Version, want)
			}
		})
	}
}
