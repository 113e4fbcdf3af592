package logtext

import (
	"encoding/base64"
	"fmt"
	"html"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"

	"coredrop/core/kcsan"
)

// sample is a report with everything that retyping touches.
const sample = kcsan.Separator + `
BUG: KCSAN: data-race in tick_do_update_jiffies64 / tick_nohz_stop_tick

write to 0xffffffff82a05000 of 8 bytes by interrupt on cpu 1:
 tick_do_update_jiffies64+0x112/0x1c0
 tick_sched_timer+0x9a/0xb0
 asm_sysvec_apic_timer_interrupt+0x12/0x20

read (marked) to 0xffffffff82a05000 of 8 bytes by task 17 on cpu 0:
 tick_nohz_stop_tick+0x61/0x3c0
 do_idle+0x101/0x200 [idle_test]

1 lock held by swapper/0/17:
 #0: ffffffff83a05000 (&x->lock){+.+.}-{2:2}, at: do_idle+0x33/0x200
irq event stamp: 7
hardirqs last  enabled at (6): [<ffffffff81000036>] alpha+0x36/0x100
hardirqs last disabled at (7): [<ffffffff8100100a>] beta+0xa/0x100
softirqs last  enabled at (5): [<ffffffff8100209b>] caller+0x9b/0x100
softirqs last disabled at (0): [<0000000000000000>] 0x0

value changed: 0x00000000ffff1234 -> 0x00000000ffff1235

Reported by Kernel Concurrency Sanitizer on:
CPU: 0 PID: 17 Comm: swapper/0 Tainted: G        W          6.1.0-rc1 #1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
` + kcsan.Separator + "\n"

const sampleTitle = "data-race in tick_do_update_jiffies64 / tick_nohz_stop_tick"

// edit changes lines of the sample.
func edit(pairs ...string) string {
	out := sample
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(out, pairs[i]) {
			panic(pairs[i])
		}
		out = strings.Replace(out, pairs[i], pairs[i+1], -1)
	}
	return out
}

func eachLine(text string, f func(string) string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = f(l)
	}
	return strings.Join(lines, "\n") + "\n"
}

func dropLines(text string, drop func(string) bool) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return drop(strings.TrimSuffix(l, "\n")) && l != "" }), "")
}

func quotedPrintable(text string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// decoded is the sample as scripts/decode_stacktrace.sh prints it.
var decodedTrace = []string{
	" tick_do_update_jiffies64+0x112/0x1c0", " tick_do_update_jiffies64 (kernel/time/tick-sched.c:105 (discriminator 3))",
	" tick_sched_timer+0x9a/0xb0", " tick_sched_timer (include/linux/x.h:3 kernel/time/tick-sched.c:1492)",
	" asm_sysvec_apic_timer_interrupt+0x12/0x20", " asm_sysvec_apic_timer_interrupt (arch/x86/include/asm/idtentry.h:649)",
	" tick_nohz_stop_tick+0x61/0x3c0", " tick_nohz_stop_tick (kernel/time/tick-sched.c:900)",
	" do_idle+0x101/0x200 [idle_test]", " do_idle (kernel/sched/idle.c:239) idle_test",
}

// TestRetyped reads the sample in other words and wants the model, and what
// differs by name: taking a rule away makes one of these a fragment, or whole.
func TestRetyped(t *testing.T) {
	first := func(text string) string { return strings.TrimPrefix(text, kcsan.Separator+"\n") }
	last := func(text string) string { return strings.TrimSuffix(text, kcsan.Separator+"\n") }
	blank := func(l string) bool { return l == "" }
	for _, c := range []struct {
		name, log string
		diffs     []string
	}{
		{"the first separator", first(sample), []string{kcsan.DiffOpening}},
		{"the last separator", last(sample), []string{kcsan.DiffClosing}},
		{"the last separator, text after", last(sample) + "\nFixes: 1 (\"x\")\n" + strings.Repeat("more\n", 100), []string{kcsan.DiffClosing}},
		{"shorter separators", strings.ReplaceAll(sample, kcsan.Separator, kcsan.Separator[:40]), []string{kcsan.DiffOpening, kcsan.DiffSeparator}},
		{"no blank lines", dropLines(sample, blank), []string{kcsan.DiffBlankLines}},
		{"double spaced", strings.ReplaceAll(sample, "\n", "\n\n"), []string{kcsan.DiffMoreBlank}},
		{"trimmed", eachLine(sample, strings.TrimSpace), []string{kcsan.DiffIndent}},
		{"trailing blanks", eachLine(sample, func(l string) string { return l + "  " }), []string{kcsan.DiffTrailing}},
		{"trailing blanks, some", edit("on cpu 1:", "on cpu 1: "), []string{kcsan.DiffTrailing}},
		{"squeezed", eachLine(sample, func(l string) string {
			f := strings.Join(strings.Fields(l), " ")
			if strings.HasPrefix(l, " ") {
				f = " " + f
			}
			return f
		}), []string{kcsan.DiffSqueezed}},
		{"squeezed taint", edit("G        W          6", "G W 6"), []string{kcsan.DiffSqueezed}},
		{"squeezed stamps", eachLine(sample, func(l string) string { return "[ 12.000001] " + l }), []string{kcsan.DiffSqueezed}},
		{"a model without its blank", edit("6.1.0-rc1 #1", "6.1.0-rc1 #1 PREEMPT(lazy)"), []string{kcsan.DiffTrailing}},
		{"tabs", eachLine(sample, func(l string) string {
			if strings.HasPrefix(l, " ") {
				return "\t" + l[1:]
			}
			return l
		}), []string{kcsan.DiffIndent}},
		{"wrapped title", edit("jiffies64 / ", "jiffies64 /\n"), []string{kcsan.DiffWrapped}},
		{"wrapped access", edit("by interrupt on cpu 1:", "by interrupt on cpu\n1:"), []string{kcsan.DiffWrapped}},
		{"wrapped access, early", edit("of 8 bytes by interrupt on", "of 8\nbytes by interrupt on"), []string{kcsan.DiffWrapped}},
		{"wrapped footer", edit("Tainted: G        W          6.1", "Tainted: G        W\n6.1", ", BIOS ", ", BIOS\n"), []string{kcsan.DiffWrapped}},
		{"wrapped quote whose rest is not quoted", strings.Replace(eachLine(edit("by task 17 on cpu 0:", "by task\n17 on cpu 0:"), func(l string) string { return "> " + l }), "> 17 on", "17 on", 1),
			[]string{kcsan.DiffWrapped}},
		{"HTML entities", html.EscapeString(edit()), []string{kcsan.DiffHTML}},
		{"HTML lines", eachLine(sample, func(l string) string {
			return `<div class="line"><span id="L1">` + html.EscapeString(l) + "&nbsp;</span></div>"
		}), []string{kcsan.DiffHTML, kcsan.DiffTrailing}},
		{"copied from a page", eachLine(sample, func(l string) string { return strings.Replace(l, " ", "\u00a0", 1) }), []string{kcsan.DiffHardBlanks}},
		{"copied from a page, with stamps", eachLine(sample, func(l string) string { return "[\u00a0\u00a0\u00a012.000001]\u00a0" + l }), []string{kcsan.DiffHardBlanks}},
		{"HTML in one line", "<pre>" + strings.ReplaceAll(html.EscapeString(sample), "\n", "<br/>") + "</pre>", []string{kcsan.DiffHTML}},
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\n" + quotedPrintable(sample), []string{kcsan.DiffQuoted}},
		{"quoted-printable without header", quotedPrintable("Hello,\n\n" + sample), []string{kcsan.DiffQuoted}},
		{"quoted-printable in quotes", quotedPrintable(eachLine(sample, func(l string) string { return "> > " + l })), []string{kcsan.DiffQuoted}},
		{"one line of a script", "output = \"" + strings.ReplaceAll(sample, "\n", `\n`) + "\";", []string{kcsan.DiffEscaped}},
		{"decode_stacktrace.sh", edit(decodedTrace...), []string{kcsan.DiffPlaces}},
		{"decode_stacktrace.sh, locks too", edit(append([]string{"at: do_idle+0x33/0x200", "at: do_idle (kernel/sched/idle.c:239)",
			"alpha+0x36/0x100", "alpha (kernel/a.c:1)"}, decodedTrace...)...), []string{kcsan.DiffLocks, kcsan.DiffPlaces}},
		{"syzbot", edit("tick_sched_timer+0x9a/0xb0", "tick_sched_timer+0x9a/0xb0 kernel/time/tick-sched.c:1492\n timer_helper include/linux/timer.h:12 [inline]"), []string{kcsan.DiffAnnotated}},
		{"syzbot's locks", edit(", at: do_idle+0x33/0x200", ", at: spin_lock include/linux/spinlock.h:351 [inline]\n #0: ffffffff83a05000 (&x->lock){+.+.}-{2:2}, at: do_idle+0x33/0x200 kernel/sched/idle.c:239"),
			[]string{kcsan.DiffLocks}},
		{"no offsets, places", edit("tick_sched_timer+0x9a/0xb0", "tick_sched_timer kernel/time/tick-sched.c:1492"), []string{kcsan.DiffPlaces}},
		{"short pointers", edit("0xffffffff82a05000", "0xc2a05000"), []string{kcsan.DiffShort}},
		{"elided", edit(" asm_sysvec_apic_timer_interrupt+0x12/0x20\n", " ...\n"), []string{kcsan.DiffElided}},
		{"elided in brackets", edit(" asm_sysvec_apic_timer_interrupt+0x12/0x20\n", "[...]\n"), []string{kcsan.DiffElided}},
		{"snipped", edit(" do_idle+0x101/0x200 [idle_test]\n", "<snip>\n"), []string{kcsan.DiffElided}},
		{"names only", edit(" tick_sched_timer+0x9a/0xb0\n asm_sysvec_apic_timer_interrupt+0x12/0x20", " tick_sched_timer\n asm_sysvec_apic_timer_interrupt"), []string{kcsan.DiffBare}},
		{"a footer's first line", dropLines(sample, func(l string) bool { return strings.HasPrefix(l, "CPU:") }), []string{kcsan.DiffFooter}},
		{"a short footer", edit(" Tainted: G        W          6.1.0-rc1 #1", " 6.1.0-rc1"), []string{kcsan.DiffFooter}},
		{"no footer", sample[:strings.Index(sample, "\nReported")] + "\nSigned-off-by: a\n", []string{kcsan.DiffClosing, kcsan.DiffNoFooter, kcsan.DiffOpening}},
		{"2019", edit("in tick_do_update_jiffies64 / tick_nohz_stop_tick", "in tick_nohz_stop_tick+0x61/0x3c0 and tick_do_update_jiffies64+0x112/0x1c0"), []string{kcsan.Diff2019}},
		{"another's line among them, trimmed", eachLine(edit(" do_idle+0x101", "usb 1-1: new device\n do_idle+0x101"), strings.TrimSpace), []string{kcsan.DiffIndent, kcsan.DiffOtherLines}},
	} {
		diffs := c.diffs
		if c.name == "no footer" || strings.HasPrefix(c.name, "no footer") {
			c.log = strings.TrimPrefix(c.log, kcsan.Separator+"\n")
		}
		slices.Sort(diffs)
		found := Parse("some text\n" + c.log)
		if len(found) != 1 || found[0].Grade != kcsan.GradeRetyped || found[0].Title != sampleTitle || !slices.Equal(found[0].Differences, diffs) {
			t.Errorf("%s: want %q", c.name, diffs)
			for _, f := range found {
				t.Errorf("    %s %q %q %q\n%s", f.Grade, f.Title, f.Reason, f.Differences, f.Text())
			}
			continue
		}
		checkSample(t, c.name, found[0].Report)
	}
}

// checkSample wants what the sample says in a model, as far as the forms keep it.
func checkSample(t *testing.T, name string, r *kcsan.Report) {
	t.Helper()
	if r.Other == nil || r.Other.Size != 8 || r.Other.CPU != 1 || !r.Other.Interrupt() || r.Own.PID != 17 || r.Own.CPU != 0 ||
		r.Other.Addr != r.Own.Addr || uint32(r.Own.Addr)&0xffffff != 0xa05000 ||
		r.Other.Type != kcsan.AccessWrite || r.Own.Type != kcsan.AccessAtomic {
		t.Errorf("%s: accesses %+v %+v", name, r.Other, r.Own.Access)
		return
	}
	if top := r.Other.Trace.Top().Symbol; top.Name != "tick_do_update_jiffies64" || top.Size != 0 && (top.Size != 0x1c0 || top.Offset != 0x112) {
		t.Errorf("%s: top frame %+v", name, top)
	}
	if r.Values == nil || *r.Values != (kcsan.Values{Old: 0xffff1234, New: 0xffff1235}) {
		t.Errorf("%s: values %+v", name, r.Values)
	}
	if v := r.Own.Verbose; v == nil || v.Locks.PID != 17 || len(v.Locks.Held) == 0 || v.IRQ == nil || v.IRQ.HardirqDisabled.Stamp != 7 || v.IRQ.SoftirqEnabled.Addr != 0xffffffff8100209b {
		t.Errorf("%s: locks %+v", name, v)
	}
	if !strings.Contains(name, "foot") && (r.Footer.Release != "6.1.0-rc1" || r.Footer.Comm != "swapper/0" || r.Footer.PID != 17 || r.Footer.Build != "#1") {
		t.Errorf("%s: footer %+v", name, r.Footer)
	}
}

// TestPlaces wants the file and line of each frame of a decoded trace.
func TestPlaces(t *testing.T) {
	found := Parse(edit(decodedTrace...))
	if len(found) != 1 || found[0].Report == nil {
		t.Fatal(found)
	}
	var got []string
	for _, f := range append(found[0].Report.Other.Trace.Frames, found[0].Report.Own.Trace.Frames...) {
		name, file, line := f.Place()
		got = append(got, fmt.Sprintf("%s %s:%d %s", name, file, line, f.Symbol.Module))
	}
	want := []string{"tick_do_update_jiffies64 kernel/time/tick-sched.c:105 ", "tick_sched_timer include/linux/x.h:3 ",
		"asm_sysvec_apic_timer_interrupt arch/x86/include/asm/idtentry.h:649 ", "tick_nohz_stop_tick kernel/time/tick-sched.c:900 ",
		"do_idle kernel/sched/idle.c:239 idle_test"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestNotWhole holds the grades down where the text is not one report.
func TestNotWhole(t *testing.T) {
	stamped := func(text string) string {
		return eachLine(text, func(l string) string { return "[   12.000001] " + l })
	}
	trace := "[   12.000000] Call Trace:\n[   12.000000]  dump_stack+0x1/0x2\n[   12.000000]  other_function+0x10/0x20\n"
	for _, c := range []struct{ name, log, reason string }{
		{"messages dropped", strings.Replace(stamped(sample), "[   12.000001] read (", "** 3 printk messages dropped **\n[   12.000001] read (", 1), "lines are missing"},
		{"messages dropped, glued", strings.Replace(stamped(sample), "[   12.000001] read (", "** 3 printk messages dropped ** [   12.000001] read (", 1), "lines are missing"},
		{"missed by the journal", eachLine(edit("read (marked)", "Missed 3 kernel messages\nread (marked)"), func(l string) string { return "Nov 25 08:00:00 host kernel: " + l }), "lines are missing"},
		{"lost by the reader", edit("read (marked)", "/dev/kmsg buffer overrun, some messages lost.\nread (marked)"), "lines are missing"},
		{"a trace that began before", trace + stamped(sample), "another stack trace began before it"},
		{"a trace inside", stamped(edit(" tick_sched_timer", "Call Trace:\n <TASK>\n foo+0x1/0x2\n </TASK>\n tick_sched_timer")), "another stack trace"},
		{"no stacks", dropLines(sample, func(l string) bool { return strings.HasPrefix(l, " ") && !strings.HasPrefix(l, " #") }), ""},
		{"another function on top", edit(" tick_nohz_stop_tick+0x61", " tick_nohz_start_tick+0x61"), "does not agree"},
		{"elided on top", edit(" tick_nohz_stop_tick+0x61/0x3c0\n", " ...\n"), ""},
		{"an access lost", sample[:strings.Index(sample, "read (marked)")] + sample[strings.Index(sample, "Reported"):], ""},
		{"three accesses", edit("1 lock held", "write to 0xffffffff82a05000 of 8 bytes by task 3 on cpu 0:\n a+0x1/0x2\n\n1 lock held"), ""},
		{"a value of another width", edit("0x00000000ffff1234 -> 0x00000000ffff1235", "0x1234 -> 0x1235"), "does not agree"},
		{"a name between offsets", stamped(edit("tick_sched_timer+0x9a/0xb0", "tick_sched_timer")), ""},
	} {
		found := Parse("boot\n" + c.log)
		if len(found) != 1 || found[0].Grade != kcsan.GradeFragment || found[0].Title != sampleTitle || !strings.Contains(found[0].Reason, c.reason) {
			t.Errorf("%s", c.name)
			for _, f := range found {
				t.Errorf("    %s %q %q %q\n%s", f.Grade, f.Title, f.Reason, f.Differences, f.Text())
			}
		}
	}
	// A trace that is over is no reason.
	for _, end := range []string{"[   12.000000]  ret_from_fork_asm+0x1a/0x30\n", "[   12.000000]  entry_SYSCALL_64_after_hwframe+0x77/0x7f\n[   12.000000]  </TASK>\n",
		"[   12.000000]  </TASK>\n", "[   12.000000] ---[ end trace 0000000000000000 ]---\n", "[   12.000000] \n"} {
		if found := Parse(trace + end + stamped(sample)); len(found) != 1 || found[0].Grade != kcsan.GradeWhole {
			t.Errorf("after %q: %+v", end, found)
		}
	}
	// Callers tell the traces apart.
	if found := Parse("[    1.0][   T7] Call Trace:\n[    1.0][   T7]  a+0x1/0x2\n" + eachLine(sample, func(l string) string { return "[    1.0][   T8] " + l })); len(found) != 1 || found[0].Grade != kcsan.GradeWhole {
		t.Errorf("with callers: %+v", found)
	}
}

// TestNeverSilent hides a title where lines are not looked at closely.
func TestNeverSilent(t *testing.T) {
	name := title + " data-race in a / b"
	for what, log := range map[string]string{
		"in prose":                        "we saw \"" + name + "\" once\n",
		"at the end without newline":      "x\n" + name,
		"without a name":                  title + "\n",
		"without a blank":                 "BUG: KCSAN:data-race in a / b\n",
		"deep in a line":                  strings.Repeat("x", 9000) + name + "\n",
		"at the end of megabytes":         strings.Repeat("x ", 1<<20) + name + "\n",
		"behind every cut":                strings.Repeat("x", readBuffer-5) + name + "\n",
		"behind brackets":                 strings.Repeat("[", 5000) + name + "\n",
		"in JSON under any key":           `{"a":{"b":[{"unheard of":"` + name + `"}]}}` + "\n",
		"as a key":                        `{"` + name + `":1}` + "\n",
		"in JSON that breaks":             "{\n\"a\": 1,\n" + name + "\n",
		"in a JSON string that breaks":    `{"msg": "` + name + "\n",
		"in a long JSON string":           `{"msg":"` + strings.Repeat(`x\n`, 100_000) + name + `"}` + "\n",
		"in a long JSON string, one line": `{"msg":"` + strings.Repeat(`x`, 300_000) + name + `"}` + "\n",
		"in bytes":                        `{"MESSAGE":[` + strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(name)), " ", ","), "[]") + `]}` + "\n",
		"in escapes of JSON":              `{"m":"\u0042UG: KCSAN: data-race in a \/ b"}` + "\n",
		"in tags":                         "<b>BUG:</b> <i>KCSAN:</i> data-race in a / b\n",
		"between colours":                 "\x1b[31mBUG: \x1b[0mKCSAN: data-race in a / b\n",
		"in a soft break":                 "Content-Transfer-Encoding: quoted-printable\n\nBUG: KC=\nSAN: data-race in a / b\n",
		"in a soft break at the end":      "Content-Transfer-Encoding: quoted-printable\n\n" + name + "=",
		"after a return":                  "10%\r20%\r" + name + "\r30%\n",
		"in UTF-16":                       "\xff\xfe" + wide(name+"\n", 0),
		"in UTF-16, the other order":      "\xfe\xff" + wide(name+"\n", 1),
		"with NUL bytes":                  "\x00\x00\x00" + strings.Join(strings.Split(name, ""), "\x00") + "\n",
		"in a field of the journal":       "__CURSOR=x\nMESSAGE\n" + string([]byte{byte(len(name)), 0, 0, 0, 0, 0, 0, 0}) + name + "\n\n",
		"behind a huge field":             "__CURSOR=x\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\x7f" + name + "\n",
		"old Mac line ends":               "boot\r" + name + "\rdone\r",
	} {
		found := Parse(log)
		if len(found) == 0 {
			t.Errorf("%s: nothing", what)
			continue
		}
		for _, f := range found {
			if f.Grade != kcsan.GradeFragment || f.Reason == "" {
				t.Errorf("%s: %+v", what, f)
			}
		}
		if what != "without a name" && !strings.HasPrefix(found[0].Title, "data-race in a / b") {
			t.Errorf("%s: title %q", what, found[0].Title)
		}
	}
	// What does not name a race in its text is not one: base64 is not read.
	if found := Parse(base64.StdEncoding.EncodeToString([]byte(sample)) + "\n"); len(found) != 0 {
		t.Errorf("base64: %+v", found)
	}
}

// wide writes ASCII as UTF-16.
func wide(s string, low int) string {
	out := make([]byte, 2*len(s))
	for i := range s {
		out[2*i+low] = s[i]
	}
	return string(out)
}
