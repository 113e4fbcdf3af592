package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden lists what non-test files under core must not import: what would
// tie them to a machine, or to a browser.
var forbidden = []string{"os", "net", "syscall/js", "log"}

// clocks lists what of package time reads or waits for a clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

type listed struct {
	Dir, ImportPath string
	GoFiles         []string
	IgnoredGoFiles  []string
	Imports         []string
}

// list runs go list over core for an operating system and processor.
func list(t *testing.T, goos, goarch string) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stderr = &bytes.Buffer{}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, cmd.Stderr)
	}
	all := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func needGo(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "js" {
		t.Skip("needs the go command")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
}

func TestPureImports(t *testing.T) {
	needGo(t)
	packages := list(t, "js", "wasm")
	if len(packages) < 10 {
		t.Fatalf("only %d packages", len(packages))
	}
	for path, p := range packages {
		for _, bad := range forbidden {
			if slices.Contains(p.Imports, bad) {
				t.Errorf("%s imports %s", path, bad)
			}
		}
	}
}

// No file may vanish from the browser's build by an accident of its name, such
// as _windows.go.
func TestNoFileIsLost(t *testing.T) {
	needGo(t)
	js := list(t, "js", "wasm")
	for _, native := range [][2]string{{"linux", "amd64"}, {"windows", "arm64"}, {"darwin", "arm64"}} {
		for path, p := range list(t, native[0], native[1]) {
			if !slices.Equal(p.GoFiles, js[path].GoFiles) {
				t.Errorf("%s has %v for %s, %v in the browser", path, p.GoFiles, native[0], js[path].GoFiles)
			}
			// What a build tag leaves out, it leaves out everywhere.
			if !slices.Equal(p.IgnoredGoFiles, js[path].IgnoredGoFiles) {
				t.Errorf("%s leaves out %v on %s, %v in the browser", path, p.IgnoredGoFiles, native[0], js[path].IgnoredGoFiles)
			}
			for _, name := range append(p.GoFiles, p.IgnoredGoFiles...) {
				if part, ok := constrained(name); ok {
					t.Errorf("%s: the end of %s is a build constraint: %s", path, name, part)
				}
			}
		}
	}
}

// constrained reports whether a file's name ends in an operating system or a
// processor, which the go command takes for a build constraint.
func constrained(name string) (string, bool) {
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(name, ".go"), "_test"), "_")
	last := parts[len(parts)-1]
	known := []string{"windows", "linux", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "plan9", "android", "ios", "aix", "illumos",
		"js", "wasip1", "unix", "386", "amd64", "arm", "arm64", "wasm", "riscv64", "ppc64", "ppc64le", "s390x", "mips", "mips64", "loong64"}
	return last, len(parts) > 1 && slices.Contains(known, last)
}

func TestNoClock(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("reads the source tree")
	}
	files := 0
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		for _, use := range clockUses(t, path) {
			t.Errorf("%s refers to time.%s", path, use)
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// clockUses gives the names of package time's clocks that a file refers to,
// under whatever name it imports the package.
func clockUses(t *testing.T, path string) (uses []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, imp := range f.Imports {
		if p, _ := strconv.Unquote(imp.Path.Value); p == "time" {
			name = "time"
			if imp.Name != nil {
				name = imp.Name.Name
			}
		}
	}
	if name == "" {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name && slices.Contains(clocks, s.Sel.Name) {
				uses = append(uses, s.Sel.Name)
			}
		}
		return true
	})
	if name == "." {
		uses = append(uses, "* (dot import)")
	}
	return uses
}
