package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Registers, selectors, their bits, and paging modes, as Go names of fields,
// constants and variables.
var (
	x86Names = regexp.MustCompile(`^([RE]?(AX|BX|CX|DX|SI|DI|BP|SP|IP)|R[0-9]+|[RE]FLAGS|([CDEFGS]S|LDT|TR|GDT|IDT)(Base|Limit)?|CR[0-9][A-Za-z0-9]*|(Has)?KernelGSBase|GSInKernel|DR[0-9]|EFER|[LC]?STAR|SFMASK|Sysenter[A-Z]+|F[CST]W|MXCSR|(ST|XMM)[0-9]+|OrigAX|X64L5|X86PAE)$`)
	armNames = regexp.MustCompile(`^([XWV]([0-9]|[12][0-9]|30|31)|Arm(SP|PC)|SPEL[01]|ELR|SPSR|TTBR[01]|TCR|MAIR|VBAR|SCTLR|TPIDR[A-Z0-9]*|PSTATE|FPCR|FPSR|ARM64)$`)
	// The paging modes whose names are no register's.
	modeNames = map[string]bool{"paging.X64": true, "paging.X86": true, "windows.X64": true}
	// common names the words that are no register where they stand for what any
	// processor has.
	common = map[string]bool{"SP": true}
	// generic is what of package cpu belongs to no processor: all that a file which
	// is not named for one may use of it.
	generic = map[string]bool{"State": true, "Arch": true, "Reg": true, "Layout": true, "Field": true, "Bits": true, "None": true}
)

// forArchitecture reports whether a file may name what belongs to a processor:
// its name says which one, or it holds layouts.
func forArchitecture(path string) bool {
	name := filepath.Base(path)
	for _, arch := range []string{"x64", "x86", "arm"} {
		if strings.HasPrefix(name, arch) {
			return true
		}
	}
	// The exception data of x86-64, and its unwinding: the whole room.
	return name == "layout.go" || strings.Contains(filepath.ToSlash(path), "windows/unwind/")
}

// TestArchitectureIsData: what differs between processors stands in the files
// named for them. Another architecture is added, not branched to.
func TestArchitectureIsData(t *testing.T) {
	named := 0
	walkSources(t, []string{"windows", "dmp", "summary"}, func(path string, f *ast.File) {
		inside := forArchitecture(path)
		ast.Inspect(f, func(n ast.Node) bool {
			name, processor := "", false
			switch n := n.(type) {
			case *ast.SelectorExpr:
				name = n.Sel.Name
				if x, ok := n.X.(*ast.Ident); ok && (modeNames[x.Name+"."+name] || x.Name == "cpu" && !generic[name]) {
					name, processor = x.Name+"."+name, true
				}
			case *ast.Field:
				for _, id := range n.Names {
					if register(id.Name) {
						name = id.Name
					}
				}
			}
			if !processor && !register(name) {
				return true
			}
			if inside {
				named++
			} else {
				t.Errorf("%s names %s: put it into a file of the architecture, or say what any processor has", path, name)
			}
			return true
		})
	})
	if named < 50 {
		t.Errorf("only %d registers were seen where they may be: does this test still see any?", named)
	}
}

func register(name string) bool {
	return name != "" && !common[name] && (x86Names.MatchString(name) || armNames.MatchString(name))
}

// TestCompatIsAPlace: what elf2dmp would do is asked for by the doors, and
// answered in the files called compat.go.
func TestCompatIsAPlace(t *testing.T) {
	doors := map[string]bool{"core.go": true, "case.go": true, "open.go": true, "convert.go": true, "kernels.go": true, "stacks.go": true, "options.go": true,
		"windows/find/search.go": true, "dmp/new.go": true}
	asked := 0
	walkSources(t, []string{"."}, func(path string, f *ast.File) {
		slash := filepath.ToSlash(path)
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || s.Sel.Name != "Compat" {
				return true
			}
			asked++
			if !doors[slash] && !strings.HasSuffix(slash, "compat.go") {
				t.Errorf("%s asks for Compat", path)
			}
			return true
		})
	})
	if asked == 0 {
		t.Error("nothing asks for Compat: does this test still see it?")
	}
}

// walkSources visits every file of the program below some directories.
func walkSources(t *testing.T, dirs []string, visit func(path string, f *ast.File)) {
	t.Helper()
	if runtime.GOOS == "js" {
		t.Skip("reads the source tree")
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && slices.Contains(outside, d.Name()) {
				return filepath.SkipDir // what only tests use
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				visit(path, f)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
