package kcsan

import (
	"strconv"
	"strings"
)

// A prefix is what stands before the kernel's text in one line of a log.
type prefix struct {
	found  bool   // there was any
	caller string // "T42", "C3"; "" when the log does not say
	time   uint64 // nanoseconds since boot
	timed  bool
}

// Bounds of what is taken for a prefix.
const (
	maxLevel        = 3  // digits in "<3>"
	maxSeconds      = 12 // digits before the point of a time stamp
	maxCallerDigits = 10
	maxJournal      = 96 // where "kernel: " may begin in a line of the journal
)

// splitPrefix takes a log line apart. It knows the console's
// "<3>[   12.345678][   T42] text", the kernel's own /dev/kmsg records, dmesg
// with decoded levels or wall-clock times, and the system journal. The text of
// an unknown form is the whole line.
func splitPrefix(line string) (prefix, string) {
	if p, text, ok := splitKmsg(line); ok {
		return p, text
	}
	var p prefix
	rest := line
	if r, ok := cutLevel(rest); ok {
		p.found, rest = true, r
	} else if r, ok := cutJournal(rest); ok {
		p.found, rest = true, r
	}
	if ns, r, ok := cutTime(rest); ok {
		p.found, p.timed, p.time, rest = true, true, ns, r
	} else if r, ok := cutWallClock(rest); ok {
		p.found, rest = true, r
	} else {
		return p, rest
	}
	if c, r, ok := cutCaller(rest); ok {
		p.caller, rest = c, r
	}
	return p, strings.TrimPrefix(rest, " ")
}

// splitKmsg reads "level,sequence,microseconds,flags[,caller=T42];text",
// Documentation/ABI/testing/dev-kmsg.
func splitKmsg(line string) (prefix, string, bool) {
	head, text, ok := strings.Cut(line, ";")
	if !ok || len(head) > maxJournal {
		return prefix{}, "", false
	}
	fields := strings.Split(head, ",")
	if len(fields) < 4 || !digits(fields[0]) || !digits(fields[1]) {
		return prefix{}, "", false
	}
	us, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil || us > 1<<53 {
		return prefix{}, "", false
	}
	p := prefix{found: true, timed: true, time: us * 1000}
	for _, f := range fields[4:] {
		if c, ok := strings.CutPrefix(f, "caller="); ok && isCaller(c) {
			p.caller = c
		}
	}
	return p, text, true
}

// cutLevel removes "<3>" or the "kern  :err   : " of dmesg -x.
func cutLevel(s string) (string, bool) {
	if r, ok := strings.CutPrefix(s, "<"); ok {
		level, rest, ok := strings.Cut(r, ">")
		return rest, ok && len(level) <= maxLevel && digits(level)
	}
	const facility, level = 6, 6 // columns of util-linux
	if r, ok := strings.CutPrefix(s, "kern"); ok && len(s) > facility+level+4 &&
		strings.TrimLeft(r[:facility-len("kern")], " ") == "" && s[facility] == ':' &&
		s[facility+1+level:facility+level+4] == ": [" {
		return s[facility+level+3:], true
	}
	return "", false
}

// cutJournal removes "Nov 25 08:00:00 host kernel: ".
func cutJournal(s string) (string, bool) {
	i := strings.Index(s[:min(len(s), maxJournal)], " kernel: ")
	if i < 0 || s[0] == '[' || s[0] == ' ' {
		return "", false
	}
	return s[i+len(" kernel: "):], true
}

// cutTime removes "[   12.345678]".
func cutTime(s string) (ns uint64, rest string, ok bool) {
	body, rest, ok := cutBracket(s)
	if !ok {
		return 0, "", false
	}
	sec, frac, ok := strings.Cut(body, ".")
	if !ok || len(sec) > maxSeconds || len(frac) > 9 || !digits(sec) || !digits(frac) {
		return 0, "", false
	}
	whole, _ := strconv.ParseUint(sec, 10, 64)
	if whole > 1<<33 {
		return 0, "", false
	}
	part, _ := strconv.ParseUint((frac + "000000000")[:9], 10, 64)
	return whole*1e9 + part, rest, true
}

// cutWallClock removes "[Wed Nov 25 08:00:00 2026]".
func cutWallClock(s string) (rest string, ok bool) {
	body, rest, ok := cutBracket(s)
	return rest, ok && len(body) == len("Wed Nov 25 08:00:00 2026") && body[3] == ' ' &&
		body[13] == ':' && body[16] == ':'
}

// cutCaller removes "[   T42]".
func cutCaller(s string) (caller, rest string, ok bool) {
	body, rest, ok := cutBracket(s)
	return body, rest, ok && isCaller(body)
}

// cutBracket removes a leading "[…]" and returns its contents without leading
// blanks.
func cutBracket(s string) (body, rest string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return "", "", false
	}
	i := strings.IndexByte(s[:min(len(s), maxJournal)], ']')
	if i < 0 {
		return "", "", false
	}
	return strings.TrimLeft(s[1:i], " "), s[i+1:], true
}

// isCaller reports whether s is CONFIG_PRINTK_CALLER's name of a context: a
// thread or a CPU.
func isCaller(s string) bool {
	return len(s) > 1 && len(s) <= 1+maxCallerDigits && (s[0] == 'T' || s[0] == 'C') && digits(s[1:])
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
