package main

import (
	"fmt"
	"time"

	"coredrop/core/summary"
	"coredrop/core/words"
)

// describeLinux prints what a Linux guest was doing and what went wrong in it.
func describeLinux(l lines, s *summary.Summary) {
	d := s.Linux.Detail
	l.put("banner", "%s", s.Linux.Banner)
	if s.Guest.UptimeSeconds > 0 {
		l.put("up", "at least %s, by the newest line of the log", (time.Duration(s.Guest.UptimeSeconds * float64(time.Second))).Round(time.Millisecond))
	}
	l.put("panic", "%s", s.Linux.Panic)
	for _, t := range s.Linux.Troubles {
		if t.Kind != "panic" {
			l.put(t.Kind, "%s, at %.6f s by %s", joined(t.Text, t.Where), t.Seconds, t.Caller)
		}
	}
	for _, c := range s.CPUs {
		task, at := "", ""
		if p := c.Process; p != nil {
			task = fmt.Sprintf("%s (%d)", p.Name, p.PID)
		}
		if len(c.Stack) > 0 {
			at = placeText(c.Stack[0])
		}
		l.put(fmt.Sprintf("cpu %d", c.Index), "%s", joined(c.Mode+" mode", task, at))
	}
	l.put("lists", "%s, %s", words.Count(len(d.Modules), "module"), words.Count(len(d.Tasks), "task"))
	if d.LogRecords > 0 {
		l.put("kernel log", "%s, printed by coredrop kcsan -log", words.Count(d.LogRecords, "record"))
	}
}

// placeText is a place in code as the kernel prints it.
func placeText(f summary.Frame) string {
	switch {
	case f.Inline:
		return f.Symbol
	case f.Symbol == "":
		return f.Address
	}
	out := fmt.Sprintf("%s+%#x/%#x", f.Symbol, f.Offset, f.Size)
	if f.Module != "" {
		out += " [" + f.Module + "]"
	}
	return out
}

// joined joins what is not empty by commas.
func joined(list ...string) string {
	out := ""
	for _, s := range filled(list...) {
		if out != "" {
			out += ", "
		}
		out += s
	}
	return out
}
