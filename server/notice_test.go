package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNotice: NOTICE names every module that is built in, for the command or for
// the page, with its licence, and none that is not. make licences has the
// licences.
func TestNotice(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	notice, err := os.ReadFile(filepath.Join("..", "NOTICE"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  (\S+\.\S+/\S+) +(\S.*)$`).FindAllStringSubmatch(string(notice), -1) {
		named[m[1]] = m[2]
	}
	built := map[string]bool{} // by module, whether the command has it
	for _, c := range []struct{ os, arch, pkg string }{{"linux", "amd64", "./server"}, {"windows", "amd64", "./server"}, {"js", "wasm", "./wasm"}} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", c.pkg)
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "GOOS="+c.os, "GOARCH="+c.arch, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", c.pkg, err)
		}
		for _, path := range strings.Fields(string(out)) {
			built[path] = built[path] || c.pkg == "./server"
		}
	}
	if len(built) < 5 {
		t.Fatalf("only %v", built)
	}
	known := []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}
	for path, command := range built {
		text, pageOnly := strings.CutSuffix(named[path], " (page only)")
		for _, licence := range strings.Split(text, ", ") {
			if !slices.Contains(known, licence) {
				t.Errorf("NOTICE has the licence %q for %s", named[path], path)
			}
		}
		if pageOnly == command {
			t.Errorf("NOTICE says %q of %s; in the command: %v", named[path], path, command)
		}
		delete(named, path)
	}
	for path := range named {
		t.Errorf("NOTICE names %s, which is not built in", path)
	}
}
