package identify

import "strings"

// What a text says of itself is found by hand: patterns would make the page's
// program a tenth larger.

// Bounds of what is quoted of a message.
const (
	maxQuote  = 120
	maxQuotes = 2
)

// quoted joins what stands behind the first openers, each up to close.
func quoted(s string, close byte, openers ...string) string {
	var parts []string
	for len(parts) < maxQuotes {
		at, rest := len(s), ""
		for _, o := range openers {
			if i := strings.Index(s, o); i >= 0 && i < at {
				at, rest = i, s[i+len(o):]
			}
		}
		if rest == "" {
			break
		}
		if n := strings.IndexByte(rest, close); n > 0 && n <= maxQuote {
			parts = append(parts, clean(rest[:n]))
		}
		s = rest
	}
	return strings.Join(parts, ": ")
}

// xmlFields quotes an object store's error: <Code>NoSuchKey</Code>.
func xmlFields(s string) string { return quoted(s, '<', "<Code>", "<Message>") }

// htmlTitle quotes a page's title.
func htmlTitle(s string) string {
	i := strings.Index(strings.ToLower(s), "<title")
	if i < 0 {
		return ""
	}
	_, rest, ok := strings.Cut(s[i:], ">")
	if title, _, closed := strings.Cut(rest, "<"); ok && closed {
		if title = strings.TrimSpace(title); len(title) <= maxQuote {
			return clean(title)
		}
	}
	return ""
}

// jsonKey gives what follows a key and its colon.
func jsonKey(s, key string) (value string, ok bool) {
	for {
		_, rest, found := strings.Cut(s, `"`+key+`"`)
		if !found {
			return "", false
		}
		if after, colon := strings.CutPrefix(strings.TrimLeft(rest, " \t\r\n"), ":"); colon {
			return strings.TrimLeft(after, " \t\r\n"), true
		}
		s = rest
	}
}

// jsonFields quotes a server's message.
func jsonFields(s string) string {
	var parts []string
	for _, key := range []string{"code", "Code", "error", "reason", "message", "Message"} {
		value, _ := jsonKey(s, key)
		text, ok := strings.CutPrefix(value, `"`)
		if n := strings.IndexByte(text, '"'); ok && n > 0 && n <= maxQuote && len(parts) < maxQuotes {
			parts = append(parts, clean(text[:n]))
		}
	}
	return strings.Join(parts, ": ")
}

// speaksOfError reports whether JSON, in lower case, has a key of an answer that
// is none.
func speaksOfError(s string) bool {
	for _, key := range []string{"error", "errors", "errorcode", "statuscode", "status", "message", "detail", "reason"} {
		if _, ok := jsonKey(s, key); ok {
			return true
		}
	}
	return false
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// stamped reports whether a line begins with the kernel's time stamp, perhaps
// behind its level: "<6>[   12.345678]".
func stamped(line string) bool {
	if rest, ok := strings.CutPrefix(line, "<"); ok {
		n := digits(rest)
		if n == 0 || !strings.HasPrefix(rest[n:], ">") {
			return false
		}
		line = rest[n+1:]
	}
	rest, ok := strings.CutPrefix(line, "[")
	rest = strings.TrimLeft(rest, " ")
	n := digits(rest)
	if !ok || n == 0 || !strings.HasPrefix(rest[n:], ".") {
		return false
	}
	rest = rest[n+1:]
	return digits(rest) == 6 && strings.HasPrefix(rest[6:], "]")
}

// isKernelLog reports whether a text has what only a kernel's log has.
func isKernelLog(s string) bool {
	if strings.Contains(s, "BUG: KCSAN") || strings.Contains(s, "kernel: ") {
		return true
	}
	for rest := s; ; {
		_, after, ok := strings.Cut(rest, "Linux version ")
		if !ok {
			break
		}
		if digits(after) > 0 {
			return true
		}
		rest = after
	}
	for line := range strings.Lines(s) {
		if stamped(line) {
			return true
		}
	}
	return false
}

func hexDigits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789abcdefABCDEF"))
}

// isHexDump tells a listing of bytes: an offset of seven or eight digits, then
// eight bytes in hexadecimal, with or without blanks between them.
func isHexDump(s string) bool {
	n := hexDigits(s)
	if n < 7 || n > 8 {
		return false
	}
	s = strings.TrimPrefix(s[n:], ":")
	rest := strings.TrimLeft(s, " \t")
	if rest == s {
		return false
	}
	for range 8 {
		if hexDigits(rest[:min(2, len(rest))]) < 2 {
			return false
		}
		rest = strings.TrimPrefix(rest[2:], " ")
	}
	return true
}
