package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"coredrop/core"
)

// printJSON prints the summary.
func printJSON(w io.Writer, s *core.Summary) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

// lines collects "name: value" lines; what is not known is left out.
type lines struct{ w io.Writer }

func (l lines) put(name, format string, args ...any) {
	if text := oneLine(fmt.Sprintf(format, args...)); strings.TrimSpace(text) != "" {
		fmt.Fprintf(l.w, "%s: %s\n", name, text)
	}
}

// describe prints the summary for people: what goes into a ticket.
func describe(w io.Writer, s *core.Summary) {
	l := lines{w}
	format := s.File.Format
	if format == "" {
		format = "not a core that can be read"
	}
	l.put("file", "%s, %s (%s)", s.File.Name, bytesText(s.File.Size), format)
	describeGuest(l, s)
	if n := len(s.CPUs); n > 0 {
		kernel := 0
		for _, c := range s.CPUs {
			if c.Mode == "kernel" {
				kernel++
			}
		}
		l.put("cpus", "%d, %d of them in kernel mode", n, kernel)
	}
	if s.Memory.Bytes > 0 {
		l.put("memory", "%s in %s", bytesText(s.Memory.Bytes), count(len(s.Memory.Runs), "run"))
	}
	if s.Windows != nil {
		describeWindows(l, s.Windows)
	}
	describeSymbols(l, s)
	if s.Convert.Possible && s.Dump == nil {
		l.put("convertible", "yes")
	}
	if d := s.Dump; d != nil {
		l.put("dump", "%s, %s in %s, %s", d.Type, bytesText(d.Bytes), count(d.Parts, "part"), count(len(d.Patches), "patch"))
		for _, p := range d.Patches {
			l.put("  patched", "%s (%s at %s)", p.What, count(int(p.Bytes), "byte"), p.PA)
		}
		if d.Verified {
			l.put("verified", "read back as a debugger would")
		}
	}
}

func describeGuest(l lines, s *core.Summary) {
	g := s.Guest
	if g.OS == "unknown" {
		return
	}
	name := g.Version
	if s.Linux != nil {
		name = "Linux " + s.Linux.Release
	} else if name == "" {
		name = g.OS
	}
	l.put("guest", "%s", strings.Join(filled(name, g.Product, g.Arch), ", "))
	if g.SystemTime != "" {
		l.put("guest time", "%s, up %s", g.SystemTime, (time.Duration(g.UptimeSeconds * float64(time.Second))).Round(time.Second))
	}
}

func describeWindows(l lines, w *core.WindowsInfo) {
	l.put("kernel", "%s, page tables %s (%s)", w.KernelBase, w.DTB, w.DTBFrom)
	if k := w.KDBG; k != nil {
		state := "in clear"
		if k.Encoded {
			state = "encoded"
		}
		l.put("debugger block", "%s, %s, found by %s", k.VA, state, k.FoundBy)
	}
	if b := w.BugCheck; b != nil {
		l.put("bug check", "%s (%s)", b.Code, strings.Join(b.Parameters, ", "))
	} else if w.KDBG != nil {
		l.put("bug check", "none: the guest was alive")
	}
	if len(w.Modules)+len(w.Processes) > 0 {
		l.put("lists", "%s, %s", count(len(w.Modules), "module"), count(len(w.Processes), "process"))
	}
}

func describeSymbols(l lines, s *core.Summary) {
	if s.Symbols.Key == "" {
		return
	}
	text := map[string]string{
		"none-needed": "not needed",
		"needed":      "needed: coredrop get -o STORE fetches the PDB",
		"found":       "from " + s.Symbols.From,
		"missing":     "asked for, not to be had",
	}[s.Symbols.Status]
	l.put("symbols", "%s", strings.Join(filled(s.Symbols.Key, text), ", "))
}

// filled drops what is empty.
func filled(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// count words a number of things.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "ch") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
