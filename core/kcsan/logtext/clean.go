package logtext

import "strings"

// Control characters of terminals and logs, ECMA-48.
const (
	esc = 0x1b
	bel = 0x07
)

// stripped takes out of a line what drives a terminal: escape sequences, also
// as "^[[0m" of cat -v, NUL bytes, carriage returns at its ends (also as "^M").
// Returns inside are left: what was printed over is still there.
func stripped(l string) string {
	l = strings.Trim(l, "\r\x00")
	for strings.HasSuffix(l, "^M") {
		l = strings.TrimRight(strings.TrimSuffix(l, "^M"), "\r")
	}
	if strings.IndexByte(l, esc) < 0 && strings.IndexByte(l, 0) < 0 && !strings.Contains(l, "^[[") {
		return l
	}
	var b strings.Builder
	b.Grow(len(l))
	for i := 0; i < len(l); {
		switch n := sequence(l[i:]); {
		case n > 0:
			i += n
		case l[i] == 0:
			i++
		default:
			b.WriteByte(l[i])
			i++
		}
	}
	out := strings.Trim(b.String(), "\r")
	if strings.Contains(l, title) && !strings.Contains(out, title) {
		return strings.ReplaceAll(l, "\x1b", "") // a sequence that was cut off ate into it
	}
	return out
}

// sequence returns the length of the escape sequence that s begins with, 0 when
// it begins with none.
func sequence(s string) int {
	if strings.HasPrefix(s, "^[[") {
		if n := controlSequence(s[3:]); n > 0 {
			return 3 + n
		}
		return 0
	}
	if len(s) < 2 || s[0] != esc {
		return 0
	}
	switch c := s[1]; {
	case c == '[':
		if n := controlSequence(s[2:]); n > 0 {
			return 2 + n
		}
	case c == ']' || c == '_' || c == 'P' || c == '^': // a string, to BEL or ESC \
		for i := 2; i < min(len(s), maxPrefix); i++ {
			if s[i] == bel {
				return i + 1
			}
			if s[i] == esc && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
	case c == '(' || c == ')' || c == '#':
		return min(3, len(s))
	case strings.IndexByte("=>78cDEHMZ", c) >= 0:
		return 2
	}
	return 0
}

// controlSequence counts the bytes behind "ESC [" up to the final one.
func controlSequence(s string) int {
	for i := 0; i < min(len(s), maxBracket); i++ {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return 0
		}
	}
	return 0
}
