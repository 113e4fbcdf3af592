package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// names gives what a pattern's first group matches in files, each once.
func names(t *testing.T, pattern string, paths ...string) (list []string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range re.FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// handedOn gives the methods that the worker hands on by their names, in one list.
func handedOn(t *testing.T, worker string) []string {
	t.Helper()
	text, err := os.ReadFile(worker)
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)Object\.fromEntries\(\[(.*?)\]\.map`).FindSubmatch(text)
	if list == nil {
		t.Fatal("no list of methods in the worker")
	}
	var out []string
	for _, m := range regexp.MustCompile(`'(\w+)'`).FindAllSubmatch(list[1], -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// TestMethodNames: what the program publishes, what the worker calls and what
// the page asks the worker for are the same names; nothing else checks strings
// across that boundary.
func TestMethodNames(t *testing.T) {
	if _, err := os.Stat("../web"); err != nil {
		t.Skip("reads the source tree")
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	published := append(names(t, `"(\w+)":\s+method\(`, "main.go"), names(t, `more\["(\w+)"\]`, sources...)...)
	slices.Sort(published)
	handed := handedOn(t, "../web/worker.js")
	called := append(names(t, `globalThis\.coredrop\.(\w+)\b`, "../web/worker.js"), handed...)
	slices.Sort(called)
	called = slices.Compact(called)
	if len(published) < 14 || !slices.Equal(published, called) {
		t.Errorf("published %q\ncalled by the worker %q", published, called)
	}
	pages, err := filepath.Glob("../web/*.js")
	if err != nil {
		t.Fatal(err)
	}
	worker := names(t, `(?m)^\s+(?:async )?(\w+)(?:: (?:async )?\(|\()`, "../web/worker.js")
	worker = append(worker, handed...)
	for _, name := range names(t, `\b(?:ask|call)\('(\w+)'`, pages...) {
		if !slices.Contains(worker, name) {
			t.Errorf("the page asks the worker for %q, which has %q", name, worker)
		}
	}
}
