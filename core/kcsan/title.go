package kcsan

import (
	"regexp"
	"strings"
)

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
	// syzTextMax bounds what is looked at: nothing that long is a title.
	syzTextMax = 4096
)

// syzReplacements are what pkg/report replaces in titles, dynamicTitleReplacement
// of report.go, in its order and each until nothing changes. Two corners: an
// address may follow a digit that is not 0, and a function of one letter keeps
// its offset.
var syzReplacements = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`syz-executor\.?\d+(?:[/:]\d+)?`), "syz-executor"},
	{regexp.MustCompile(`syzkaller\d+(?:[/:]\d+)?`), "syzkaller"},
	{regexp.MustCompile(`([^a-zA-Z0])(?:0x)?[\da-f]{6,}`), "${1}ADDR"},
	{regexp.MustCompile(`\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`), "IP"},
	{regexp.MustCompile(`(\.\w+)(?::\d+)+`), "${1}:LINE"},
	{regexp.MustCompile(`([a-zA-Z][\w.]+)\+0x[\da-z]+/0x[\da-z]+`), "${1}"},
	{regexp.MustCompile(`CPU#\d+`), "CPU"},
	{regexp.MustCompile(`(\W)\d+(\W|$)`), "${1}NUM${2}"},
}

// SyzTitle returns the title that syzkaller's parser gives this report, as in
// "KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult".
func (r *Report) SyzTitle() string {
	return SyzTitle(r.titleText(Frame.String))
}

// SyzTitle makes a syzkaller title of what follows "BUG: KCSAN: " in a title
// line.
func SyzTitle(text string) string {
	text = syzPrefix + text[:min(len(text), syzTextMax)]
	for _, r := range syzReplacements {
		for was := ""; was != text; {
			was, text = text, r.what.ReplaceAllString(text, r.with)
		}
	}
	return sanitizeTitle(text)
}

// offsets are what stands behind function names.
var offsets = regexp.MustCompile(`\+0x[\da-f]+/0x[\da-f]+`)

// stripOffsets removes "+0x…/0x…" behind function names.
func stripOffsets(s string) string { return offsets.ReplaceAllString(s, "") }

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

// hexRun returns the end of the run of lower-case hexadecimal digits at i.
func hexRun(s string, i int) int {
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f') {
		i++
	}
	return i
}
