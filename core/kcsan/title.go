package kcsan

import "strings"

// titlePrefix begins the title line of every report.
const titlePrefix = "BUG: KCSAN: "

// TitleLine is R3: the report's second line. Two frames are shown without
// offsets, ordered by their %pS strings; the frame of an unknown-origin race is
// shown with its offset.
func (r *Report) TitleLine() string {
	return titlePrefix + r.titleText(Frame.String)
}

// Title returns the title for grouping: the title line without "BUG: KCSAN: "
// and without any offset, so that all reports of one race have the same.
func (r *Report) Title() string { return r.titleText(Frame.Func) }

// titleText builds the title; single formats the frame of an unknown-origin
// race.
func (r *Report) titleText(single func(Frame) string) string {
	kind, own := BugKind(r.types()), r.Own.Trace.Top()
	if r.Other == nil {
		return clean(kind + " in " + single(own))
	}
	first, second := titleOrder(r.Other.Trace.Top(), own)
	return clean(kind + " in " + first.Func() + " / " + second.Func())
}

// titleOrder puts the other thread's frame first only when it compares smaller;
// on a tie this thread's comes first. A line that a symbolizer annotated
// compares as the kernel printed it.
func titleOrder(other, own Frame) (first, second Frame) {
	if limited(other.String()) < limited(own.String()) {
		return other, own
	}
	return own, other
}

// Limit and words of syzkaller's pkg/report (report.go, linux.go): a crash
// title is "KCSAN: " and the title line, cleaned of all that changes from run
// to run.
const (
	syzPrefix   = "KCSAN: "
	syzTitleMax = 120
	syzAddrMin  = 6 // hexadecimal digits that make an address
)

// SyzTitle returns the title that syzkaller's parser gives this report, as in
// "KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult".
func (r *Report) SyzTitle() string {
	return SyzTitle(r.titleText(Frame.String))
}

// SyzTitle makes a syzkaller title of what follows "BUG: KCSAN: " in a title
// line.
func SyzTitle(text string) string {
	text = syzPrefix + text
	text = replaceAddresses(text)
	text = stripOffsets(text)
	text = replaceNumbers(text)
	return sanitizeTitle(text)
}

// replaceAddresses puts ADDR for every run of six or more hexadecimal digits
// that does not continue a word.
func replaceAddresses(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if i == 0 || isAlnum(s[i-1]) {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := i
		if strings.HasPrefix(s[i:], "0x") && hexRun(s, i+2)-(i+2) >= syzAddrMin {
			end = hexRun(s, i+2)
		} else if hexRun(s, i)-i >= syzAddrMin {
			end = hexRun(s, i)
		}
		if end > i {
			b.WriteString("ADDR")
			i = end
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// stripOffsets removes "+0x…/0x…" behind function names.
func stripOffsets(s string) string {
	for from := 0; ; {
		i := strings.Index(s[from:], "+0x")
		if i < 0 {
			return s
		}
		i += from
		j := wordRun(s, i+3)
		k := j
		if strings.HasPrefix(s[j:], "/0x") {
			k = wordRun(s, j+3)
		}
		if i == 0 || !isWord(s[i-1]) && s[i-1] != '.' || j == i+3 || k <= j+3 {
			from = i + 3
			continue
		}
		s = s[:i] + s[k:]
		from = i
	}
}

// replaceNumbers puts NUM for every decimal number that stands alone.
func replaceNumbers(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		if j > i && i > 0 && !isWord(s[i-1]) && (j == len(s) || !isWord(s[j])) {
			b.WriteString("NUM")
			i = j
			continue
		}
		if j == i {
			j++
		}
		b.WriteString(s[i:j])
		i = j
	}
	return b.String()
}

// sanitizeTitle cuts a title, and drops what is not printable and repeated
// blanks.
func sanitizeTitle(s string) string {
	var b strings.Builder
	prev := byte(' ')
	for i := 0; i < len(s) && i < syzTitleMax; i++ {
		c := s[i]
		if c == '\t' {
			c = ' '
		}
		if c < 0x20 || c >= 0x7f || c == ' ' && prev == ' ' {
			continue
		}
		b.WriteByte(c)
		prev = c
	}
	return strings.TrimSpace(b.String())
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }

// hexRun returns the end of the run of lower-case hexadecimal digits at i.
func hexRun(s string, i int) int {
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f') {
		i++
	}
	return i
}

// wordRun returns the end of the run of lower-case letters and digits at i.
func wordRun(s string, i int) int {
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z') {
		i++
	}
	return i
}
