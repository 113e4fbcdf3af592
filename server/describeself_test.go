package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/server/manual"
)

// TestManualHasEveryFlag holds the manual page and the completions to the table
// of commands: nothing that -h prints is missing from them.
func TestManualHasEveryFlag(t *testing.T) {
	p := itself()
	page := manual.Man(p)
	flags := 0
	for _, c := range p.Commands {
		_, section, ok := strings.Cut(page, ".SS coredrop "+c.Name+" ")
		if !ok {
			t.Errorf("the manual page has no command %s", c.Name)
		}
		section, _, _ = strings.Cut(section, ".SS ")
		for _, f := range c.Flags {
			flags++
			if !strings.Contains(section, `.B \-`+strings.ReplaceAll(f.Name, "-", `\-`)) {
				t.Errorf("the manual page lacks -%s of %s", f.Name, c.Name)
			}
			for _, s := range manual.Shells {
				if !strings.Contains(s.Write(p), f.Name) {
					t.Errorf("%s does not complete -%s of %s", s.Name, f.Name, c.Name)
				}
			}
		}
		if c.Usage == "" {
			t.Errorf("%s has no help", c.Name)
		}
	}
	if flags < 20 {
		t.Errorf("%d flags were found", flags)
	}
	for _, l := range strings.Split(page, "\n") {
		if strings.HasPrefix(l, ".") && !strings.HasPrefix(l, ".TH ") && !strings.HasPrefix(l, ".S") && !strings.HasPrefix(l, ".B ") &&
			l != ".br" && l != ".PP" && l != ".TP" && l != ".nf" && l != ".fi" {
			t.Errorf("a line of text became a macro: %q", l)
		}
	}
}

// TestManualIsReadByMan: groff, which man uses, has no complaint.
func TestManualIsReadByMan(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	c := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	c.Stdin = strings.NewReader(manual.Man(itself()))
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v %s", err, out)
	}
}

// TestCompletions asks the shells themselves.
func TestCompletions(t *testing.T) {
	asks := []struct{ line, want, not string }{
		{"coredrop con", "convert", "info"},
		{"coredrop convert -ty", "-type", "-symbols"},
		{"coredrop convert -type k", "kernel", "full"},
		{"coredrop kcsan -exit", "-exit-code", "-json"},
		{"coredrop completion -", "", "-type"},
	}
	shells := map[string]string{
		"bash": `source "$1"; read -ra COMP_WORDS <<<"$2"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _coredrop; printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `source $argv[1]; complete -C "$argv[2]"`,
	}
	for name, script := range shells {
		t.Run(name, func(t *testing.T) {
			shell, err := exec.LookPath(name)
			if err != nil {
				t.Skip(name + " is not installed")
			}
			var text, errors bytes.Buffer
			if code := run(context.Background(), []string{"completion", name}, strings.NewReader(""), &text, &errors); code != exitDone {
				t.Fatal(code, errors.String())
			}
			file := filepath.Join(t.TempDir(), "completions")
			if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, a := range asks {
				args := []string{"-c", script, file, a.line}
				if name == "bash" { // its -c takes $0 first
					args = []string{"-c", script, name, file, a.line}
				}
				out, err := exec.Command(shell, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v %s", a.line, err, out)
				}
				words := map[string]bool{}
				for _, l := range strings.Split(string(out), "\n") {
					word, _, _ := strings.Cut(l, "\t")
					words[word] = true
				}
				if a.want != "" && !words[a.want] || words[a.not] {
					t.Errorf("%q gives %q", a.line, out)
				}
			}
		})
	}
}
