package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
)

// kcsanText is a report whose own frame has the given offset.
func kcsanText(offset string) string {
	return kcsan.Separator + `
BUG: KCSAN: data-race in alpha / beta

read to 0xffffffff9f4ad020 of 8 bytes by task 42 on cpu 2:
 alpha+0x19/0x100

write to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 3:
 beta+` + offset + `/0x100

Reported by Kernel Concurrency Sanitizer on:
CPU: 3 PID: 43 Comm: access_thread Not tainted 5.9.1 #1
` + kcsan.Separator + "\n"
}

// kcsanStamped gives every line of a text a prefix.
func kcsanStamped(prefix, text string) string {
	return prefix + strings.Join(strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n"), prefix) + "\n"
}

// kcsanLog holds a report three times, twice with the same text, a foreign line
// in each, and a piece of a fourth.
func kcsanLog() string {
	a, b := kcsanText("0x22"), kcsanText("0x23")
	return "Linux version 5.9.1\n" +
		kcsanStamped("[    1.500000][   T43] ", a) +
		strings.ReplaceAll(kcsanStamped("[    2.000000][   T43] ", b), "\n\n", "\n[    2.000000][    C1] noise\n\n") +
		kcsanStamped("[    3.000000][   T44] ", a) +
		kcsanStamped("[    4.000000][   T45] ", a[:300])
}

// kcsanQuoted is what is written of a piece of a report: behind a mark, without
// the lines that begin a report.
func kcsanQuoted(text string) string {
	out := "#   data-race in alpha / beta\n"
	for _, line := range strings.Split(text, "\n") {
		if line != kcsan.Separator && !strings.Contains(line, "BUG: KCSAN:") {
			out += "#   " + line + "\n"
		}
	}
	return out
}

// kcsanRun runs the subcommand on standard input.
func kcsanRun(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = runKCSAN(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestKCSANText(t *testing.T) {
	code, out, errs := kcsanRun(t, kcsanLog(), "-")
	want := "# -: Linux 5.9.1; reports: 3 printed, 0 in flight, 0 pending, 0 suppressed, 0 residue\n\n# data-race in alpha / beta: 3 reports, 2 different texts\n" +
		"# printed 2 times, first at 1.500000 s by T43\n" + kcsanText("0x22") +
		"\n# printed at 2.000000 s by T43\n" + kcsanText("0x23") +
		"\n# not a whole report: the log ends in the middle of the report\n" +
		kcsanQuoted(kcsanText("0x22")[:300])
	if code != exitDone || out != want {
		t.Errorf("exit %d\n%s\nwant\n%s", code, out, want)
	}
	if want := "coredrop: warning: 1 report is not whole; what is left is shown with the reason [log-damaged]\n"; errs != want {
		t.Errorf("stderr %q, want %q", errs, want)
	}
	// What is printed is itself a log with the same reports.
	found := logtext.Parse(out)
	if len(found) != 2 || found[0].Text() != kcsanText("0x22") || found[1].Text() != kcsanText("0x23") {
		t.Errorf("read back: %+v", found)
	}

	code, out, errs = kcsanRun(t, "nothing of interest\n", "-")
	if code != exitDone || out != "# no race reports in -\n" || errs != "" {
		t.Errorf("no reports: exit %d, %q, %q", code, out, errs)
	}
}

func TestKCSANJSON(t *testing.T) {
	code, out, errs := kcsanRun(t, kcsanLog(), "-json", "-")
	if code != exitDone || !strings.Contains(errs, "[log-damaged]") {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	var got struct {
		Schema    int
		File      struct{ Name, Format string }
		Guest     struct{ OS string }
		Linux     struct{ KCSAN struct{ Printed int } }
		Reports   []map[string]any
		Fragments []map[string]any
		Warnings  []struct{ Code string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if got.Schema != 1 || got.File.Name != "-" || got.File.Format != "log" || got.Guest.OS != "linux" ||
		got.Linux.KCSAN.Printed != 3 || len(got.Reports) != 2 || len(got.Fragments) != 1 ||
		len(got.Warnings) != 1 || got.Warnings[0].Code != "log-damaged" {
		t.Fatalf("%+v", got)
	}
	first := got.Reports[0]
	for key, want := range map[string]any{"state": "printed", "title": "data-race in alpha / beta",
		"text": kcsanText("0x22"), "count": 2.0, "label": "printed 2 times, first at 1.500000 s by T43"} {
		if first[key] != want {
			t.Errorf("%s: %v, want %v", key, first[key], want)
		}
	}
	if s, _ := first["times"].([]any); len(s) != 2 || s[0] != 1.5 || s[1] != 3.0 {
		t.Errorf("times %v", first["times"])
	}
	if s, _ := first["sources"].([]any); len(s) != 1 || s[0] != "log" {
		t.Errorf("sources %v", first["sources"])
	}
	if got.Fragments[0]["reason"] != "the log ends in the middle of the report" {
		t.Errorf("fragment %v", got.Fragments[0])
	}

	// Empty lists are lists, and a log without stamps has no time.
	_, out, _ = kcsanRun(t, "", "-json", "-")
	for _, want := range []string{`"reports": []`, `"fragments": []`, `"warnings": []`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if _, out, _ = kcsanRun(t, kcsanText("0x1"), "-json", "-"); !strings.Contains(out, `"times": []`) {
		t.Errorf("a time without stamps: %s", out)
	}
}

func TestKCSANHostileLog(t *testing.T) {
	evil := strings.ReplaceAll(kcsanText("0x22"), "alpha", "al\x01pha")
	_, out, errs := kcsanRun(t, evil, "-")
	if strings.Contains(out+errs, "\x1b") || !strings.Contains(out, `al\x01pha`) {
		t.Errorf("a control character reaches the terminal, or is lost: %q", out)
	}
}

func TestKCSANErrors(t *testing.T) {
	dir := t.TempDir()
	core := filepath.Join(dir, "core.elf")
	if err := os.WriteFile(core, []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{nil, exitUsage, "kcsan takes one core or log"},
		{[]string{"a", "b"}, exitUsage, "kcsan takes one core or log"},
		{[]string{"-nonsense", "a"}, exitUsage, "coredrop: error: "},
		{[]string{filepath.Join(dir, "missing")}, exitFailed, "[input-unreadable]"},
		{[]string{dir}, exitFailed, "[input-unreadable]"},
		{[]string{core}, exitFailed, "[damaged-header]"},
	} {
		code, out, errs := kcsanRun(t, "", c.args...)
		if code != c.code || out != "" || !strings.Contains(errs, c.stderr) || !strings.HasPrefix(errs, "coredrop: error: ") {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", c.args, code, out, errs)
		}
	}
	code, out, _ := kcsanRun(t, "", "-json", core)
	var got struct {
		Reports []any
		Error   struct{ Code, Text string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.Error.Code != "damaged-header" {
		t.Errorf("exit %d, %v, %s", code, err, out)
	}
	// A core has to be a file: it is not read from its beginning to its end.
	code, out, _ = kcsanRun(t, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", "-json", "-")
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.Error.Code != "unknown-format" || got.Reports == nil {
		t.Errorf("exit %d, %v, %s", code, err, out)
	}
	if code, out, errs := kcsanRun(t, "", "-h"); code != exitDone || !strings.Contains(out, "-json") || errs != "" {
		t.Errorf("help: exit %d, %q, %q", code, out, errs)
	}

	// A full disk, and Ctrl-C.
	var errs bytes.Buffer
	if code := runKCSAN(t.Context(), []string{"-"}, strings.NewReader(kcsanLog()), kcsanFullDisk{}, &errs); code != exitFailed || !strings.Contains(errs.String(), "[output-failed]") {
		t.Errorf("full disk: exit %d, %q", code, errs.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs.Reset()
	if code := runKCSAN(ctx, []string{"-"}, strings.NewReader(kcsanLog()), io.Discard, &errs); code != exitFailed || !strings.Contains(errs.String(), "[cancelled]") {
		t.Errorf("cancelled: exit %d, %q", code, errs.String())
	}
}

type kcsanFullDisk struct{}

func (kcsanFullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestKCSANCorpus compares the command with the reports of the printk ring.
func TestKCSANCorpus(t *testing.T) {
	dir := os.Getenv("COREDROP_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	dir = filepath.Join(dir, "kcsan", "a-live")
	raw, err := os.ReadFile(filepath.Join(dir, "reports.json"))
	if err != nil {
		t.Skipf("the corpus is not here (set COREDROP_CORPUS): %v", err)
	}
	var truth []struct{ Lines []string }
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range truth {
		want = append(want, strings.Join(r.Lines, "\n")+"\n")
	}
	code, out, errs := kcsanRun(t, "", "-json", filepath.Join(dir, "serial.log"))
	if code != exitDone || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	var got struct {
		Reports []struct {
			Text  string
			Count int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range got.Reports {
		for range r.Count {
			texts = append(texts, r.Text)
		}
	}
	slices.Sort(want)
	slices.Sort(texts)
	if !slices.Equal(texts, want) {
		t.Errorf("%d reports, want the %d of the ring", len(texts), len(want))
	}
}

// TestKCSANForScripts holds the exit status to what a job asks: races that are
// not allowed, and logs that name races which cannot be read.
func TestKCSANForScripts(t *testing.T) {
	one := kcsanText("0x22")
	other := strings.ReplaceAll(kcsanText("0x1"), "beta", "gamma")
	cut := one[:strings.Index(one, "write to")]
	retyped := strings.TrimPrefix(one, kcsan.Separator+"\n")
	for _, c := range []struct {
		name, log string
		args      []string
		code      int
		out       string // "": not looked at
	}{
		{"no race", "nothing\n", []string{"-exit-code", "3"}, 0, ""},
		{"a race", one, nil, 0, ""},
		{"a race, asked for", one, []string{"-exit-code", "3"}, 3, ""},
		{"a retyped race", retyped, []string{"-exit-code", "3", "-quiet"}, 3, "1\tdata-race in alpha / beta\n"},
		{"an allowed race", one, []string{"-exit-code", "3", "-allow", "data-race in alpha / *"}, 0, ""},
		{"allowed as syzkaller names it", one, []string{"-exit-code", "3", "-allow", "KCSAN: data-race in * / beta"}, 0, ""},
		{"one of two allowed", one + one + other, []string{"-exit-code", "77", "-quiet", "-allow", "*beta"}, 77,
			"2\tdata-race in alpha / beta\tallowed\n1\tdata-race in alpha / gamma\n"},
		{"both allowed", one + other, []string{"-exit-code", "77", "-allow", "*beta", "-allow", "*gamma"}, 0, ""},
		{"another's title", one, []string{"-exit-code", "3", "-allow", "data-race in alpha"}, 3, ""},
		{"a piece only", cut, nil, 1, ""},
		{"a piece only, asked for", cut, []string{"-exit-code", "3", "-quiet"}, 3, "1\tdata-race in alpha / beta\tnot whole\n"},
		{"a piece and a report", cut + one, []string{"-quiet"}, 0, "2\tdata-race in alpha / beta\t1 not whole\n"},
		{"a name in prose", "we saw BUG: KCSAN: data-race in x / y here\n", nil, 1, ""},
		{"errors keep their status", one, []string{"-exit-code", "2"}, 2, ""},
		{"a status that does not exist", one, []string{"-exit-code", "256"}, 2, ""},
		{"a damaged pattern", one, []string{"-allow", "[a"}, 2, ""},
	} {
		code, out, errs := kcsanRun(t, c.log, append(c.args, "-")...)
		if code != c.code || c.out != "" && out != c.out {
			t.Errorf("%s: status %d, want %d\n%s%s", c.name, code, c.code, out, errs)
		}
		if strings.Contains(out, "no race reports") && strings.Contains(c.log, "BUG: KCSAN:") {
			t.Errorf("%s: %q", c.name, out)
		}
	}
	if code, _, errs := kcsanRun(t, cut+cut, "-"); code != 1 || !strings.Contains(errs, "names 2 races") || !strings.Contains(errs, "[log-damaged]") {
		t.Errorf("status %d, %s", code, errs)
	}
}
