package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNumber(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for version, want := range map[string]string{
		"v1.2.3":            "1.2.3",
		"v1.2.3-4-gabcdef0": "1.2.3-4-gabcdef0",
		"abcdef0":           "0.0.0-20260304050607.abcdef012345",
		"0123456":           "0.0.0-20260304050607.abcdef012345", // a commit, and no version
		"devel":             "0.0.0-20260304050607.abcdef012345",
	} {
		r := release{version: version, commit: "abcdef012345", time: at}
		if got := r.number(); got != want {
			t.Errorf("%s: %s", version, got)
		}
	}
}

// A tag needs an entry of its own, any other commit one that is to come.
func TestChangelog(t *testing.T) {
	for _, c := range []struct {
		version, text string
		ok            bool
	}{
		{"v1.2.3", "# Changelog\n\n## 1.2.3\n\n- a thing\n", true},
		{"v1.2.3", "# Changelog\n\n## Unreleased\n\n- a thing\n", false},
		{"v1.2.3", "# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\n- a thing\n", false},
		{"abcdef0", "# Changelog\n\n## Unreleased\n\n- a thing\n", true},
		{"abcdef0", "# Changelog\n\n## Unreleased\n\n## 1.2.2\n\n- a thing\n", false},
	} {
		r := release{version: c.version, root: t.TempDir(), time: time.Unix(1, 0)}
		if err := os.WriteFile(filepath.Join(r.root, "CHANGELOG.md"), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := r.changelog(); (err == nil) != c.ok {
			t.Errorf("%s, %q: %v", c.version, c.text, err)
		}
	}
}
