package kcsan

import (
	"fmt"
	"slices"
	"strings"
)

// class says what a line can be in a report.
type class uint8

const (
	foreign class = iota
	blankLine
	titleLine
	headLine
	frameLine
	pipeLine
	arrowLine
	locksLine
	lockLine
	stampLine
	irqLine
	valueLine
	maskLine
	// Below "Reported by", or not the kernel's; see loosely.
	reportedLine
	cpuLine
	footerLine
	elidedLine
	separatorLine
)

// classify looks at a line above "Reported by".
func classify(s string) class {
	switch {
	case s == "":
		return blankLine
	case strings.HasPrefix(s, titlePrefix):
		return titleLine
	case s == reorderedPipe:
		return pipeLine
	case strings.HasPrefix(s, reorderedArrow):
		return arrowLine
	case strings.HasPrefix(s, valueChanged):
		return valueLine
	case strings.HasPrefix(s, bitsChanged):
		return maskLine
	case strings.HasPrefix(s, irqStamp):
		return stampLine
	}
	for _, name := range irqEventNames {
		if strings.HasPrefix(s, name) {
			return irqLine
		}
	}
	if _, ok := parseLock(s); ok {
		return lockLine
	}
	if _, ok := parseLocks(s); ok {
		return locksLine
	}
	// Damaged numbers and names must not make it another caller's line.
	if strings.Contains(s, " to 0x") && strings.Contains(s, " bytes by ") {
		return headLine
	}
	if f, ok := strings.CutPrefix(s, " "); ok {
		if _, ok := parseFrame(f); ok {
			return frameLine
		}
	}
	return foreign
}

// A parser reads the lines of one report, without separators.
type parser struct {
	lines   []string
	classes []class
	at      int
	rep     Report
	foreign int // lines of others that were left out
	blanks  int // of them, blank ones
}

// A fragmentError says why lines are not a whole report.
type fragmentError string

func (e fragmentError) Error() string { return string(e) }

// maxQuoted is how much of a line a reason repeats.
const maxQuoted = 160

// fragmentf makes a reason; a line in it is cut to what is needed to find it.
func fragmentf(format string, args ...any) error {
	for i, a := range args {
		if s, ok := a.(string); ok && len(s) > maxQuoted {
			args[i] = s[:maxQuoted] + "…"
		}
	}
	return fragmentError(clean(fmt.Sprintf(format, args...)))
}

// parseLines makes a report of the lines between two separators. tolerant
// leaves out lines that cannot belong to it, for logs that do not say who
// printed what. The report is whole only if it prints as the lines it came
// from.
func parseLines(lines []string, tolerant bool) (*parser, error) {
	p := &parser{}
	end := slices.Index(lines, reportedBy)
	if end < 0 {
		return p, fragmentf("cut off before %q", reportedBy)
	}
	p.lines = lines[:end:end]
	if err := p.classifyAll(tolerant); err != nil {
		return p, err
	}
	if err := p.body(); err != nil {
		return p, err
	}
	footer, uid, err := p.footer(lines[end+1:], tolerant)
	if err != nil {
		return p, err
	}
	want := slices.Concat([]string{Separator}, p.lines, []string{reportedBy}, footer, []string{Separator})
	for _, v := range p.candidates(uid) {
		p.rep.Version = v
		if got, err := p.rep.Lines(); err == nil && slices.Equal(got, want) {
			return p, nil
		}
	}
	p.rep.Version = p.candidates(uid)[0]
	return p, p.difference(want)
}

// difference names the first line that does not follow from the fields.
func (p *parser) difference(want []string) error {
	got, err := p.rep.Lines()
	if err != nil {
		return fragmentf("no version prints this: %v", err)
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fragmentf("the rest of the report does not agree with the line %q", want[i])
		}
	}
	return fragmentf("lines are missing")
}

// candidates are the versions that may have printed the report, the one of its
// release first.
func (p *parser) candidates(uid bool) []Version {
	first, _ := VersionOf(p.rep.Footer.Release)
	all := []Version{first}
	for v := versions; v > 0; v-- {
		if v-1 != first && (v-1).Features().FooterUID == uid {
			all = append(all, v-1)
		}
	}
	return all
}

// classifyAll classifies the lines and, when tolerant, leaves out what is not
// the report's.
func (p *parser) classifyAll(tolerant bool) error {
	kept := p.lines[:0:0]
	for _, l := range p.lines {
		c := classify(l)
		if c == foreign {
			if !tolerant {
				return fragmentf("the line %q is not part of a report", l)
			}
			if tracing(l) {
				return fragmentf(mixed)
			}
			if c, text := loosely(l); c != foreign && c != separatorLine || l[0] == ' ' && bareFrame.MatchString(text) {
				return fragmentf("the line %q is not the kernel's", l)
			}
			p.foreign++
			continue
		}
		kept = append(kept, l)
		p.classes = append(p.classes, c)
	}
	p.lines = kept
	p.dropBlanks()
	return nil
}

// mixed is the reason where two traces cannot be told apart.
const mixed = "another stack trace is mixed in and the log does not say who printed it"

// tracing reports whether a line begins a trace that is not a report's.
func tracing(l string) bool {
	return strings.Contains(l, "Call Trace:") || strings.Contains(l, "Call trace:") ||
		strings.Contains(l, "<TASK>") || strings.Contains(l, "<IRQ>")
}

// named reports whether a line has the form of the footer's, "Workqueue: …".
func named(l string) bool {
	name, _, ok := strings.Cut(l, ": ")
	return ok && name != "" && name[0] >= 'A' && name[0] <= 'Z' && !strings.ContainsAny(name, "[]()+/") && len(name) < 32
}

// dropBlanks leaves out blank lines that are not the report's: those before
// lines which continue what stands above them.
func (p *parser) dropBlanks() {
	n := 0
	for i, c := range p.classes {
		if c == blankLine && i+1 < len(p.classes) {
			switch p.classes[i+1] {
			case blankLine, frameLine, pipeLine, arrowLine, lockLine, irqLine, maskLine:
				p.foreign++
				p.blanks++
				continue
			}
		}
		p.lines[n], p.classes[n] = p.lines[i], c
		n++
	}
	p.lines, p.classes = p.lines[:n], p.classes[:n]
}

// peek returns the class of the line i ahead.
func (p *parser) peek(i int) class {
	if p.at+i < len(p.classes) {
		return p.classes[p.at+i]
	}
	return foreign
}

// next takes a line if it is of class c.
func (p *parser) next(c class) (string, bool) {
	if p.at < len(p.classes) && p.classes[p.at] == c {
		p.at++
		return p.lines[p.at-1], true
	}
	return "", false
}

// unexpected is the error for the line at hand.
func (p *parser) unexpected(want string) error {
	if p.at >= len(p.lines) {
		return fragmentf("cut off: %s expected", want)
	}
	return fragmentf("%s expected instead of the line %q", want, p.lines[p.at])
}

// body is R4 up to "Reported by".
func (p *parser) body() error {
	if _, ok := p.next(titleLine); !ok {
		return p.unexpected("the title")
	}
	if _, ok := p.next(blankLine); !ok {
		return p.unexpected("a blank line")
	}
	unknown, err := p.thread(&p.rep.Own)
	if err != nil {
		return err
	}
	if !unknown {
		other := p.rep.Own
		p.rep.Other, p.rep.Own = &other, Thread{}
		if _, ok := p.next(blankLine); !ok {
			return p.unexpected("a blank line")
		}
		if _, err = p.thread(&p.rep.Own); err != nil {
			return err
		}
	}
	if p.peek(0) == blankLine && p.peek(1) == valueLine {
		p.at++
		if err := p.values(); err != nil {
			return err
		}
	}
	if _, ok := p.next(blankLine); !ok || p.at != len(p.lines) {
		return p.unexpected("the footer")
	}
	return nil
}

// thread reads a headline and what belongs to it.
func (p *parser) thread(t *Thread) (unknown bool, err error) {
	head, ok := p.next(headLine)
	if !ok {
		return false, p.unexpected("an access")
	}
	if t.Access, unknown, ok = parseHeadline(head); !ok {
		return false, fragmentf("the line %q is not an access", head)
	}
	for {
		l, ok := p.next(frameLine)
		if !ok {
			break
		}
		f, _ := parseFrame(l[1:])
		t.Trace.Frames = append(t.Trace.Frames, f)
	}
	if _, ok := p.next(pipeLine); ok {
		l, _ := p.next(arrowLine)
		f, ok := parseFrame(strings.TrimPrefix(l, reorderedArrow))
		if !ok {
			return unknown, p.unexpected("where the access was reordered to")
		}
		t.Trace.ReorderedTo = &f
	}
	if p.peek(0) == blankLine && p.peek(1) == locksLine {
		p.at++
		t.Verbose = &Verbose{}
		return unknown, p.verbose(t.Verbose)
	}
	return unknown, nil
}

func (p *parser) verbose(v *Verbose) error {
	l, _ := p.next(locksLine)
	v.Locks, _ = parseLocks(l)
	for {
		l, ok := p.next(lockLine)
		if !ok {
			break
		}
		lock, _ := parseLock(l)
		v.Locks.Held = append(v.Locks.Held, lock)
	}
	l, ok := p.next(stampLine)
	if !ok {
		return nil
	}
	v.IRQ = &IRQTrace{}
	if v.IRQ.Stamp, ok = parseStamp(l); !ok {
		return fragmentf("the line %q has no number", l)
	}
	for i, e := range v.IRQ.events() {
		l, _ := p.next(irqLine)
		if *e, ok = parseIRQEvent(l, irqEventNames[i]); !ok {
			return p.unexpected("an interrupt event")
		}
	}
	return nil
}

func (p *parser) values() error {
	l, _ := p.next(valueLine)
	v, ok := parseValues(l)
	if m, has := p.next(maskLine); ok && has {
		ok = parseMask(m, &v)
	}
	p.rep.Values = &v
	if !ok {
		return fragmentf("the line %q has no two values", l)
	}
	return nil
}

// footer reads the lines below "Reported by" and returns those that are the
// report's.
func (p *parser) footer(lines []string, tolerant bool) (kept []string, uid bool, err error) {
	f := &p.rep.Footer
	ok := false
	for i, l := range lines {
		switch {
		case !ok:
			if uid, ok = f.parseCPULine(l); !ok {
				if tolerant {
					p.foreign++
					continue
				}
				return nil, false, fragmentf("the line %q is no footer", l)
			}
		case i > 0 && f.Taints == "" && uid && f.Hardware == "" && f.More == nil && strings.HasPrefix(l, taintPrefix):
			f.Taints = l[len(taintPrefix):]
		case f.Hardware == "" && f.More == nil && strings.HasPrefix(l, hardwarePrefix):
			f.Hardware = l[len(hardwarePrefix):]
		case tolerant && !knownFooterLine(l):
			if tracing(l) {
				return nil, false, fragmentf(mixed)
			}
			p.foreign++
			continue
		case !named(l):
			return nil, false, fragmentf("the line %q is no footer", l)
		default:
			f.More = append(f.More, l)
		}
		kept = append(kept, l)
	}
	if !ok {
		return nil, false, fragmentf("cut off: the footer expected")
	}
	return kept, uid, nil
}
