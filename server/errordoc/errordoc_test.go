package errordoc

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"coredrop/core/fault"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md")

// docs/errors.md is what the catalogue says: "make docs" writes it.
func TestTheDocumentIsTheCatalogue(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "errors.md")
	if *update {
		if err := os.WriteFile(path, Markdown(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(Markdown()) {
		t.Error("docs/errors.md is not what the catalogue says: make docs")
	}
}

// Every code has its place in both, by the anchor that copied details name, with
// every step of both surfaces.
func TestEveryCodeHasItsPlace(t *testing.T) {
	md, page := string(Markdown()), string(HTML())
	for _, code := range fault.Codes() {
		if !strings.Contains(md, "\n## "+string(code)+"\n") {
			t.Errorf("docs/errors.md lacks %s", code)
		}
		if strings.Count(page, `id="`+string(code)+`"`) != 1 {
			t.Errorf("errors.html lacks %s", code)
		}
		for _, s := range fault.New(code, "").Steps("") {
			if s.Command != "" && !strings.Contains(md, "`"+s.Command+"`") {
				t.Errorf("%s: docs/errors.md lacks %s", code, s.Command)
			}
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, " style=") || regexp.MustCompile(`(src|href)="(https?:|/)`).MatchString(page) {
		t.Error("the page's security policy would refuse it, or it leaves the site")
	}
}
