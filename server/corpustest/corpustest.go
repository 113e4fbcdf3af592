// Package corpustest finds and unpacks the corpus of real cores, for tests. It
// reads files, so it cannot be below core, which imports no os; and it imports
// nothing of core, so that any package's tests can use it.
package corpustest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Dir gives the corpus's directory, which lies beside the repository unless
// COREDROP_CORPUS says otherwise. It skips the test where the corpus is not, or
// lacks the part that the test needs; no part, "", is the corpus itself.
func Dir(t testing.TB, part string) string {
	t.Helper()
	dir, ok := Find(t, part)
	if !ok {
		t.Skipf("the corpus is not here (set COREDROP_CORPUS): no %s", filepath.Join(dir, part))
	}
	return dir
}

// Find gives the corpus's directory and whether it has a part, for tests that
// have a smaller fixture of their own.
func Find(t testing.TB, part string) (dir string, ok bool) {
	t.Helper()
	if dir = os.Getenv("COREDROP_CORPUS"); dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "corpus")
	}
	_, err := os.Stat(filepath.Join(dir, part))
	return dir, err == nil
}

// root gives the way up from a test's directory to the repository's.
func root(t testing.TB) string {
	t.Helper()
	up := "."
	for range 8 {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return up
		}
		up = filepath.Join(up, "..")
	}
	t.Fatal("no go.mod above the test's directory")
	return ""
}

// ReadJSON reads a file of the corpus.
func ReadJSON[T any](t testing.TB, path string) *T {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}
