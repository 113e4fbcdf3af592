package kcsan

import (
	"strconv"
	"strings"
)

// kinds maps every access name of every version to its type. A name that
// several bit patterns share, as the assertions do, means the one with the
// fewest bits.
var kinds = func() map[string]AccessType {
	m := map[string]AccessType{}
	for v := Reference; v < versions; v++ {
		for t := AccessType(0); t < 1<<accessFlags; t++ {
			name, err := v.KindName(t)
			if _, have := m[name]; err == nil && !have {
				m[name] = t
			}
		}
	}
	return m
}()

// parseHeadline reads the line above a trace.
func parseHeadline(s string) (a Access, unknown, ok bool) {
	s, unknown = strings.CutPrefix(s, unknownOrigin)
	kind, s, ok := strings.Cut(s, " to 0x")
	if !ok {
		return a, false, false
	}
	if a.Type, ok = kinds[kind]; !ok {
		return a, false, false
	}
	addr, s, _ := strings.Cut(s, " of ")
	size, s, _ := strings.Cut(s, " bytes by ")
	thread, s, _ := strings.Cut(s, " on cpu ")
	cpu, ok := strings.CutSuffix(s, ":")
	if !ok {
		return a, false, false
	}
	var errs [4]error
	a.Addr, errs[0] = strconv.ParseUint(addr, 16, 64)
	a.Size, errs[1] = strconv.ParseUint(size, 10, 64)
	a.CPU, errs[2] = strconv.Atoi(cpu)
	a.PID = InterruptPID
	if task, isTask := strings.CutPrefix(thread, "task "); isTask {
		a.PID, errs[3] = strconv.Atoi(task)
	} else if thread != "interrupt" {
		return a, false, false
	}
	for _, err := range errs {
		if err != nil {
			return a, false, false
		}
	}
	return a, unknown, true
}

// parseFrame reads a frame, without the blank that a trace puts before it.
func parseFrame(s string) (f Frame, ok bool) {
	rest, ok := f.parseSymbol(s)
	if !ok {
		if isAnnotation(s) {
			return Frame{Note: s, Inline: true}, true
		}
		return Frame{}, false
	}
	if rest == "" {
		return f, true
	}
	note, ok := strings.CutPrefix(rest, " ")
	if !ok || note == "" {
		return Frame{}, false
	}
	f.Note = note
	return f, true
}

// parseSymbol reads the kernel's %pS into f and returns what follows it.
func (f *Frame) parseSymbol(s string) (rest string, ok bool) {
	if hex, isHex := strings.CutPrefix(s, "0x"); isHex {
		end := hexRun(hex, 0)
		addr, err := strconv.ParseUint(hex[:end], 16, 64)
		f.Addr = addr
		return hex[end:], err == nil
	}
	name, s, ok := strings.Cut(s, "+0x")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return "", false
	}
	end := hexRun(s, 0)
	offset, err := strconv.ParseUint(s[:end], 16, 64)
	s, ok = strings.CutPrefix(s[end:], "/0x")
	if err != nil || !ok {
		return "", false
	}
	end = hexRun(s, 0)
	size, err := strconv.ParseUint(s[:end], 16, 64)
	if err != nil {
		return "", false
	}
	f.Symbol = Symbol{Name: name, Offset: offset, Size: size}
	s = s[end:]
	if inner, ok := strings.CutPrefix(s, " ["); ok {
		if module, after, ok := strings.Cut(inner, "]"); ok && module != "" {
			f.Symbol.Module, s = module, after
		}
	}
	return s, true
}

// isAnnotation reports whether a line is what symbolizers put between the
// kernel's: "pageout mm/vmscan.c:660 [inline]", "(inlined by) f at a/b.c:7".
func isAnnotation(s string) bool {
	s, inline := strings.CutSuffix(s, " [inline]")
	if s == "" || s[0] == ' ' || !inline && !strings.HasPrefix(s, "(inlined by) ") {
		return false
	}
	_, place, ok := cutLast(s, " ")
	if !ok {
		return false
	}
	file, line, ok := cutLast(place, ":")
	return ok && digits(line) && strings.Contains(file, ".")
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// parseValues reads the line of R14.
func parseValues(s string) (v Values, ok bool) {
	s, ok = strings.CutPrefix(s, valueChanged)
	if !ok {
		return v, false
	}
	a, b, _ := strings.Cut(s, " -> 0x")
	return v, parseHex(a, &v.Old) && parseHex(b, &v.New)
}

// parseMask reads the second line of R14.
func parseMask(s string, v *Values) bool {
	s, ok := strings.CutPrefix(s, bitsChanged)
	_, mask, cut := strings.Cut(s, " with mask 0x")
	return ok && cut && parseHex(mask, &v.Mask)
}

func parseHex(s string, to *uint64) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	*to = n
	return err == nil
}

// digits reports whether s is a non-empty string of decimal digits.
func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
