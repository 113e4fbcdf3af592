package kcsan

import (
	"regexp"
	"strconv"
	"strings"
)

// How people and tools write a report's lines, on text whose blanks are
// squeezed. Go's expressions take linear time.
var (
	looseHead = regexp.MustCompile(`^(race at unknown origin, with )?((?:read|write|read-write|assert no writes|assert no accesses)(?: \([a-z, ]+\))?) to 0x([0-9a-fA-F]{1,16}) of (\d{1,18}) bytes by (?:task (-?\d{1,10})|interrupt|NMI)(?: on cpu (\d{1,6}))?:?$`)
	// begunHead is an access line whose end may be on the next line.
	begunHead = regexp.MustCompile(`^(?:race at unknown origin, with |(?:read|write|read-write|assert no (?:writes|accesses))\b)`)
	// placedFrame is scripts/decode_stacktrace.sh's "f (a/b.c:1 a/c.h:2) [mod]".
	placedFrame  = regexp.MustCompile(`^(?:\? )?([\w.$]+)(?: \[([^\]]+)\])? \(([^()\s]+:\d+[^)]*(?:\(discriminator \d+\)[^)]*)*)\)(?: \[?([\w-]+)\]?)?$`)
	inlinedFrame = regexp.MustCompile(`^([\w.$]+) \(([^()\s]+:\d+[^)]*)\) \(?inlined\)?$|^(?:\(inlined by\) )?([\w.$]+)(?: at)? (\S+:\d+) \[inline\]$`)
	spacedFrame  = regexp.MustCompile(`^(?:\? )?([\w.$]+)(?: \[([^\]]+)\])? ([\w./+-]+\.[a-zA-Z]{1,3}:\d+)$`)
	bareFrame    = regexp.MustCompile(`^[A-Za-z_][\w.$]*(?: \[[\w-]+\])?$`)
	bareAddress  = regexp.MustCompile(`^\[?<?(?:0x)?([0-9a-f]{8,16})>?\]?$`)
	oldAddress   = regexp.MustCompile(`^\[<[0-9a-f]+>\] `)
	looseValues  = regexp.MustCompile(`^value changed: 0x([0-9a-f]{1,16}) -> 0x([0-9a-f]{1,16})$`)
	looseMask    = regexp.MustCompile(`^bits changed: 0x([0-9a-f]{1,16}) with mask 0x([0-9a-f]{1,16})$`)
	looseLock    = regexp.MustCompile(`^#(\d{1,4}): (.+)$`)
	looseEvent   = regexp.MustCompile(`^(hardirqs|softirqs) last (enabled|disabled) at \((\d{1,10})\): (?:\[<([0-9a-f]{1,16})>\] )?(.+)$`)
	looseCPU     = regexp.MustCompile(`^CPU: (\d{1,6}) (?:UID: (\d{1,10}) )?PID: (-?\d{1,10})(?: Comm: (.*))?$`)
	looseTask    = regexp.MustCompile(`^(.*?) (?:(Kdump: loaded) )?(?:(Not tainted|Tainted: [A-Z](?: [A-Z])*) )?(\d+\.\d+\S*)(?: (#\S+))?( .*)?$`)
	// place is what a note begins with that names a line of a source file.
	place = regexp.MustCompile(`^\(?([\w./+-]+):(\d{1,7})\b`)
)

// squeeze puts one blank for every run of them.
func squeeze(s string) string {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "  ") || strings.IndexByte(s, '\t') >= 0 {
		return strings.Join(strings.Fields(s), " ")
	}
	return s
}

// loosely says what a line is, whatever was done to its blanks, and gives its
// text with blanks squeezed.
func loosely(line string) (class, string) {
	s := squeeze(line)
	switch {
	case s == "":
		return blankLine, s
	case strings.Contains(s, "BUG: KCSAN:"):
		return titleLine, s
	case len(s) >= minSeparator && strings.Trim(s, "=") == "":
		return separatorLine, s
	case strings.Contains(s, " bytes by ") && looseHead.MatchString(s):
		return headLine, s
	case s == "|":
		return pipeLine, s
	case strings.HasPrefix(s, "+-> reordered to:"):
		return arrowLine, s
	case strings.HasPrefix(s, "value changed:"):
		return valueLine, s
	case strings.HasPrefix(s, "bits changed:"):
		return maskLine, s
	case strings.HasPrefix(s, reportedBy[:len(reportedBy)-len(" on:")]):
		return reportedLine, s
	case strings.HasPrefix(s, "CPU: "):
		return cpuLine, s
	case strings.HasPrefix(s, hardwarePrefix), strings.HasPrefix(s, taintPrefix), knownFooterLine(s):
		return footerLine, s
	case strings.HasPrefix(s, irqStamp):
		return stampLine, s
	case strings.Contains(s, "irqs last ") && looseEvent.MatchString(s):
		return irqLine, s
	case s[0] == '#' && looseLock.MatchString(s):
		return lockLine, s
	case elision(s):
		return elidedLine, s
	}
	if _, ok := parseLocks(s); ok {
		return locksLine, s
	}
	// A frame has an offset or a place; what is long and has neither is none.
	if len(s) > maxBare && !strings.Contains(s, "+0x") && strings.IndexByte(s, ':') < 0 {
		return foreign, s
	}
	if f, _, ok := looseFrame(s); ok && (f.Symbol.Size != 0 || f.Note != "" || f.Symbol.Name == "") {
		return frameLine, s
	}
	return foreign, s
}

// maxBare is the longest line that may be an address alone.
const maxBare = len("[<0x0123456789abcdef>]")

// minSeparator is how many equal signs make a line of them a separator that
// somebody typed.
const minSeparator = 16

// elision reports whether a line stands for others that were left out.
func elision(s string) bool {
	if len(s) > maxElision {
		return false
	}
	t := strings.Trim(s, "[](){}<>-*#. \u2026")
	if t == "" {
		return strings.Contains(s, "..") || strings.Contains(s, "…")
	}
	switch strings.ToLower(t) {
	case "snip", "snipped", "skipped", "elided", "truncated", "cut", "trimmed", "omitted", "etc":
		return true
	}
	return false
}

// maxElision is the longest line that stands for others.
const maxElision = 40

// looseFrame reads a line of a trace; diff is what the text has instead of the
// kernel's %pS.
func looseFrame(s string) (f Frame, diff string, ok bool) {
	if strings.HasPrefix(s, "[<") {
		s = oldAddress.ReplaceAllString(s, "")
	}
	if f, ok = parseFrame(strings.TrimPrefix(s, "? ")); ok && !f.Inline {
		return f, "", true
	}
	if m := inlinedFrame.FindStringSubmatch(s); m != nil {
		name, where := m[1], m[2]
		if name == "" {
			name, where = m[3], m[4]
			return Frame{Note: s, Inline: true, Symbol: Symbol{}}, "", name != "" && where != ""
		}
		return Frame{Note: name + " " + where + " [inline]", Inline: true}, DiffPlaces, true
	}
	if m := spacedFrame.FindStringSubmatch(s); m != nil {
		return Frame{Symbol: Symbol{Name: m[1], Module: m[2]}, Note: m[3]}, DiffPlaces, true
	}
	if m := placedFrame.FindStringSubmatch(s); m != nil {
		return Frame{Symbol: Symbol{Name: m[1], Module: m[2] + m[4]}, Note: m[3]}, DiffPlaces, true
	}
	if m := bareAddress.FindStringSubmatch(s); m != nil {
		n, err := strconv.ParseUint(m[1], 16, 64)
		return Frame{Addr: n}, "", err == nil
	}
	if bareFrame.MatchString(s) {
		name, module, _ := strings.Cut(s, " [")
		return Frame{Symbol: Symbol{Name: name, Module: strings.TrimSuffix(module, "]")}}, DiffBare, true
	}
	return Frame{}, "", false
}

// Place returns the source file and line that a symboliser wrote to a frame, and
// for an inlined function its name: file "" when it wrote none.
func (f Frame) Place() (function, file string, line int) {
	note := f.Note
	function = f.Symbol.Name
	if f.Inline {
		note = strings.TrimPrefix(note, "(inlined by) ")
		name, rest, _ := strings.Cut(note, " ")
		function, note = name, strings.TrimPrefix(rest, "at ")
	}
	m := place.FindStringSubmatch(note)
	if m == nil {
		return function, "", 0
	}
	line, _ = strconv.Atoi(m[2])
	return function, m[1], line
}

// Placed reports whether the text gave the frame's offset and size. A frame that
// decode_stacktrace.sh wrote has a file and a line instead.
func (f Frame) Placed() bool { return f.Symbol.Name != "" && f.Symbol.Size != 0 }

// Belongs reports whether a report could have a line, apart from blank ones and
// separators, whatever was done to its blanks.
func Belongs(line string) bool {
	c, _ := loosely(line)
	return c != foreign && c != blankLine && c != separatorLine && c != elidedLine
}

// Typed reports whether a line is a separator of some other length than the
// kernel's.
func Typed(line string) bool {
	c, s := loosely(line)
	return c == separatorLine && s != Separator
}

// GoesOn reports whether a line of a report seems to be cut in two by a mail
// program, so that its rest may stand in the next without a prefix.
func GoesOn(line string) bool {
	switch c, s := loosely(line); c {
	case titleLine:
		_, names, _ := cutTitle(s)
		return names == "" || strings.HasSuffix(names, "/") || len(s) > minWrapped
	case foreign:
		return begunHead.MatchString(s) && strings.Contains(s, " to 0x") && !strings.HasSuffix(s, ":")
	case headLine:
		return !strings.HasSuffix(s, ":")
	case frameLine, cpuLine, footerLine, irqLine, lockLine, valueLine:
		return len(s) > minWrapped
	}
	return false
}

// minWrapped is the least length at which mail programs break lines.
const minWrapped = 56

// Tracing reports whether a line belongs to a stack trace of any kind that goes
// on below it: its head or a frame that is not a stack's first.
func Tracing(line string) bool {
	s := strings.TrimSpace(line)
	for _, head := range []string{"Call Trace:", "Call trace:", "<TASK>", "<IRQ>", "<NMI>", "<#"} {
		if strings.HasPrefix(s, head) {
			return true
		}
	}
	if !strings.HasPrefix(line, " ") {
		return false
	}
	f, _, ok := looseFrame(strings.TrimPrefix(squeeze(s), "? "))
	if !ok || !f.Placed() {
		return false
	}
	for _, root := range roots {
		if strings.HasPrefix(f.Symbol.Name, root) {
			return false
		}
	}
	return true
}

// roots are the functions at which stacks begin, on the processors that have
// KCSAN.
var roots = []string{"ret_from_fork", "entry_", "asm_", "secondary_startup", "common_startup", "__secondary_switched",
	"el0", "el1", "x86_64_start", "start_kernel", "ret_from_", "system_call", "ret_fast_syscall", "handle_", "kernel_init", "kthread+"}
