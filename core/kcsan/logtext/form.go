package logtext

import (
	"strconv"
	"strings"
)

// A form is what stands before, and perhaps behind, the kernel's text in the
// lines of a log. It is learned from one line, by what stands left of a
// separator or title there, and fits every line that has the same in that place:
// numbers as numbers, stamps as stamps, callers as callers, words of severity
// and the calendar as such, all else as it is.
type form struct {
	shape  string // of the tokens; forms with the same shape are the same
	tokens []token
	// stamped: it begins with the kernel's own time stamp or caller, so that it
	// is found also behind what a program printed without ending its line.
	stamped bool
}

// A token is a piece of a prefix.
type token struct {
	kind tokenKind
	text string // of a literal
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	blanks             // one blank or more
	padding            // any number of blanks
	number             // digits, perhaps with a fraction
	stamp              // "[   12.345678]", "[Wed Nov 25 08:00:00 2026]", "[  +0.000001]"
	caller             // "[   T42]", or T42 behind an equal sign
	severity           // "err", "warn", "E"
	calendar           // "Nov", "Wed"
	matchTo            // grep's : or -
)

// Bounds of what is taken for a prefix.
const (
	maxPrefix  = 256
	maxBracket = 64
	maxCaller  = 11
)

var severities = map[string]bool{
	"emerg": true, "alert": true, "crit": true, "critical": true, "err": true, "error": true, "warn": true,
	"warning": true, "notice": true, "info": true, "debug": true, "panic": true, "fatal": true,
	"v": true, "d": true, "i": true, "w": true, "e": true, "f": true, "a": true,
}

var calendarWords = map[string]bool{
	"jan": true, "feb": true, "mar": true, "apr": true, "may": true, "jun": true, "jul": true, "aug": true, "sep": true,
	"oct": true, "nov": true, "dec": true, "mon": true, "tue": true, "wed": true, "thu": true, "fri": true, "sat": true, "sun": true,
}

// learn makes the form of lines that have the prefix p.
func learn(p string) *form {
	f := &form{}
	for i := 0; i < len(p); {
		t, n := nextToken(p, i)
		i += n
		if k := len(f.tokens) - 1; k >= 0 && t.kind == literal && f.tokens[k].kind == literal {
			f.tokens[k].text += t.text
			continue
		}
		f.tokens = append(f.tokens, t)
	}
	f.grep()
	var b strings.Builder
	for _, t := range f.tokens {
		b.WriteByte('A' + byte(t.kind))
		if t.kind == literal {
			b.WriteString(strconv.Quote(t.text))
		}
	}
	f.shape = b.String()
	f.stamped = len(f.tokens) > 0 && (f.tokens[0].kind == stamp || f.tokens[0].kind == caller)
	return f
}

// grep lets the colon of a matching line be the hyphen of its context (-A, -B,
// -C): "log:12:" and "log-13-".
func (f *form) grep() {
	t := f.tokens
	at := 0
	if len(t) > 2 && t[0].kind == literal && t[1].kind == number {
		at = 1
	}
	if len(t) < at+2 || t[at].kind != number || t[at+1].kind != literal || !matchSign(t[at+1].text[0]) {
		return
	}
	out := []token{{kind: number}, {kind: matchTo}}
	if at == 1 {
		file := t[0].text
		if !matchSign(file[len(file)-1]) || len(file) < 2 {
			return
		}
		out = append([]token{{kind: literal, text: file[:len(file)-1]}, {kind: matchTo}}, out...)
	}
	if rest := t[at+1].text[1:]; rest != "" {
		out = append(out, token{kind: literal, text: rest})
	}
	f.tokens = append(out, t[at+2:]...)
}

func matchSign(c byte) bool { return c == ':' || c == '-' }

// nextToken reads a token of a prefix at i.
func nextToken(p string, i int) (token, int) {
	switch c := p[i]; {
	case c == ' ' || c == '\t':
		n := blankRun(p, i)
		switch {
		case i+n == len(p):
			return token{kind: literal, text: p[i:]}, n
		case i > 0 && strings.IndexByte("[(<>", p[i-1]) >= 0 || p[i+n] == '>' || p[i+n] == ':':
			return token{kind: padding}, n
		}
		return token{kind: blanks}, n
	case c == '[':
		if end := strings.IndexByte(p[i:min(len(p), i+maxBracket)], ']'); end > 0 {
			inside := p[i+1 : i+end]
			switch {
			case isCaller(strings.TrimLeft(inside, " ")):
				return token{kind: caller}, end + 1
			case isStamp(inside):
				return token{kind: stamp}, end + 1
			}
		}
		return token{kind: literal, text: "["}, 1
	case isDigit(c):
		return token{kind: number}, numberRun(p, i)
	case isLetter(c):
		n := wordRun(p, i)
		word := p[i : i+n]
		switch {
		case i > 0 && p[i-1] == '=' && isCaller(word):
			return token{kind: caller, text: "="}, n
		case severities[strings.ToLower(word)] && (i == 0 || !isDigit(p[i-1])):
			return token{kind: severity}, n
		case calendarWords[strings.ToLower(word)]:
			return token{kind: calendar}, n
		}
		return token{kind: literal, text: word}, n
	}
	return token{kind: literal, text: p[i : i+1]}, 1
}

// blank reports whether a line is the prefix up to the kernel's own stamp: dmesg
// prints an empty record as an empty line, which diff or grep then put theirs
// before.
func (f *form) blank(l string) bool {
	for k, t := range f.tokens {
		if t.kind == stamp || t.kind == caller {
			outer := form{tokens: f.tokens[:k]}
			end, _, ok := outer.match(l, 0)
			return k > 0 && ok && end == len(l)
		}
	}
	return false
}

// match reports where the kernel's text begins in a line of this form that has
// its prefix at from, and who printed it. A blank line may have lost the blanks
// at its end.
func (f *form) match(l string, from int) (end int, who string, ok bool) {
	i := from
	for k, t := range f.tokens {
		if i == len(l) && k > 0 && f.onlyBlanks(k) {
			return i, who, true
		}
		switch t.kind {
		case literal:
			if strings.HasPrefix(l[i:], t.text) {
				i += len(t.text)
				break
			}
			// The last blanks of a prefix, at the end of a trimmed line.
			if rest := strings.TrimRight(t.text, " \t"); k == len(f.tokens)-1 && l[i:] == rest {
				return len(l), who, true
			}
			return 0, "", false
		case blanks, padding:
			n := blankRun(l, i)
			if n == 0 && t.kind == blanks && (k == 0 || f.tokens[k-1].kind != severity) {
				return 0, "", false
			}
			i += n
		case number:
			n := 0
			if i < len(l) && isDigit(l[i]) {
				n = numberRun(l, i)
			}
			if n == 0 {
				return 0, "", false
			}
			i += n
		case stamp, caller:
			n, name := 0, ""
			if t.text == "=" {
				n = wordRun(l, i)
				name = l[i : i+n]
				if !isCaller(name) {
					return 0, "", false
				}
			} else if n, name, ok = bracket(l, i, t.kind); !ok {
				return 0, "", false
			}
			if name != "" {
				who = name
			}
			i += n
		case severity, calendar:
			n := 0
			if i < len(l) && isLetter(l[i]) {
				n = wordRun(l, i)
			}
			word := strings.ToLower(l[i : i+n])
			if t.kind == severity && !severities[word] || t.kind == calendar && !calendarWords[word] {
				return 0, "", false
			}
			i += n
		case matchTo:
			if i == len(l) || !matchSign(l[i]) {
				return 0, "", false
			}
			i++
		}
	}
	return i, who, true
}

// onlyBlanks reports whether nothing but blanks stands in the form from token k
// on.
func (f *form) onlyBlanks(k int) bool {
	for _, t := range f.tokens[k:] {
		if t.kind != blanks && t.kind != padding && (t.kind != literal || strings.Trim(t.text, " \t") != "") {
			return false
		}
	}
	return true
}

// find looks for a stamped form behind something else, in at most maxGlue
// places.
func (f *form) find(l string) (end int, who string, ok bool) {
	if !f.stamped {
		return 0, "", false
	}
	at := 0
	for range maxGlue {
		i := strings.IndexByte(l[at:], '[')
		if i < 0 {
			return 0, "", false
		}
		at += i
		if at > 0 {
			if end, who, ok = f.match(l, at); ok {
				return end, who, true
			}
		}
		at++
	}
	return 0, "", false
}

// maxGlue is how many brackets are looked at behind a program's output.
const maxGlue = 8
