package kcsan

import (
	"strings"
)

// split classifies the lines and puts wrapped ones together again.
func (r *retyper) split(lines []string) bool {
	inTrace := false // the last item continues a trace
	for i := 0; i < len(lines); i++ {
		raw := lines[i]
		c, text := loosely(raw)
		for range maxWrap {
			next := ""
			if i+1 < len(lines) {
				next = lines[i+1]
			}
			joined, ok := unwrap(c, text, next, len(r.items) > 0)
			if !ok {
				break
			}
			c, text = loosely(joined)
			raw = strings.TrimRight(raw, " \t") + " " + strings.TrimLeft(next, " \t")
			r.differs(DiffWrapped)
			i++
		}
		if c == foreign && r.c.Interleaved && inTrace {
			if _, diff, ok := looseFrame(text); ok && diff == DiffBare {
				c = frameLine
			}
		}
		if tracing(raw) {
			return false
		}
		if c != blankLine {
			inTrace = c == headLine || c == frameLine
		}
		r.items = append(r.items, item{c, raw, text})
	}
	return len(r.items) > 0 && r.items[0].class == titleLine
}

// maxWrap is how often a line may have been wrapped.
const maxWrap = 4

// unwrap says whether a line goes on in the next, and what both together are.
func unwrap(c class, text, next string, inside bool) (string, bool) {
	nc, nextText := loosely(next)
	if nc != foreign && !(nc == frameLine && (c == titleLine || strings.HasSuffix(text, "at:") || strings.HasSuffix(text, ">]"))) {
		return "", false
	}
	joined := text + " " + nextText
	switch c {
	case titleLine:
		_, names, _ := cutTitle(text)
		if names == "" || strings.HasSuffix(names, "/") || strings.HasSuffix(names, " and") {
			return joined, true
		}
		// A title of two names may lack only the second's module.
		return joined, strings.HasPrefix(nextText, "[") && strings.HasSuffix(nextText, "]") || strings.HasPrefix(nextText, "/ ")
	case foreign:
		if !inside || !begunHead.MatchString(text) {
			return "", false
		}
		jc, _ := loosely(joined)
		return joined, jc == headLine || strings.Contains(joined, " to 0x") && !strings.HasSuffix(joined, ":") && len(joined) < 200
	case headLine:
		// Complete but for the processor.
		return joined, !strings.HasSuffix(text, ":") && strings.HasPrefix(nextText, "on cpu")
	case frameLine:
		f, _, ok := looseFrame(text)
		if !ok || f.Note != "" {
			return "", false
		}
		jf, _, ok := looseFrame(joined)
		return joined, ok && (jf.Note != "" && place.MatchString(jf.Note) || jf.Symbol.Module != f.Symbol.Module)
	case valueLine:
		return joined, !looseValues.MatchString(text) && looseValues.MatchString(joined)
	case maskLine:
		return joined, !looseMask.MatchString(text) && looseMask.MatchString(joined)
	case irqLine, lockLine, stampLine, locksLine, arrowLine:
		return joined, nextText != "" && (strings.Contains(nextText, "+0x") || place.MatchString(nextText)) && !strings.Contains(text, "+0x")
	case cpuLine:
		if _, ok := new(Footer).parseCPULine(text); ok {
			return "", false
		}
		m := looseCPU.FindStringSubmatch(text)
		if m != nil && looseTask.MatchString(m[4]) {
			return joined, strings.HasPrefix(nextText, "#") || strings.HasPrefix(nextText, "PREEMPT")
		}
		return joined, true
	case footerLine:
		return joined, strings.HasPrefix(text, hardwarePrefix) && len(text) > 40 &&
			(strings.HasPrefix(nextText, "BIOS") || strings.HasSuffix(text, "BIOS") || strings.Contains(text, "BIOS") && strings.Contains(nextText, "/"))
	}
	return "", false
}

// cutTitle takes a title line apart: "data-race", "a / b".
func cutTitle(s string) (kind, names string, ok bool) {
	_, s, ok = strings.Cut(s, "BUG: KCSAN:")
	s = strings.TrimSpace(s)
	kind, names, found := strings.Cut(s, " in ")
	if !found {
		kind = strings.TrimSuffix(s, " in")
		names = ""
	}
	return kind, names, ok
}
