package logtext

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonReader takes the messages out of logs that are JSON: an object a line,
// a document over many, the same in one line of megabytes. It does not know the
// tools: the key under which a separator or title stands is the messages' key
// from then on. What does not go on as JSON is given back as text.
type jsonReader struct {
	depth  int
	state  jsonState
	str    []byte // the string or bare word at hand
	key    string // the last key
	isKey  bool   // the string at hand may be one
	low    rune   // the first half of a surrogate pair
	escape []byte // behind a backslash
	octets []byte // of an array of numbers, the journal's form of a message that is not UTF-8
	array  bool   // inside of one
	last   byte   // the last character that counted

	keys    map[string]bool // where messages are
	pending []string        // messages of the object at hand
	size    int
	time    uint64
	timed   bool
	caller  string
}

type jsonState uint8

const (
	jsonBetween jsonState = iota
	jsonString
	jsonEscape
	jsonWord
)

// Bounds of what is kept of a document.
const (
	maxJSONString = 64 << 10
	maxJSONWord   = 32
	maxJSONKeys   = 8
	maxJSONDepth  = 1000
)

// message is what a reader of records found.
type message struct {
	text   string
	time   uint64
	timed  bool
	caller string
	record bool // it was not a line of text
}

// jsonBegins reports whether a line begins a JSON document, and where: behind
// blanks, the mark of a JSON sequence (RFC 7464), "data: " of server-sent events,
// a list's hyphen, or any prefix when the line is an object to its end.
func jsonBegins(l string) (at int, ok bool) {
	t := strings.TrimLeft(l, " \t\x1e-,")
	t = strings.TrimPrefix(t, "data: ")
	at = len(l) - len(t)
	switch {
	case t == "{" || t == "[":
		return at, true
	case strings.HasPrefix(t, "{") || strings.HasPrefix(t, "["):
		rest := strings.TrimLeft(t[1:], " \t")
		return at, rest != "" && (t[0] == '{' && (rest[0] == '"' || rest[0] == '}') || t[0] == '[' && (rest[0] == '{' || rest[0] == '"'))
	}
	if i := strings.Index(l, `{"`); i > 0 && i <= maxPrefix && strings.HasSuffix(strings.TrimRight(l, " \t"), "}") {
		return i, true
	}
	return 0, false
}

// feed reads a piece of a document. It answers false where the text does not
// go on as JSON.
func (j *jsonReader) feed(s string, visit func(message)) bool {
	for i := 0; i < len(s); i++ {
		if !j.step(s[i], visit) {
			return false
		}
	}
	return true
}

// endLine is a line's end: between tokens a blank, inside a string an error.
func (j *jsonReader) endLine(visit func(message)) bool { return j.step('\n', visit) }

// inside reports whether a document is open.
func (j *jsonReader) inside() bool { return j.depth > 0 }

// reset forgets the document, but not where messages are.
func (j *jsonReader) reset(visit func(message)) {
	j.flush(visit)
	*j = jsonReader{keys: j.keys}
}

func (j *jsonReader) step(c byte, visit func(message)) bool {
	if len(j.str) >= maxJSONString && j.state == jsonString {
		j.spill(visit)
	}
	switch j.state {
	case jsonString:
		switch {
		case c == '"':
			j.state = jsonBetween
			return j.endString(visit)
		case c == '\\':
			j.state, j.escape = jsonEscape, j.escape[:0]
		case c < ' ' && c != '\t':
			return false
		default:
			j.put(c)
		}
		return true
	case jsonEscape:
		return j.unescape(c)
	case jsonWord:
		if isDigit(c) || isLetter(c) || c == '.' || c == '-' || c == '+' {
			if len(j.str) < maxJSONWord {
				j.str = append(j.str, c)
			}
			return true
		}
		if !j.endWord() {
			return false
		}
	}
	return j.between(c, visit)
}

// between reads a character outside of strings and words.
func (j *jsonReader) between(c byte, visit func(message)) bool {
	switch c {
	case ' ', '\t', '\n', '\r':
		return true
	case '"':
		j.state, j.str, j.low = jsonString, j.str[:0], 0
		j.isKey = j.last == '{' || j.last == ','
		return true
	case '{', '[':
		j.depth++
		j.array, j.octets = c == '[', j.octets[:0]
	case '}', ']':
		j.depth--
		if c == ']' && j.array && len(j.octets) > 0 {
			j.value(string(j.octets), visit)
		}
		j.array = false
		if c == '}' {
			j.flush(visit)
		}
	case ':', ',':
	default:
		if isDigit(c) || c == '-' || c == 't' || c == 'f' || c == 'n' {
			j.state, j.str = jsonWord, append(j.str[:0], c)
			return true
		}
		return false
	}
	j.last = c
	return j.depth >= 0 && j.depth <= maxJSONDepth
}

func (j *jsonReader) put(c byte) { j.str = append(j.str, c) }

// spill gives the lines of a string that is too long to be kept, and keeps what
// may be the beginning of one.
func (j *jsonReader) spill(visit func(message)) {
	cut := bytes.LastIndexByte(j.str, '\n') + 1
	if cut == 0 {
		cut = len(j.str) - len(title)
	}
	j.value(string(j.str[:cut]), visit)
	j.str = append(j.str[:0], j.str[cut:]...)
}

// unescape reads a byte behind a backslash.
func (j *jsonReader) unescape(c byte) bool {
	if len(j.escape) == 0 {
		j.state = jsonString
		switch c {
		case 'n', 'r', 't', 'b', 'f':
			j.put(map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}[c])
		case '"', '\\', '/':
			j.put(c)
		case 'u':
			j.state, j.escape = jsonEscape, append(j.escape, c)
		default:
			return false
		}
		return true
	}
	if hexDigit(c) < 0 {
		return false
	}
	if j.escape = append(j.escape, c); len(j.escape) < len("uXXXX") {
		return true
	}
	n, _ := strconv.ParseUint(string(j.escape[1:]), 16, 32)
	j.state, j.escape = jsonString, j.escape[:0]
	r := rune(n)
	if utf16.IsSurrogate(r) {
		if j.low == 0 {
			j.low = r
			return true
		}
		r = utf16.DecodeRune(j.low, r)
	}
	j.low = 0
	for _, b := range utf8.AppendRune(nil, r) {
		j.put(b)
	}
	return true
}

// endString ends a key or a value.
func (j *jsonReader) endString(visit func(message)) bool {
	s := string(j.str)
	if j.isKey && !j.array {
		j.key, j.last = s[:min(len(s), maxBracket)], 'k'
		if strings.Contains(s, title) {
			j.value(s, visit)
		}
		return true
	}
	j.last = 'v'
	j.value(s, visit)
	return true
}

// value takes a value for a message, a time or a caller, by its key.
func (j *jsonReader) value(s string, visit func(message)) {
	switch {
	case j.keys[j.key]:
	case strings.Contains(s, title) || strings.Contains(s, kcsan66) || strings.Contains(s, reportedBy):
		if j.keys == nil {
			j.keys = map[string]bool{}
		}
		if len(j.keys) < maxJSONKeys {
			j.keys[j.key] = true
		}
	default:
		switch j.key {
		case "__MONOTONIC_TIMESTAMP", "_SOURCE_MONOTONIC_TIMESTAMP": // microseconds
			if us, err := strconv.ParseUint(s, 10, 64); err == nil && us < 1<<53 {
				j.time, j.timed = us*1000, true
			}
		case "caller": // dmesg of util-linux 2.40
			if isCaller(s) {
				j.caller = s
			}
		}
		return
	}
	j.pending = append(j.pending, s)
	if j.size += len(s); j.size > maxJSONString {
		j.flush(visit)
	}
}

// endWord ends a number or a name. Numbers of an array are bytes.
func (j *jsonReader) endWord() bool {
	j.state = jsonBetween
	w := string(j.str)
	switch w {
	case "true", "false", "null":
		j.last = 'v'
		return true
	}
	if !isDigit(w[len(w)-1]) {
		return false
	}
	if j.array {
		if n, err := strconv.ParseUint(w, 10, 8); err == nil && len(j.octets) < maxJSONString {
			j.octets = append(j.octets, byte(n))
		}
		j.last = 'v'
		return true
	}
	if sec, frac, ok := strings.Cut(w, "."); ok && j.key == "time" { // dmesg --json
		j.time, j.timed = nanoseconds(sec, frac[:min(len(frac), 9)])
	}
	j.last = 'v'
	return true
}

// flush gives the messages of an object.
func (j *jsonReader) flush(visit func(message)) {
	for _, s := range j.pending {
		for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
			visit(message{line, j.time, j.timed, j.caller, true})
		}
	}
	j.pending, j.size, j.time, j.timed, j.caller = nil, 0, 0, false, ""
}
