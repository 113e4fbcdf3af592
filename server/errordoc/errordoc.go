// Package errordoc renders the one list of errors for readers: docs/errors.md,
// and errors.html, the page beside index.html. Each code has an anchor of its own
// name, so that details that were copied can name their place: errors.html#CODE.
package errordoc

import (
	"bytes"
	"fmt"
	"html"
	"strings"

	"coredrop/core/fault"
)

const intro = "What Coredrop says when something is in the way, by its code. An error or a warning may be worded for its occurrence; the code stays. The next steps are those that always fit; an occurrence may add its own, or have others. FILE is the file that was opened, OUT.dmp the dump to be made of it."

// section is a code with its next steps by surface.
type section struct {
	code     fault.Code
	sentence string
	groups   []group
}

type group struct {
	title string
	steps []fault.Step
}

// sections gives every code in alphabetical order. Steps for both surfaces stand
// once.
func sections() []section {
	var list []section
	for _, code := range fault.Codes() {
		e := fault.New(code, "")
		s := section{code: code, sentence: e.Text}
		both, page, cli := group{title: "Next steps"}, group{title: "On the page"}, group{title: "On the command line"}
		for _, step := range e.Steps("") {
			switch {
			case step.On(fault.Page) && step.On(fault.CLI):
				both.steps = append(both.steps, step)
			case step.On(fault.Page):
				page.steps = append(page.steps, step)
			default:
				cli.steps = append(cli.steps, step)
			}
		}
		for _, g := range []group{both, page, cli} {
			if len(g.steps) > 0 {
				s.groups = append(s.groups, g)
			}
		}
		list = append(list, s)
	}
	return list
}

// Markdown gives docs/errors.md.
func Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Errors and warnings\n\n<!-- Made from core/fault by make docs. -->\n\n%s\n", intro)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", s.code, capital(s.sentence))
		for _, g := range s.groups {
			fmt.Fprintf(&b, "\n%s:\n\n", g.title)
			for _, step := range g.steps {
				fmt.Fprintf(&b, "- %s\n", line(step, markdownText, func(c string) string { return "`" + c + "`" }))
			}
		}
	}
	return b.Bytes()
}

// HTML gives errors.html: no script, the page's own style.
func HTML() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Coredrop: errors and warnings</title>
<link rel="icon" href="web/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="web/style.css">
</head>
<body>
<header>
  <h1>Errors and warnings</h1>
  <p><a href="./">Coredrop</a></p>
</header>
<main>
<p>%s</p>
`, html.EscapeString(intro))
	for _, s := range sections() {
		fmt.Fprintf(&b, "<section aria-labelledby=\"%[1]s\">\n<h2 id=\"%[1]s\"><code>%[1]s</code></h2>\n<p>%[2]s.</p>\n", s.code, html.EscapeString(capital(s.sentence)))
		for _, g := range s.groups {
			fmt.Fprintf(&b, "<p>%s:</p>\n<ul>\n", g.title)
			for _, step := range g.steps {
				fmt.Fprintf(&b, "<li>%s</li>\n", line(step, html.EscapeString, func(c string) string { return "<code>" + html.EscapeString(c) + "</code>" }))
			}
			fmt.Fprint(&b, "</ul>\n")
		}
		fmt.Fprint(&b, "</section>\n")
	}
	fmt.Fprint(&b, "</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// line is a step with its words and its command in the form of the document.
func line(s fault.Step, text, command func(string) string) string {
	switch {
	case s.Command == "":
		return text(s.Text)
	case s.Text == "":
		return command(s.Command)
	}
	return text(s.Text) + ": " + command(s.Command)
}

// markdownText keeps what Markdown would take for its own.
func markdownText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", "&lt;", "`", "\\`").Replace(s)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
