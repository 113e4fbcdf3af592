package logtext

import (
	"strconv"
	"strings"
)

// glued returns the prefix from the kernel's own stamp or caller on, and whether
// it has one.
func glued(p string) (string, bool) {
	for i := 0; i < len(p); i++ {
		if p[i] != '[' {
			continue
		}
		if n, _, ok := bracket(p, i, stamp); ok && kernelStamp(p[i+1:i+n-1]) {
			return p[i:], true
		}
		if _, _, ok := bracket(p, i, caller); ok {
			return p[i:], true
		}
	}
	return "", false
}

// bracket reads "[…]" at i, as a stamp or a caller.
func bracket(l string, i int, kind tokenKind) (n int, who string, ok bool) {
	if i >= len(l) || l[i] != '[' {
		return 0, "", false
	}
	end := strings.IndexByte(l[i:min(len(l), i+maxBracket)], ']')
	if end < 0 {
		return 0, "", false
	}
	inside := l[i+1 : i+end]
	if kind == caller {
		who = strings.TrimLeft(inside, " ")
		return end + 1, who, isCaller(who)
	}
	return end + 1, "", isStamp(inside)
}

// isStamp reports whether what stands in brackets is a time: numbers, signs and
// words of the calendar.
func isStamp(s string) bool {
	seen := false
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case isDigit(c):
			seen = true
			i++
		case strings.IndexByte(" +-:.,/<>", c) >= 0:
			i++
		case isLetter(c):
			n := wordRun(s, i)
			for n > 1 && isDigit(s[i+n-1]) { // "Nov25", "T08"
				n--
			}
			word := s[i : i+n]
			if !calendarWords[strings.ToLower(word)] && word != "T" && word != "Z" && word != "UTC" {
				return false
			}
			i += n
		default:
			return false
		}
	}
	return seen
}

// kernelStamp reports whether a bracket holds printk's "%5lu.%06lu".
func kernelStamp(inside string) bool {
	sec, frac, ok := strings.Cut(strings.TrimLeft(inside, " "), ".")
	return ok && len(frac) == microDigits && digits(frac) && digits(sec)
}

// microDigits are the digits behind the point of the kernel's time, and
// secondsWidth the columns before it (printk_sprint, print_time).
const (
	microDigits  = 6
	secondsWidth = 5
)

// squeezed reports whether blanks were taken out of a prefix: the kernel's time
// and caller have a least width.
func squeezed(p string) bool {
	for i := 0; i < len(p); i++ {
		if p[i] != '[' {
			continue
		}
		if n, _, ok := bracket(p, i, stamp); ok {
			inside := p[i+1 : i+n-1]
			if kernelStamp(inside) && len(inside) < secondsWidth+1+microDigits {
				return true
			}
		}
	}
	return false
}

// bootTime reads the time since boot from a prefix: the kernel's stamp, or the
// third number of a /dev/kmsg record.
func bootTime(p string) (ns uint64, ok bool) {
	for i := 0; i < len(p); i++ {
		if p[i] != '[' {
			continue
		}
		if n, _, ok := bracket(p, i, stamp); ok {
			inside, _, _ := strings.Cut(p[i+1:i+n-1], "<") // dmesg -d
			if inside = strings.Trim(inside, " "); kernelStamp(inside) {
				sec, frac, _ := strings.Cut(inside, ".")
				return nanoseconds(sec, frac)
			}
		}
	}
	head, ok := strings.CutSuffix(p, ";")
	if !ok {
		return 0, false
	}
	fields := strings.Split(head, ",")
	for i, f := range fields {
		// level,sequence,microseconds,flags: the flags are the first that is
		// no number.
		if i >= 3 && (f == "-" || f == "c" || f == "+") && digits(fields[i-1]) {
			us, err := strconv.ParseUint(fields[i-1], 10, 64)
			return us * 1000, err == nil && us < 1<<53
		}
	}
	return 0, false
}

// nanoseconds puts seconds and their fraction together.
func nanoseconds(sec, frac string) (uint64, bool) {
	s, err := strconv.ParseUint(sec, 10, 64)
	if err != nil || s > 1<<33 || len(frac) > 9 {
		return 0, false
	}
	part, err := strconv.ParseUint((frac + "000000000")[:9], 10, 64)
	return s*1e9 + part, err == nil
}

// isCaller reports whether s is CONFIG_PRINTK_CALLER's name of a context: a
// thread or a CPU.
func isCaller(s string) bool {
	return len(s) > 1 && len(s) <= maxCaller && (s[0] == 'T' || s[0] == 'C') && digits(s[1:])
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// blankRun counts the blanks at i.
func blankRun(s string, i int) int {
	n := 0
	for i+n < len(s) && (s[i+n] == ' ' || s[i+n] == '\t') {
		n++
	}
	return n
}

// numberRun counts the bytes of a number at i: digits, and a fraction.
func numberRun(s string, i int) int {
	n := 0
	for i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	if i+n+1 < len(s) && s[i+n] == '.' && isDigit(s[i+n+1]) {
		n++
		for i+n < len(s) && isDigit(s[i+n]) {
			n++
		}
	}
	return n
}

// wordRun counts the bytes of a word at i, which begins with a letter. Digits
// and hyphens belong to it ("vm-1", "kworker"), but not behind a number: there
// the letter is a separator ("25T08").
func wordRun(s string, i int) int {
	afterNumber := i > 0 && isDigit(s[i-1])
	n := 0
	for i+n < len(s) {
		c := s[i+n]
		if isLetter(c) || !afterNumber && isDigit(c) {
			n++
			continue
		}
		if c == '-' && n > 0 && i+n+1 < len(s) && (isLetter(s[i+n+1]) || isDigit(s[i+n+1])) && !afterNumber {
			n++
			continue
		}
		break
	}
	return n
}
