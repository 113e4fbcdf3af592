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
