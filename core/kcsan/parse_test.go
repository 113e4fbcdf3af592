package kcsan

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestSplitPrefix(t *testing.T) {
	for _, c := range []struct {
		line string
		want prefix
		text string
	}{
		{"plain text", prefix{}, "plain text"},
		{" frame+0x1/0x2", prefix{}, " frame+0x1/0x2"},
		{"", prefix{}, ""},
		{"[   44.377931][    C4] text", prefix{true, "C4", 44377931000, true}, "text"},
		{"[  472.478762][T19789]  frame", prefix{true, "T19789", 472478762000, true}, " frame"},
		{"[   67.071200][ T4926]", prefix{true, "T4926", 67071200000, true}, ""},
		{"[    8.102989] text", prefix{true, "", 8102989000, true}, "text"},
		{"<3>[    8.102989] text", prefix{true, "", 8102989000, true}, "text"},
		{"<4>text", prefix{true, "", 0, false}, "text"},
		{"3,1234,5678901,-,caller=T42;text", prefix{true, "T42", 5678901000, true}, "text"},
		{"3,1234,5678901,-;text; more", prefix{true, "", 5678901000, true}, "text; more"},
		{"kern  :err   : [    8.102989] text", prefix{true, "", 8102989000, true}, "text"},
		{"[Wed Nov 25 08:00:00 2026] text", prefix{true, "", 0, false}, "text"},
		{"Nov 25 08:00:00 host kernel: text", prefix{true, "", 0, false}, "text"},
		{"Nov 25 08:00:00 host kernel:  frame", prefix{true, "", 0, false}, " frame"},
		{"Nov 25 08:00:00 host kernel: [    8.102989] text", prefix{true, "", 8102989000, true}, "text"},
		// Not prefixes.
		{"[kcsan_test] text", prefix{}, "[kcsan_test] text"},
		{"[99999999999999999999.1] text", prefix{}, "[99999999999999999999.1] text"},
		{"[1.] text", prefix{}, "[1.] text"},
		{"[ 1.5][X3] text", prefix{true, "", 1500000000, true}, "[X3] text"},
		{"[ 1.5][T99999999999999] text", prefix{true, "", 1500000000, true}, "[T99999999999999] text"},
		{"<1234>text", prefix{}, "<1234>text"},
		{"3,x,5,-;text", prefix{}, "3,x,5,-;text"},
		{"3,1,99999999999999999999,-;text", prefix{}, "3,1,99999999999999999999,-;text"},
		{"kern", prefix{}, "kern"},
		{"kern  :err   : ", prefix{}, "kern  :err   : "},
		{"[", prefix{}, "["},
		{"<", prefix{}, "<"},
	} {
		if got, text := splitPrefix(c.line); got != c.want || text != c.text {
			t.Errorf("%q: %+v %q, want %+v %q", c.line, got, text, c.want, c.text)
		}
	}
}

// golden returns one of the hand-written reports.
func golden(t *testing.T, name string) string {
	return readFile(t, filepath.Join("testdata", "golden", name+".txt"))
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
			"without first separator": strings.SplitN(want, "\n", 2)[1],
			"no newline at the end":   strings.TrimSuffix(want, "\n"),
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
			found := ParseLog(log)
			if len(found) != 1 || found[0].Report == nil {
				t.Errorf("%s, %s: %+v", name, form, found)
				continue
			}
			if f := found[0]; f.Text() != want {
				t.Errorf("%s, %s: got\n%s", name, form, f.Text())
			}
		}
		f := ParseLog(forms["interleaved, no callers"])[0]
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
	for _, f := range ParseLog(log.String()) {
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
		title := strings.Index(text, titlePrefix) + len(titlePrefix)
		for n := range len(text) - 1 { // without the last newline it is whole
			found := ParseLog(text[:n])
			if n < title {
				if len(found) != 0 {
					t.Fatalf("%s, %d bytes: %+v", name, n, found)
				}
				continue
			}
			if len(found) != 1 || found[0].Report != nil || found[0].Reason == "" {
				t.Fatalf("%s, %d bytes: %+v", name, n, found)
			}
		}
		// The beginning is missing.
		lines := strings.SplitAfter(text, "\n")
		for n := 2; n < len(lines)-3; n++ {
			for _, f := range ParseLog(strings.Join(lines[n:], "")) {
				if f.Report != nil {
					t.Fatalf("%s without %d lines: a report", name, n)
				}
				if f.Reason != "its beginning is missing" || !strings.Contains(f.Text(), reportedBy) {
					t.Fatalf("%s without %d lines: %q\n%s", name, n, f.Reason, f.Text())
				}
			}
		}
		// One line is missing.
		for n := range len(lines) - 1 {
			found := ParseLog(strings.Join(lines[:n], "") + strings.Join(lines[n+1:], ""))
			for _, f := range found {
				if f.Report == nil {
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
		reasons   []string // "" is a whole report
	}{
		{"nothing", "no report here\n" + Separator + "\n", nil},
		{"two in a row", whole + whole, []string{"", ""}},
		{"an orphan end before", Separator + "\n" + whole, []string{""}},
		{"cut off by the next", cut + whole, []string{`cut off before "Reported by Kernel Concurrency Sanitizer on:"`, ""}},
		{"cut off by the next title", strings.TrimSuffix(whole, Separator+"\n") + strings.TrimPrefix(whole, Separator+"\n"),
			[]string{"another report begins in the middle of it", ""}},
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
			[]string{`the rest of the report does not agree with the line "assert no accesses (scoped) to 0x9f4ad020 of 8 bytes by task 42 on cpu 2:"`}},
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
		found := ParseLog(c.log)
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
	title := titlePrefix + "data-race in a / b\n"
	for name, log := range map[string]string{
		"a line of megabytes":    Separator + "\n" + title + strings.Repeat("x", 8<<20) + "\n" + Separator + "\n",
		"nested separators":      strings.Repeat(Separator+"\n", 100_000),
		"titles only":            strings.Repeat(title, 20_000),
		"a report without end":   Separator + "\n" + title + strings.Repeat(" a+0x1/0x2\n", 300_000),
		"many callers":           manyCallers(200_000, Separator),
		"many open reports":      manyCallers(20_000, strings.TrimSpace(title)),
		"blanks":                 strings.Repeat("[    1.0][T1]\n", 300_000),
		"indents":                strings.Repeat(strings.Repeat(" ", 5000)+Separator+"\n", 200),
		"ends without beginning": strings.Repeat(reportedBy+"\n", 100_000),
		"deep quotes":            strings.Repeat(">", 1<<20) + Separator + "\n",
	} {
		var a Assembler
		for _, l := range strings.Split(log, "\n") {
			a.AddLine(l)
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

func TestSyzTitle(t *testing.T) {
	for in, want := range map[string]string{
		"data-race in find_next_bit / rcu_report_exp_cpu_mult":                    "KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult",
		"data-race in e1000_clean_rx_irq+0x551/0xb10":                             "KCSAN: data-race in e1000_clean_rx_irq",
		"assert: race in dequeue_entities+0x6df/0x760":                            "KCSAN: assert: race in dequeue_entities",
		"data-race in f+0x1/0x2 [mod]":                                            "KCSAN: data-race in f [mod]",
		"data-race in test_delay.constprop.0 / g.isra.12":                         "KCSAN: data-race in test_delay.constprop.NUM / g.isra.NUM",
		"data-race in 0xffffffff82000000 / f":                                     "KCSAN: data-race in ADDR / f",
		"data-race in 0x0 / f2":                                                   "KCSAN: data-race in 0x0 / f2",
		"data-race in\ta  b\x01":                                                  "KCSAN: data-race in a b",
		"data-race in " + strings.Repeat("x", 200):                                "KCSAN: data-race in " + strings.Repeat("x", 100),
		"data-race in +0x1/0x2":                                                   "KCSAN: data-race in +0x1/0x2",
		"data-race in 7 / 8":                                                      "KCSAN: data-race in NUM / NUM",
		"data-race in hrtimer_active / __hrtimer_run_queues":                      "KCSAN: data-race in hrtimer_active / __hrtimer_run_queues",
		"assert: race in test_enter_scope [kcsan_test] / test_kernel_read":        "KCSAN: assert: race in test_enter_scope [kcsan_test] / test_kernel_read",
		"data-race in copy_page_from_iter_atomic+0x10/0x20 / f+0x1/0x2 and g+0xz": "KCSAN: data-race in copy_page_from_iter_atomic / f and g+0xz",
	} {
		if got := SyzTitle(in); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestDistinct(t *testing.T) {
	a, b := golden(t, "v5.17-reordered"), golden(t, "reference-unknown-origin")
	moved := strings.ReplaceAll(b, "alpha+0x19", "alpha+0x1a") // the same race, another place
	cut := strings.Join(strings.SplitAfter(a, "\n")[:5], "")
	entries := Distinct(ParseLog(b + a + a + moved + a + cut))
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

func TestVersionOf(t *testing.T) {
	for release, want := range map[string]Version{
		"5.3.0+": Reference, "5.8.0": Reference, "5.9.1": Reference, "5.10.223-kcsan-d": V5_10, "5.13.0": V5_10,
		"5.14.0": V5_14, "5.15.100": V5_14, "5.16.0": V5_16, "5.17.0-rc1": V5_17, "6.0.0": V5_17,
		"6.1.192-kcsan-a": V6_1, "6.11.0": V6_1, "6.12.117": V6_12, "7.0": V6_12,
	} {
		if got, ok := VersionOf(release); got != want || !ok {
			t.Errorf("%s: %s, %v, want %s", release, got, ok, want)
		}
	}
	for _, release := range []string{"", "6", "x.y", "6.", "-1.2", "99999999999999999999.1"} {
		if v, ok := VersionOf(release); ok {
			t.Errorf("%q: %s", release, v)
		}
	}
	if got := Version(200).String(); got != V6_12.String() {
		t.Errorf("an undeclared version is %s", got)
	}
}

func TestWatchpointEncoding(t *testing.T) {
	for _, c := range []struct {
		v          Version
		addr, size uint64
		write      bool
		want       uint64
		ok         bool
	}{
		{V6_1, 0xffffffff9f4ad020, 8, true, 1<<63 | 8<<49 | 0x1ffff9f4ad020, true},
		{V6_1, 0xffffffff9f4ad020, 8, false, 8<<49 | 0x1ffff9f4ad020, true},
		{V5_10, 0xffffffff9f4ad020, 8, false, 8<<49 | 0xffff9f4ad020, true},
		{V6_1, 4096, 8192, false, 8192<<49 | 4096, true},
		{V6_1, 4095, 8, false, 0, false},
		{V6_1, 4096, 8193, false, 0, false},
	} {
		w, ok := c.v.EncodeWatchpoint(c.addr, c.size, c.write)
		if w != c.want || ok != c.ok {
			t.Errorf("%s %#x %d: %#x %v, want %#x %v", c.v, c.addr, c.size, w, ok, c.want, c.ok)
		}
		if !ok {
			continue
		}
		addr, size, write, ok := c.v.DecodeWatchpoint(w)
		if addr != c.addr&c.v.AddrMask() || size != c.size || write != c.write || !ok {
			t.Errorf("%#x: %#x %d %v %v", w, addr, size, write, ok)
		}
	}
	for _, w := range []uint64{FreeWatchpoint, ConsumedWatchpoint} {
		if _, _, _, ok := V6_1.DecodeWatchpoint(w); ok {
			t.Errorf("%d decodes", w)
		}
	}
	if got := SlotIndex(0xffffffffa12ad020, 64); got != 45 {
		t.Errorf("slot %d, want 45", got)
	}
}
