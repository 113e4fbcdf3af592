package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"coredrop/core/dmp"
	"coredrop/core/summary"
	"coredrop/core/words"
)

// printJSON prints the summary.
func printJSON(w io.Writer, s *summary.Summary) error {
	return s.Write(w)
}

// lines collects "name: value" lines; what is not known is left out.
type lines struct{ w io.Writer }

func (l lines) put(name, format string, args ...any) {
	if text := oneLine(fmt.Sprintf(format, args...)); strings.TrimSpace(text) != "" {
		fmt.Fprintf(l.w, "%s: %s\n", name, text)
	}
}

// describe prints the summary for people: what goes into a ticket.
func describe(w io.Writer, s *summary.Summary) {
	l := lines{w}
	format := s.File.Format
	if format == "" {
		format = "not a core that can be read"
	}
	l.put("file", "%s, %s (%s)", s.File.Name, words.Bytes(s.File.Size), words.Of(words.All.Formats, format))
	if p := s.File.Packed; p != nil {
		l.put("unpacked from", "%s, %s (%s)", p.Name, words.Bytes(p.Bytes), strings.Join(p.Forms, ", in it "))
	}
	l.put("machine", "%s", words.Machine(s.File.Machine))
	l.put("written with", "%s", strings.Join(s.File.Capabilities, ", "))
	for _, x := range s.File.Snapshots {
		opened := ""
		if x.Opened {
			opened = ", opened"
		}
		l.put("snapshot", "%s (id %s), %s, %s%s", x.Name, x.ID, x.Taken, words.Bytes(int64(min(x.Bytes, math.MaxInt64))), opened)
	}
	describeGuest(l, s)
	if n := len(s.CPUs); n > 0 {
		l.put("cpus", "%d, %s", n, modesText(s.CPUs))
	}
	if s.Memory.Bytes > 0 {
		l.put("memory", "%s in %s", words.Bytes(s.Memory.Bytes), words.Count(len(s.Memory.Runs), "run"))
	}
	if s.Windows != nil {
		describeWindows(l, s.Windows)
	}
	if s.Linux != nil && s.Linux.Detail != nil {
		describeLinux(l, s)
	}
	describeSymbols(l, s)
	if s.Convert.Possible && s.Dump == nil {
		l.put("convertible", "yes%s", sizesText(s.Convert.Types))
	}
	if d := s.Dump; d != nil {
		l.put("dump", "%s, %s in %s, %s", d.Type, words.Bytes(d.Bytes), words.Count(d.Parts, "part"), words.Count(len(d.Patches), "patch"))
		if d.LeftOut > 0 {
			l.put("left out", "%s of memory%s", words.Bytes(d.LeftOut), leftOut[d.Type])
		}
		for _, p := range d.Patches {
			l.put("  patched", "%s (%s at %s)", p.What, words.Count(int(p.Bytes), "byte"), p.PA)
		}
		if d.Verified {
			l.put("verified", "read back as a debugger would")
		}
	}
}

// sizesText lists how large each type of dump becomes.
func sizesText(types []summary.DumpSize) string {
	var list []string
	for _, t := range types {
		most := ""
		if t.AtMost {
			most = "at most "
		}
		list = append(list, fmt.Sprintf("%s %s%s", t.Type, most, words.Bytes(t.Bytes)))
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// leftOut says which memory a type of dump leaves out.
var leftOut = map[string]string{
	dmp.TypeKernel: " that no kernel half reaches",
	dmp.TypeTriage: " that a first look at a crash does without",
}

// modesText counts the CPUs by what they were doing: those in the kernel, then
// those that are not in Windows.
func modesText(cpus []summary.CPU) string {
	count := map[string]int{}
	for _, c := range cpus {
		count[c.Mode]++
	}
	text := fmt.Sprintf("%d of them %s", count["kernel"], words.Of(words.All.Modes, "kernel"))
	for _, mode := range []string{"hypervisor", "vtl1", "firmware", "smm", "reset"} {
		if n := count[mode]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, words.Of(words.All.Modes, mode))
		}
	}
	return text
}

func describeGuest(l lines, s *summary.Summary) {
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

func describeWindows(l lines, w *summary.Windows) {
	l.put("kernel", "%s, page tables %s (%s)", w.KernelBase, w.DTB, words.DTBFrom(w.DTBFrom.Way, w.DTBFrom.CPU))
	if n := w.TransitionPages; n > 0 {
		l.put("trimmed", "%s read that Windows had taken from its working sets, but not yet from memory", words.Count(n, "page"))
	}
	if k := w.KDBG; k != nil {
		state := "in clear"
		if k.Encoded {
			state = "encoded"
		}
		l.put("debugger block", "%s, %s, found %s", k.VA, state, words.Of(words.All.FoundBy, k.FoundBy))
	}
	if b := w.BugCheck; b != nil {
		var values []string
		for _, p := range b.Parameters {
			values = append(values, p.Value)
		}
		l.put("bug check", "%s (%s)", strings.Join(filled(b.Code, b.Name), " "), strings.Join(values, ", "))
	} else if w.KDBG != nil {
		l.put("bug check", "none: the guest was alive")
	}
	if o := w.Opens; o != nil {
		l.put("registers", "%s", o.Text)
	}
	for _, line := range w.FirstAid {
		fmt.Fprintln(l.w, oneLine(line))
	}
	if len(w.Modules)+len(w.Processes) > 0 {
		l.put("lists", "%s, %s", words.Count(len(w.Modules), "module"), words.Count(len(w.Processes), "process"))
	}
}

func describeSymbols(l lines, s *summary.Summary) {
	if s.Symbols.Key == "" {
		return
	}
	from := ""
	if o := s.Symbols.From; o != nil {
		from = words.Of(words.All.From, o.Kind, "name", o.Name)
	}
	text := words.Of(words.All.Symbols, s.Symbols.Status, "from", from)
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
