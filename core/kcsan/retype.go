package kcsan

import (
	"slices"
	"strconv"
	"strings"
)

// A retyper reads one report that is not as the kernel printed it.
type retyper struct {
	c       Context
	items   []item
	rep     Report
	threads []*Thread
	diffs   []string
	foreign int
	last    int // the last item of the report

	title     string
	blanks    int  // blank lines inside
	wanted    int  // and how many the kernel would have printed
	bare      bool // the last frame had no offset
	verbose   bool // the current thread's locks have begun
	values    int
	reported  bool
	footer    bool
	gapBefore bool
	tail      class // of the last line of the report
}

// An item is a line and what it is.
type item struct {
	class
	raw, text string // as read; blanks squeezed
}

// retype reads lines as one report in other words. It answers false when they
// are not one, or when what differs has no name.
func retype(lines []string, c Context) (Reading, bool) {
	r := &retyper{c: c, diffs: slices.Concat(c.Differences, separators(c))}
	if !r.split(lines) || !r.walk() || !r.whole() {
		return Reading{}, false
	}
	r.compare()
	if len(r.diffs) == 0 {
		return Reading{}, false
	}
	out := Reading{Grade: GradeRetyped, Report: &r.rep, Differences: tidy(r.diffs), Foreign: r.foreign}
	for _, it := range r.items[:r.last+1] {
		out.Lines = append(out.Lines, clean(it.raw))
	}
	return out, true
}

func (r *retyper) differs(diff string) {
	if diff != "" && !slices.Contains(r.diffs, diff) {
		r.diffs = append(r.diffs, diff)
	}
}

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

// walk goes through the lines in the order in which they may come.
func (r *retyper) walk() bool {
	for i, it := range r.items {
		mine := true
		switch it.class {
		case titleLine:
			if i > 0 {
				return false
			}
			r.title = it.text
			r.wanted++
		case blankLine:
			mine = false
		case separatorLine:
			mine = false
			r.differs(DiffSeparator)
		case headLine:
			if !r.head(it) {
				return false
			}
		case reportedLine:
			if len(r.threads) == 0 || r.reported {
				return false
			}
			r.reported = true
			r.wanted++
		case cpuLine:
			if !r.reported && len(r.threads) == 0 {
				return false
			}
			if !r.cpu(it) {
				return false
			}
		case footerLine:
			mine = r.footerMore(it)
		case foreign:
			mine = false
		default:
			if len(r.threads) == 0 || r.reported {
				mine = false
				break
			}
			if !r.within(it) {
				return false
			}
		}
		if mine {
			r.last, r.tail, r.gapBefore = i, it.class, false
			continue
		}
		r.gapBefore = true
		if it.class != blankLine && it.class != separatorLine {
			r.items[i].class = foreign
		}
	}
	// What follows the report is not between its lines.
	for _, it := range r.items[:r.last] {
		switch it.class {
		case blankLine:
			r.blanks++
		case foreign:
			r.foreign++
		}
	}
	return true
}

// head begins a thread.
func (r *retyper) head(it item) bool {
	m := looseHead.FindStringSubmatch(it.text)
	unknown := m[1] != ""
	if r.reported || r.values > 0 || len(r.threads) == 2 || len(r.threads) == 1 && (unknown || r.rep.Other == nil) {
		return false
	}
	t := &Thread{}
	var ok bool
	if t.Type, ok = kinds[m[2]]; !ok {
		return false
	}
	t.Addr, _ = strconv.ParseUint(m[3], 16, 64)
	t.Size, _ = strconv.ParseUint(m[4], 10, 64)
	t.PID = InterruptPID
	if m[5] != "" {
		t.PID, _ = strconv.Atoi(m[5])
	}
	t.CPU, _ = strconv.Atoi(m[6])
	if m[6] == "" || !strings.HasSuffix(it.text, ":") {
		r.differs(DiffAccessLines)
	}
	if len(m[3]) < 16 {
		r.differs(DiffShort)
	}
	if strings.Contains(it.text, " NMI ") {
		r.differs(Diff2019)
	}
	if len(r.threads) == 1 {
		r.wanted++
	}
	if !unknown && len(r.threads) == 0 {
		r.rep.Other = t
	}
	r.threads = append(r.threads, t)
	r.verbose = false
	return true
}

// within reads a line that belongs to an access, or the values below both.
func (r *retyper) within(it item) bool {
	t := r.threads[len(r.threads)-1]
	switch it.class {
	case frameLine:
		f, diff, ok := looseFrame(it.text)
		if !ok || r.values > 0 {
			return false
		}
		if r.verbose {
			return true // where a lock was taken, a line of a symboliser's
		}
		// A word is a function's name only where no offsets follow: between
		// them it is somebody's line.
		if n := len(t.Trace.Frames); diff == "" && n > 0 && r.bare {
			return false
		}
		r.bare = diff == DiffBare
		if diff == "" && f.Note != "" {
			diff = DiffAnnotated
		}
		r.differs(diff)
		t.Trace.Frames = append(t.Trace.Frames, f)
		if len(t.Trace.Frames) > maxReadFrames {
			return false
		}
	case elidedLine:
		r.differs(DiffElided)
	case pipeLine:
	case arrowLine:
		_, to, _ := strings.Cut(it.text, "reordered to:")
		f, diff, ok := looseFrame(strings.TrimSpace(to))
		if !ok {
			return false
		}
		r.differs(diff)
		t.Trace.ReorderedTo = &f
	case locksLine:
		r.begin(t)
		t.Verbose.Locks, _ = parseLocks(it.text)
	case lockLine:
		if t.Verbose == nil {
			return false
		}
		m := looseLock.FindStringSubmatch(it.text)
		if strings.Contains(m[2], "[inline]") || place.MatchString(m[2][strings.LastIndex(m[2], " ")+1:]) {
			r.differs(DiffLocks)
		}
		t.Verbose.Locks.Held = append(t.Verbose.Locks.Held, m[2])
	case stampLine:
		r.begin(t)
		n, err := strconv.ParseUint(strings.TrimPrefix(it.text, irqStamp), 10, 32)
		t.Verbose.IRQ = &IRQTrace{Stamp: uint32(n)}
		return err == nil
	case irqLine:
		r.begin(t)
		return r.event(t, it.text)
	case valueLine:
		m := looseValues.FindStringSubmatch(it.text)
		if m == nil || r.values > 0 {
			return false
		}
		r.values++
		r.wanted++
		r.rep.Values = &Values{}
		return parseHex(m[1], &r.rep.Values.Old) && parseHex(m[2], &r.rep.Values.New)
	case maskLine:
		m := looseMask.FindStringSubmatch(it.text)
		return m != nil && r.rep.Values != nil && parseHex(m[2], &r.rep.Values.Mask)
	}
	return true
}

// maxReadFrames bounds a trace: what the kernel saves, and inlined functions of
// a symboliser in between.
const maxReadFrames = 8 * NumStackEntries

// begin starts the verbose block of a thread.
func (r *retyper) begin(t *Thread) {
	r.verbose = true
	if t.Verbose == nil {
		t.Verbose = &Verbose{}
		r.wanted++
	}
}

// event reads one of the four interrupt lines.
func (r *retyper) event(t *Thread, text string) bool {
	m := looseEvent.FindStringSubmatch(text)
	f, diff, ok := looseFrame(m[5])
	if !ok {
		return false
	}
	if diff != "" || f.Note != "" {
		r.differs(DiffLocks)
	}
	if t.Verbose.IRQ == nil {
		t.Verbose.IRQ = &IRQTrace{}
	}
	i := 0
	if m[1] == "softirqs" {
		i = 2
	}
	if m[2] == "disabled" {
		i++
	}
	e := t.Verbose.IRQ.events()[i]
	n, err := strconv.ParseUint(m[3], 10, 32)
	e.Stamp, e.Frame = uint32(n), f
	if m[4] != "" && e.Addr == 0 {
		parseHex(m[4], &e.Addr)
	}
	return err == nil
}

// cpu reads the footer's first line, whole or what is left of it.
func (r *retyper) cpu(it item) bool {
	if r.footer {
		return false // of another's trace
	}
	f := &r.rep.Footer
	if _, ok := f.parseCPULine(it.raw); ok {
		r.footer = true
		for _, d := range f.retouched() {
			r.differs(d)
		}
		return true
	}
	*f = Footer{}
	m := looseCPU.FindStringSubmatch(it.text)
	if m == nil {
		return false
	}
	r.footer = true
	f.CPU, _ = strconv.Atoi(m[1])
	uid, _ := strconv.ParseUint(m[2], 10, 32)
	f.UID = uint32(uid)
	f.PID, _ = strconv.Atoi(m[3])
	t := looseTask.FindStringSubmatch(m[4])
	if t == nil {
		f.Comm = m[4]
		r.differs(DiffFooter)
		return true
	}
	f.Comm, f.KdumpLoaded, f.Taint, f.Release, f.Build, f.Tail = t[1], t[2] != "", t[3], t[4], t[5], t[6]
	if f.Taint == "" || f.Build == "" {
		r.differs(DiffFooter)
	}
	if it.raw != it.text {
		r.differs(DiffSqueezed)
	}
	return true
}

// footerMore reads a further line of the footer; false: it is another's.
func (r *retyper) footerMore(it item) bool {
	f := &r.rep.Footer
	switch {
	case !r.reported && !r.footer:
		return false
	case strings.HasPrefix(it.text, taintPrefix) && f.Taints == "":
		f.Taints = it.text[len(taintPrefix):]
	case strings.HasPrefix(it.text, hardwarePrefix) && f.Hardware == "":
		f.Hardware = it.text[len(hardwarePrefix):]
	default:
		f.More = append(f.More, it.text)
	}
	return true
}

// whole judges whether what was read is one report.
func (r *retyper) whole() bool {
	rep := &r.rep
	switch len(r.threads) {
	case 1:
		if rep.Other != nil {
			return false
		}
	case 2:
	default:
		return false
	}
	rep.Own = *r.threads[len(r.threads)-1]
	for _, t := range r.threads {
		if len(t.Trace.Frames) == 0 {
			return false
		}
	}
	if !r.reported {
		// The second trace must be known to be over: a report that the kernel
		// was still printing is no report.
		over := r.c.Closed || r.footer || r.tail == elidedLine || !r.c.Opened && (r.values > 0 || r.gapBefore || !r.c.LogEnds)
		if !over {
			return false
		}
		r.differs(DiffNoFooter)
	} else if !r.footer {
		r.differs(DiffFooter)
	}
	if !r.c.Interleaved && r.foreign > 0 {
		return false
	}
	return r.titled() && r.versioned()
}

// titled compares the title with the traces.
func (r *retyper) titled() bool {
	kind, names, _ := cutTitle(r.title)
	switch kind {
	case "data-race":
		if r.rep.types()&AccessAssert != 0 {
			return false
		}
	case "assert: race":
		if r.rep.types()&AccessAssert == 0 {
			return false
		}
	case "racing read", "racing write":
		r.differs(Diff2019)
	default:
		return false
	}
	own := stripOffsets(r.rep.Own.Trace.Top().Func())
	if r.rep.Other == nil {
		return stripOffsets(names) == own
	}
	other := r.rep.Other.Trace.Top().Func()
	a, b, ok := strings.Cut(names, " / ")
	if !ok {
		if a, b, ok = strings.Cut(names, " and "); ok {
			r.differs(Diff2019)
		}
	}
	a, b = stripOffsets(a), stripOffsets(b)
	if !ok || !(a == other && b == own || a == own && b == other) {
		return false
	}
	first, _ := titleOrder(r.rep.Other.Trace.Top(), r.rep.Own.Trace.Top())
	// The order goes by the whole %pS, which a symboliser took away.
	exact := r.rep.Other.Trace.Top().Placed() && r.rep.Own.Trace.Top().Placed()
	return first.Func() == a || !exact || slices.Contains(r.diffs, Diff2019)
}

// versioned finds the version that prints these accesses.
func (r *retyper) versioned() bool {
	p := &parser{rep: r.rep}
	uid := false
	for _, it := range r.items {
		uid = uid || it.class == cpuLine && strings.Contains(it.text, " UID: ")
	}
	for _, v := range p.candidates(uid) {
		r.rep.Version = v
		if r.rep.nameable() != nil {
			continue
		}
		ok := true
		for i, t := range r.threads {
			name, _ := v.KindName(t.Type)
			ok = ok && strings.Contains(r.heads()[i].text, name+" to 0x")
		}
		if ok {
			return r.valued()
		}
	}
	return false
}

// heads returns the access lines.
func (r *retyper) heads() (out []item) {
	for _, it := range r.items {
		if it.class == headLine {
			out = append(out, it)
		}
	}
	return out
}

// valued checks the width of the values, which is the access's.
func (r *retyper) valued() bool {
	for _, it := range r.items {
		if m := looseValues.FindStringSubmatch(it.text); m != nil {
			return len(m[1]) == len(m[2]) && (r.rep.Own.Size > maxValueSize || len(m[1]) == int(2*r.rep.Own.Size))
		}
	}
	return true
}

// compare looks for what was done to blanks, between the first line and the
// last.
func (r *retyper) compare() {
	if r.foreign > 0 {
		r.differs(DiffOtherLines)
	}
	wanted := r.wanted
	if r.blanks < wanted {
		r.differs(DiffBlankLines)
	} else if r.blanks > wanted {
		r.differs(DiffMoreBlank)
	}
	for _, it := range r.items[:r.last+1] {
		trimmed := strings.TrimRight(it.raw, " \t")
		if trimmed != it.raw && it.class != cpuLine {
			r.differs(DiffTrailing)
		}
		indent, body := "", trimmed
		switch it.class {
		case frameLine, lockLine, maskLine:
			indent = " "
		case pipeLine, arrowLine:
			indent = "  "
		case foreign, blankLine, elidedLine:
			continue
		}
		body = strings.TrimLeft(trimmed, " \t")
		if trimmed[:len(trimmed)-len(body)] != indent {
			r.differs(DiffIndent)
		}
		if it.class == frameLine || it.class == headLine || it.class == titleLine || it.class == valueLine {
			if body != it.text {
				r.differs(DiffSqueezed)
			}
		}
	}
}
