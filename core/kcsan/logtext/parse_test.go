package logtext

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/kcsan"
)

const footerHead = reportedBy + " on:"

// golden returns one of the hand-written reports.
func golden(t testing.TB, name string) string {
	return readFile(t, filepath.Join("..", "testdata", "golden", name+".txt"))
}

// TestForms reads one report in every form in which it may come.
func TestForms(t *testing.T) {
	for _, name := range []string{"v5.17-reordered", "reference-verbose", "v6.12-footer", "only-runtime-frames"} {
		want := golden(t, name)
		lines := strings.Split(strings.TrimSuffix(want, "\n"), "\n")
		each := func(f func(i int, l string) string) string {
			var b strings.Builder
			for i, l := range lines {
				b.WriteString(f(i, l))
			}
			return b.String()
		}
		noise := "random: crng reseeded\n"
		forms := map[string]string{
			"plain":      want,
			"crlf":       strings.ReplaceAll(want, "\n", "\r\n"),
			"stamped":    each(func(i int, l string) string { return fmt.Sprintf("[%5d.%06d] %s\n", i, i, l) }),
			"caller":     each(func(i int, l string) string { return fmt.Sprintf("[%5d.%06d][%5s] %s\n", i, i, "T43", l) }),
			"level":      each(func(i int, l string) string { return fmt.Sprintf("<3>[%5d.%06d][%5s] %s\n", i, i, "C3", l) }),
			"kmsg":       each(func(i int, l string) string { return fmt.Sprintf("3,%d,%d,-,caller=T43;%s\n", i, i, l) }),
			"journal":    each(func(_ int, l string) string { return "Nov 25 08:00:00 host kernel: " + l + "\n" }),
			"wall clock": each(func(_ int, l string) string { return "[Wed Nov 25 08:00:00 2026] " + l + "\n" }),
			"indented":   each(func(_ int, l string) string { return "    " + l + "\n" }),
			"quoted":     each(func(_ int, l string) string { return strings.TrimRight("> > "+l, " ") + "\n" }),
			"trimmed": each(func(i int, l string) string {
				return strings.TrimRight(fmt.Sprintf("[%5d.%06d] %s", i, i, l), " ") + "\n"
			}),
			"no newline at the end": strings.TrimSuffix(want, "\n"),
			// Lines of others, between all of the report's.
			"interleaved callers": each(func(i int, l string) string {
				return fmt.Sprintf("[%5d.%06d][T7] %s[%5d.%06d][T43] %s\n", i, i, noise, i, i, l)
			}),
			"another's trace between": each(func(i int, l string) string {
				return fmt.Sprintf("[    1.0][T7] Call Trace:\n[    1.0][T7]  other+0x1/0x2\n[    1.0][T43] %s\n", l)
			}),
			"interleaved, no callers": each(func(i int, l string) string { return fmt.Sprintf("[    1.0] %s[    1.0] %s\n", noise, l) }),
			"programs between":        each(func(_ int, l string) string { return "executing program 0:\n\n[    1.0][T43] " + l + "\n" }),
			"blank lines of others":   each(func(_ int, l string) string { return "[    1.0][T7]\n[    1.0][T43] " + l + "\n" }),
		}
		for form, log := range forms {
			found := Parse(log)
			if len(found) != 1 || found[0].Report == nil {
				t.Errorf("%s, %s: %+v", name, form, found)
				continue
			}
			if f := found[0]; f.Text() != want {
				t.Errorf("%s, %s: got\n%s", name, form, f.Text())
			}
		}
		f := Parse(forms["interleaved, no callers"])[0]
		if f.Foreign != len(lines)-2 { // one before the title is not inside
			t.Errorf("%s: %d lines of others, want %d", name, f.Foreign, len(lines)-2)
		}
	}
}

// TestTwoCallers mixes two reports line by line, which the kernel's lock forbids
// but a log of two consoles may show.
func TestTwoCallers(t *testing.T) {
	a := strings.Split(golden(t, "v5.17-reordered"), "\n")
	b := strings.Split(golden(t, "reference-verbose"), "\n")
	var log strings.Builder
	for i := range max(len(a), len(b)) {
		if i < len(a)-1 {
			fmt.Fprintf(&log, "[    1.000000][   T43] %s\n", a[i])
		}
		if i < len(b)-1 {
			fmt.Fprintf(&log, "[    2.000000][    C3] %s\n", b[i])
		}
	}
	got := map[string]string{}
	for _, f := range Parse(log.String()) {
		got[f.Caller] = f.Text()
	}
	if got["T43"] != golden(t, "v5.17-reordered") || got["C3"] != golden(t, "reference-verbose") || len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

// TestTruncations cuts a report off after every byte. Nothing but the whole is
// a report, and what is left of it is a fragment with a reason.
func TestTruncations(t *testing.T) {
	for _, name := range []string{"v5.17-reordered", "v6.12-footer", "reference-verbose"} {
		text := golden(t, name)
		title := strings.Index(text, title) + len(title)
		footer := strings.Index(text, footerHead) + len(reportedBy)
		for n := range len(text) - 1 { // without the last newline it is whole
			found := Parse(text[:n])
			if n < title {
				if len(found) != 0 {
					t.Fatalf("%s, %d bytes: %+v", name, n, found)
				}
				continue
			}
			if len(found) != 1 || found[0].Grade == kcsan.GradeWhole {
				t.Fatalf("%s, %d bytes: %+v", name, n, found)
			}
			// Both accesses are complete when the footer has begun.
			if f := found[0]; n < footer && (f.Report != nil || f.Reason == "") || n > footer && (f.Report == nil || len(f.Differences) == 0) {
				if cpu := strings.Index(text, "CPU: "); n < cpu || n > cpu+strings.IndexByte(text[cpu:], '\n') {
					t.Fatalf("%s, %d bytes: %+v", name, n, found)
				}
			}
		}
		// The beginning is missing.
		lines := strings.SplitAfter(text, "\n")
		for n := 2; n < len(lines)-3; n++ {
			for _, f := range Parse(strings.Join(lines[n:], "")) {
				if f.Report != nil {
					t.Fatalf("%s without %d lines: a report", name, n)
				}
				if f.Reason != "its beginning is missing" || !strings.Contains(f.Text(), footerHead) {
					t.Fatalf("%s without %d lines: %q\n%s", name, n, f.Reason, f.Text())
				}
			}
		}
		// One line is missing.
		for n := range len(lines) - 1 {
			found := Parse(strings.Join(lines[:n], "") + strings.Join(lines[n+1:], ""))
			for _, f := range found {
				if f.Grade != kcsan.GradeWhole {
					continue
				}
				if again, _ := f.Report.Text(); again != f.Text() {
					t.Fatalf("%s without line %d: prints as another text", name, n)
				}
			}
		}
	}
}

func TestFragments(t *testing.T) {
	whole := golden(t, "v5.16-scoped-location")
	edit := func(old, new string) string { return strings.Replace(whole, old, new, 1) }
	cut := strings.Join(strings.SplitAfter(whole, "\n")[:6], "")
	for _, c := range []struct {
		name, log string
		reasons   []string // "" is a report
	}{
		{"nothing", "no report here\n" + kcsan.Separator + "\n", nil},
		{"two in a row", whole + whole, []string{"", ""}},
		{"an orphan end before", kcsan.Separator + "\n" + whole, []string{""}},
		{"cut off by the next", cut + whole, []string{`cut off before "Reported by Kernel Concurrency Sanitizer on:"`, ""}},
		{"cut off by the next title", strings.TrimSuffix(whole, kcsan.Separator+"\n") + strings.TrimPrefix(whole, kcsan.Separator+"\n"),
			[]string{"", ""}},
		{"cut off at the end", cut, []string{"the log ends in the middle of the report"}},
		{"the title names another function", edit("in alpha / beta", "in alpha / gamma"),
			[]string{`the rest of the report does not agree with the line "BUG: KCSAN: assert: race in alpha / gamma"`}},
		{"the title has the other order", edit("assert: race in alpha / beta", "assert: race in beta / alpha"),
			[]string{`the rest of the report does not agree with the line "BUG: KCSAN: assert: race in beta / alpha"`}},
		{"no access", edit("write to", "wrote to"), []string{`the line "wrote to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 2:" is not an access`}},
		{"no title", edit("BUG: KCSAN: assert: race in alpha / beta\n", ""), []string{"its beginning is missing"}},
		{"a number overflows", edit("of 8 bytes", "of 99999999999999999999 bytes"), []string{
			`the line "assert no accesses (scoped) to 0xffffffff9f4ad020 of 99999999999999999999 bytes by task 42 on cpu 2:" is not an access`}},
		{"an address overflows", edit("0xffffffff9f4ad020", "0xfffffffffffffffff"), []string{
			`the line "assert no accesses (scoped) to 0xfffffffffffffffff of 8 bytes by task 42 on cpu 2:" is not an access`}},
		{"a short address", edit("0xffffffff9f4ad020", "0x9f4ad020"),
			[]string{""}},
		{"a footer of nothing", edit("CPU: 3 PID: 43", "CPU: x PID: y"), []string{"cut off: the footer expected"}},
		{"control characters", edit("alpha+0x22", "al\x1bpha+0x22"),
			[]string{`the rest of the report does not agree with the line "BUG: KCSAN: assert: race in alpha / beta"`}},
		{"two words for scoped", strings.Replace(edit("(scoped)", "(reordered)"), "write to", "write (scoped) to", 1), []string{
			`the rest of the report does not agree with the line "assert no accesses (reordered) to 0xffffffff9f4ad020 of 8 bytes by task 42 on cpu 2:"`}},
		{"another trace in between", "[    1.0] " + strings.ReplaceAll(edit(" thread", "Call Trace:\n thread"), "\n", "\n[    1.0] "),
			[]string{"another stack trace is mixed in and the log does not say who printed it"}},
		{"a line of the same caller", "[    1.0][T1] " + strings.ReplaceAll(edit(" thread", "hello\n thread"), "\n", "\n[    1.0][T1] "),
			[]string{`the line "hello" is not part of a report`}},
	} {
		found := Parse(c.log)
		var reasons []string
		for _, f := range found {
			reasons = append(reasons, f.Reason)
			if (f.Report == nil) != (f.Reason != "") {
				t.Errorf("%s: report %v with the reason %q", c.name, f.Report, f.Reason)
			}
			if strings.ContainsAny(f.Text(), "\x1b") {
				t.Errorf("%s: a control character was shown", c.name)
			}
		}
		if fmt.Sprintf("%q", reasons) != fmt.Sprintf("%q", c.reasons) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, reasons, c.reasons)
		}
	}
}

// TestHostile gives logs whose size must not become time or memory.
func TestHostile(t *testing.T) {
	title := titleLine + "data-race in a / b\n"
	for name, log := range map[string]string{
		"a line of megabytes":    kcsan.Separator + "\n" + title + strings.Repeat("x", 8<<20) + "\n" + kcsan.Separator + "\n",
		"nested separators":      strings.Repeat(kcsan.Separator+"\n", 100_000),
		"titles only":            strings.Repeat(title, 20_000),
		"a report without end":   kcsan.Separator + "\n" + title + strings.Repeat(" a+0x1/0x2\n", 300_000),
		"many callers":           manyCallers(200_000, kcsan.Separator),
		"many open reports":      manyCallers(20_000, strings.TrimSpace(title)),
		"blanks":                 strings.Repeat("[    1.0][T1]\n", 300_000),
		"indents":                strings.Repeat(strings.Repeat(" ", 5000)+kcsan.Separator+"\n", 200),
		"ends without beginning": strings.Repeat(footerHead+"\n", 100_000),
		"deep quotes":            strings.Repeat(">", 1<<20) + kcsan.Separator + "\n",
	} {
		var a Assembler
		for _, l := range strings.Split(log, "\n") {
			a.addPiece(l, true)
			if len(a.streams) > maxStreams {
				t.Fatalf("%s: %d streams", name, len(a.streams))
			}
		}
		kept := 0
		for _, f := range a.Finish() {
			if f.Report != nil {
				t.Errorf("%s: a report", name)
			}
			if len(f.Lines) > maxReportLines {
				t.Errorf("%s: a fragment of %d lines", name, len(f.Lines))
			}
			for _, l := range f.Lines {
				kept += len(l)
			}
		}
		if kept > len(log) {
			t.Errorf("%s: %d bytes kept of %d", name, kept, len(log))
		}
	}
}

func manyCallers(n int, text string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[    1.0][T%d] %s\n", i, text)
	}
	return b.String()
}

func TestDistinct(t *testing.T) {
	a, b := golden(t, "v5.17-reordered"), golden(t, "reference-unknown-origin")
	moved := strings.ReplaceAll(b, "alpha+0x19", "alpha+0x1a") // the same race, another place
	cut := strings.Join(strings.SplitAfter(a, "\n")[:5], "")
	entries := Distinct(Parse(b + a + a + moved + a + cut))
	var counts []int
	for _, e := range entries {
		counts = append(counts, e.Count)
	}
	if fmt.Sprint(counts) != "[1 3 1 1]" {
		t.Errorf("counts %v", counts)
	}
	got := ""
	for _, g := range GroupByTitle(entries) {
		got += fmt.Sprintf("%s: %d in %d\n", g.Title, g.Count, len(g.Entries))
	}
	want := "data-race in alpha / beta: 4 in 2\ndata-race in alpha: 2 in 2\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
