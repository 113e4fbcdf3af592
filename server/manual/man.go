package manual

import (
	"flag"
	"fmt"
	"strings"
)

// Man gives the manual page of section 1 in the macros man(7), which every man
// reads.
func Man(p Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"%s\" \"%s %s\" \"User commands\"\n", strings.ToUpper(p.Name), escape(p.Date), p.Name, escape(p.Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", p.Name, escape(p.Summary))
	for i, c := range p.Commands {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, ".B %s %s\n%s\n", p.Name, c.Name, line(c.Arguments))
	}
	b.WriteString(".SH DESCRIPTION\n")
	paragraphs(&b, p.About)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, ".SS %s %s %s\n%s.\n", p.Name, c.Name, escape(c.Arguments), line(c.Summary))
		if text := body(c.Usage); text != "" {
			b.WriteString(".PP\n")
			paragraphs(&b, text)
		}
		for _, f := range c.Flags {
			option(&b, f)
		}
	}
	return b.String()
}

// option writes one flag.
func option(b *strings.Builder, f *flag.Flag) {
	name, text := flag.UnquoteUsage(f)
	fmt.Fprintf(b, ".TP\n.B \\-%s", escape(f.Name))
	if takesValue(f) {
		fmt.Fprintf(b, " \\fI%s\\fR", escape(name))
	}
	b.WriteString("\n")
	for i, l := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString(".br\n")
		}
		b.WriteString(line(l) + "\n")
	}
	if list := choices(f); list != nil {
		fmt.Fprintf(b, ".br\nOne of: %s.\n", escape(strings.Join(list, ", ")))
	}
}

// paragraphs writes text; what is indented keeps its lines.
func paragraphs(b *strings.Builder, text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if !strings.HasPrefix(p, "  ") {
			for _, l := range strings.Split(p, "\n") {
				b.WriteString(line(l) + "\n")
			}
			continue
		}
		b.WriteString(".nf\n")
		for _, l := range strings.Split(p, "\n") {
			b.WriteString(escape(l) + "\n")
		}
		b.WriteString(".fi\n")
	}
}

// line is escaped text that begins a line: a point or an apostrophe there would be
// a macro.
func line(s string) string {
	s = escape(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}

var roff = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, "…", `...`, "→", `->`)

func escape(s string) string { return roff.Replace(s) }
