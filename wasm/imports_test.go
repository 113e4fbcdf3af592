package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The two frozen packages of the boundary are each behind one file, so that
// either can be replaced, and nothing but wasm/ knows of JavaScript.
func TestFrozenPackagesAreBehindOneFile(t *testing.T) {
	users := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "build") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			users[name] = append(users[name], filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"github.com/norunners/vert":               "../wasm/options.go",
		"github.com/hack-pad/hackpadfs/indexeddb": "../wasm/store.go",
	} {
		if got := users[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is imported by %v, not by %s alone", name, got, want)
		}
	}
	for _, path := range users["syscall/js"] {
		if !strings.HasPrefix(path, "../wasm/") {
			t.Errorf("%s imports syscall/js", path)
		}
	}
}

// Each of these costs the program that every visit fetches dozens of kilobytes, on
// the wire: a decoder of any JSON, a scanner of any format.
func TestNothingOfTheBrowsersCallsALargeDecoder(t *testing.T) {
	list := exec.Command("go", "list", "-tags", "lean", "-deps", "-f", `{{if not .Standard}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	list.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	out, err := list.Output()
	if err != nil {
		t.Skipf("no go command here: %v", err)
	}
	calls := regexp.MustCompile(`\bjson\.(Unmarshal|NewDecoder)\b|\bfmt\.(S|F)?[Ss]can(f|ln)?\(`)
	read := 0
	for file := range strings.Lines(string(out)) {
		file = strings.TrimSpace(file)
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		read++
		if found := calls.Find(text); found != nil {
			t.Errorf("%s calls %s", file, found)
		}
	}
	if read < 100 {
		t.Errorf("only %d files were looked at", read)
	}
}
