package logtext

import (
	"slices"
	"strings"

	"coredrop/core/kcsan"
)

// What a line is for, at first sight.
type purpose uint8

const (
	nothing purpose = iota
	isTitle
	isSeparator
	isReportedBy
)

// trigger looks for what makes a line one of a report, and where that begins.
func trigger(l string) (int, purpose) {
	if i := strings.Index(l, title); i >= 0 {
		return i, isTitle
	}
	if i := strings.LastIndex(l, kcsan66); i >= 0 && i <= maxPrefix && len(l)-i-len(kcsan66) <= maxTail {
		return i, isSeparator
	}
	if i := strings.Index(l, reportedBy); i >= 0 && i <= maxPrefix {
		return i, isReportedBy
	}
	return 0, nothing
}

// match finds the form, and the stream if there is one, of a line; at >= 0: with
// the text beginning there.
func (a *Assembler) match(l string, at int, m message) (f *form, key streamKey, end int, ok bool) {
	for _, anchored := range []bool{true, false} {
		for _, f := range a.forms {
			var who string
			if anchored {
				end, who, ok = f.match(l, 0)
			} else {
				end, who, ok = f.find(l)
			}
			if !ok || at >= 0 && end != at {
				continue
			}
			if who == "" {
				who = m.caller
			}
			key = streamKey{f.shape, who, m.record}
			// Behind something else a stamp is a report's only if nothing is
			// known to belong before it: it may be another machine's.
			if s := a.streams[key]; !anchored && (s == nil || len(s.keys) > 1) {
				continue
			}
			return f, key, end, true
		}
	}
	return nil, streamKey{}, 0, false
}

// separatorIn handles a line with a separator at at.
func (a *Assembler) separatorIn(l string, at int, diff string, m message) {
	tail := l[at+len(kcsan66):]
	_, key, _, ok := a.match(l, at, m)
	if !ok {
		s := a.learn(l[:at], m)
		s.opened, s.tail, s.diffs = true, tail, add(nil, diff)
		a.suspect(s, s.keys[0])
		return
	}
	before := a.streams[key]
	s := a.separator(key, tail)
	s.diffs = add(s.diffs, diff)
	a.squeezed(s, l[:at])
	if before == nil || !before.open {
		a.suspect(s, key) // else what stands above is that report's
	}
}

// separator ends what is open and begins a stream: a report's end may be the
// beginning of the next, whose predecessor lost its own.
func (a *Assembler) separator(key streamKey, tail string) *stream {
	if s := a.streams[key]; s != nil && s.open {
		a.end(s, true, "")
	} else if s != nil {
		a.forget(s)
	}
	s := a.begin(key)
	s.opened, s.tail = true, tail
	return s
}

// suspect looks whether a trace of somebody else was being printed when the
// separator came: its lines cannot be told from the report's where the log does
// not name who prints.
func (a *Assembler) suspect(s *stream, key streamKey) {
	if s.caller != "" {
		return
	}
	f := a.formOf(key.shape)
	if f == nil {
		return
	}
	n := 0
	a.past.back(func(p *past) bool {
		end, _, ok := f.match(string(p.line), 0)
		if !ok {
			n++
			return n < maxForms
		}
		text := string(p.line[end:])
		if kcsan.Tracing(text) {
			s.broken = "another stack trace began before it, and the log does not say who printed which line"
		}
		return false
	})
}

// titleIn handles a line with a title at at.
func (a *Assembler) titleIn(l string, at int, diff string, m message) {
	text := l[at:]
	if ns, ok := bootTime(l[:at]); ok && !m.timed {
		m.time, m.timed = ns, true
	}
	_, key, _, ok := a.match(l, at, m)
	if !ok {
		// A separator that a program's output was glued to, or that this line
		// has it glued to, is the same stream's.
		var before *stream
		if a.last != nil && !a.last.open && a.last.opened && a.lines-a.lastAt <= 2 && a.alive(a.last) {
			before = a.last
		}
		s := a.learn(l[:at], m)
		if before != nil && before.caller == s.caller {
			s.opened, s.tail, s.diffs, s.broken = true, before.tail, before.diffs, before.broken
			for _, k := range before.keys {
				a.join(s, k)
			}
		}
		key = s.keys[0]
	}
	s := a.open(key, text, m)
	if ok {
		a.settle(s, key.shape)
	}
	s.diffs = add(s.diffs, diff)
	a.squeezed(s, l[:at])
	if s.tail != "" && strings.Trim(s.tail, " \t") != "" && strings.HasSuffix(text, s.tail) {
		s.suffix = s.tail
		s.lines[0] = strings.TrimSuffix(s.lines[0], s.tail)
	}
}

// open begins a report with its title.
func (a *Assembler) open(key streamKey, text string, m message) *stream {
	s := a.streams[key]
	switch {
	case s == nil:
		s = a.begin(key)
	case s.open:
		a.end(s, false, "another report begins in the middle of it")
		s = a.begin(key)
	}
	s.open, s.lines, s.bytes = true, []string{a.shared(text)}, len(text)
	s.time, s.timed = m.time, m.timed
	a.touch(s)
	return s
}

// inside handles a line that is neither a separator nor a title.
func (a *Assembler) inside(l string, at int, what purpose, overlong bool, diff string, m message) {
	f, key, end, ok := a.match(l, -1, m)
	if ok {
		s := a.streams[key]
		ok = s != nil || f.shape != "" // else it has none of the known forms
		if s != nil {
			if what == isReportedBy && !s.open {
				ok = false
			} else {
				if overlong && s.open {
					s.broken = "a line is longer than any of the kernel's"
				}
				text := l[end:]
				if s.suffix != "" {
					text = strings.TrimSuffix(text, s.suffix)
				}
				a.squeezed(s, l[:end])
				if s.open && strings.TrimSpace(text) == "" {
					if f.shape == "" && len(s.keys) > 1 {
						s.soft = append(s.soft, len(s.lines))
					} else {
						s.blank = true
					}
				}
				first, rest, two := strings.Cut(text, `\x0a`) // /dev/kmsg
				a.deliver(s, f.shape, first, diff)
				if two && a.alive(s) {
					a.deliver(s, f.shape, rest, diff)
				}
				return
			}
		}
	}
	if what == isReportedBy {
		a.orphanIn(l, at, m)
		return
	}
	if s := a.last; !ok && s != nil && s.open && a.alive(s) {
		a.continued(s, l)
	}
}

// continued takes a line without the prefix for what goes on from the line
// before it.
func (a *Assembler) continued(s *stream, l string) {
	shape := s.keys[0].shape
	before := s.lines[len(s.lines)-1]
	switch to := strings.Index(l, arrow); {
	case to >= 0 && strings.TrimSpace(before) == "|":
		// The second line of a record of two, which tools print without a
		// prefix, and indented.
		a.deliver(s, shape, "  "+l[to:], "")
	case (l == "" || a.blank(s, l)) && (s.caller == "" || a.lines == a.lastAt+1):
		// dmesg and crash(8) print an empty record as an empty line.
		s.soft = append(s.soft, len(s.lines))
		a.deliver(s, shape, "", "")
	case l != "" && a.lines == a.lastAt+1 && !a.printed(shape) && kcsan.GoesOn(before):
		s.lines = append(s.lines, l)
		s.bytes += len(l)
		a.touch(s)
	}
}

// blank reports whether a line is a blank one of a stream, see form.blank.
func (a *Assembler) blank(s *stream, l string) bool {
	return slices.ContainsFunc(s.keys, func(k streamKey) bool {
		f := a.formOf(k.shape)
		return f != nil && f.blank(l)
	})
}

// printed reports whether lines of a form come from the kernel or a logger, which
// break none.
func (a *Assembler) printed(shape string) bool {
	f := a.formOf(shape)
	return f == nil || slices.ContainsFunc(f.tokens, func(t token) bool { return t.kind == stamp || t.kind == caller || t.kind == number })
}

// orphanIn handles the end of a report whose beginning is lost.
func (a *Assembler) orphanIn(l string, at int, m message) {
	f := learn(l[:at])
	_, who, _ := f.match(l, 0)
	if who == "" {
		who = m.caller
	}
	key := streamKey{f.shape, who, m.record}
	a.addForm(f)
	if ns, ok := bootTime(l[:at]); ok {
		m.time, m.timed = ns, true
	}
	a.orphan(key, l[at:], m, func(p *past) (string, bool) {
		end, by, ok := f.match(string(p.line), 0)
		return string(p.line[end:]), ok && !p.record && (by == who || by == "")
	})
}

// orphan collects what the log still has of such a report.
func (a *Assembler) orphan(key streamKey, text string, m message, own func(*past) (string, bool)) {
	var lines []string
	a.past.back(func(p *past) bool {
		l, ok := own(p)
		if !ok {
			return true
		}
		if strings.TrimSpace(l) != "" && !kcsan.Belongs(l) || strings.HasPrefix(l, reportedBy) || strings.HasPrefix(l, title) {
			return false
		}
		lines = append(lines, l)
		return true
	})
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	slices.Reverse(lines)
	s := a.open(key, text, m)
	s.headless, s.lines = true, append(lines, text)
}

// formOf returns the form with a shape.
func (a *Assembler) formOf(shape string) *form {
	for _, f := range a.forms {
		if f.shape == shape {
			return f
		}
	}
	return nil
}

// addForm makes lines of a form known. The stream whose form has waited longest
// goes when there are too many.
func (a *Assembler) addForm(f *form) {
	if a.formOf(f.shape) != nil {
		return
	}
	if len(a.forms) >= maxForms {
		a.dropForms()
	}
	for len(a.forms) >= maxForms {
		a.end(a.byAge()[0], false, "too many kinds of lines at once")
		a.dropForms()
	}
	a.forms = append(a.forms, f)
	slices.SortStableFunc(a.forms, func(f, g *form) int { return len(g.tokens) - len(f.tokens) })
}

// dropForms forgets the forms that no stream has; until then the next report
// finds its form known.
func (a *Assembler) dropForms() {
	a.forms = slices.DeleteFunc(a.forms, func(f *form) bool {
		for k := range a.streams {
			if k.shape == f.shape {
				return false
			}
		}
		return true
	})
}
