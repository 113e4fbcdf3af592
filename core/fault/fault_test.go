package fault

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestEveryDeclaredCodeHasARow(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[Code]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			for _, v := range spec.Values {
				s, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared[Code(s)] = true
			}
		}
		return true
	})
	if len(declared) < 50 {
		t.Fatalf("only %d codes declared", len(declared))
	}
	form := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	for c := range declared {
		e, ok := Lookup(c)
		if !ok {
			t.Errorf("code %s has no row", c)
			continue
		}
		if !form.MatchString(string(c)) {
			t.Errorf("code %q is not of the form", c)
		}
		if e.Sentence == "" || strings.HasSuffix(e.Sentence, ".") {
			t.Errorf("%s: sentence %q", c, e.Sentence)
		}
	}
	if len(Codes()) != len(declared) {
		t.Errorf("%d rows for %d codes", len(Codes()), len(declared))
	}
}

func TestErrorCarriesCodeRemedyAndCause(t *testing.T) {
	e := Wrap(io.ErrUnexpectedEOF, Truncated, "file ends %d bytes early", 7).Hint("look at %s", "x")
	if e.Error() != "file ends 7 bytes early" {
		t.Error(e.Error())
	}
	if !errors.Is(e, io.ErrUnexpectedEOF) || !Is(e, Truncated) || Is(e, IsDmp) {
		t.Error("chain")
	}
	if r := e.Remedy(); len(r) != 3 || r[0] != "look at x" {
		t.Errorf("%q", r)
	}
	if As(nil) != nil || As(io.EOF).Code != Internal || As(e) != e {
		t.Error("As")
	}
	if New(EmptyFile, "").Text != "the file is empty" {
		t.Error("catalogue sentence")
	}
}
