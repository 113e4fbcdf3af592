package core

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/server/corpustest"
)

// TestRaces goes through the front door with a core in whose kernel a report
// was about to be printed.
func TestRaces(t *testing.T) {
	dir := filepath.Join(corpus(t), "kcsan", "a-inflight-unknown")
	f := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
	result, sum, err := Races(context.Background(), fileSource(t, f), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := summary.KCSAN{Printed: 44, InFlight: 1}
	if got := *sum.Linux.KCSAN; got.Printed != want.Printed || got.InFlight != want.InFlight || got.Pending != 0 || got.Suppressed != 0 {
		t.Errorf("counts %+v, want %+v and some residue", got, want)
	}
	if sum.Guest.OS != "linux" || sum.Linux.Release != "6.1.192-kcsan-a" || sum.Convert.Possible {
		t.Errorf("summary %+v %+v", sum.Guest, sum.Linux)
	}
	d := sum.Linux.Detail
	if d.KCSAN == nil || len(d.KCSAN.Counters) != int(kcsan.NumCounters) || d.KCSAN.Version != "6.1" || len(d.Tasks) == 0 || len(sum.CPUs) != 4 || len(sum.CPUs[0].Stack) == 0 || sum.CPUs[0].Process == nil || len(d.Commands) != 1 || sum.Guest.UptimeSeconds < 10 || sum.Guest.UptimeSeconds > 11 {
		t.Errorf("detail %+v", d)
	}

	// In text form the reports stand for themselves: a parser of logs finds
	// exactly the printed and the rebuilt ones, and no label line.
	var text strings.Builder
	if err := result.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	var reports []string
	for _, r := range result.Reports {
		if r.State != races.Residue {
			reports = append(reports, r.Text)
		}
	}
	found := logtext.Parse(text.String())
	if len(found) != len(reports) {
		t.Fatalf("%d reports in the text, want %d", len(found), len(reports))
	}
	for i, f := range found {
		if f.Report == nil || f.Text() != reports[i] {
			t.Errorf("report %d reads back as\n%s", i, f.Text())
		}
	}
	if n := strings.Count(text.String(), "BUG: KCSAN:"); n != len(reports) {
		t.Errorf("%d title lines for %d reports", n, len(reports))
	}
	// The words by which syzkaller's pkg/report/linux.go tells that a line of a
	// Linux console begins a report.
	begins := regexp.MustCompile(`BUG:|WARNING:|INFO:|UBSAN:|Kernel panic|[kK]ernel BUG|Unable to handle kernel|general protection fault|` +
		`(divide|stack segment) error|invalid opcode:|Unhandled fault|Alignment trap|unregister_netdevice:|unreferenced object|Out of memory:|Internal error:|PANIC: double fault|trusty: panic`)
	titles := 0
	for _, line := range strings.Split(text.String(), "\n") {
		if begins.MatchString(line) {
			if !strings.HasPrefix(line, "BUG: KCSAN: ") {
				t.Errorf("taken for a report: %q", line)
			}
			titles++
		}
	}
	if titles != len(reports) {
		t.Errorf("%d lines begin a report, want %d", titles, len(reports))
	}

	log, _, err := LinuxLog(context.Background(), fileSource(t, f), Options{})
	if err != nil || !strings.HasPrefix(log, "[    0.000000] Linux version 6.1.192-kcsan-a ") {
		t.Errorf("log %.80q: %v", log, err)
	}
	if _, sum, err = Convert(context.Background(), fileSource(t, f), Options{}); !fault.Is(err, fault.IsLinux) || sum.Error == nil {
		t.Errorf("converting a Linux core: %v", err)
	}
}

// TestRacesOfWindows: a Windows core is named, and the conversion offered.
func TestRacesOfWindows(t *testing.T) {
	b, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	_, sum, err := Races(context.Background(), source.Source{ReaderAt: strings.NewReader(string(b)), Size: int64(len(b)), Name: "demo"}, Options{})
	if !fault.Is(err, fault.IsWindows) || sum.Guest.OS != "windows" || sum.Error == nil || len(sum.Error.Remedy) == 0 {
		t.Errorf("%v, %+v", err, sum.Error)
	}
}

// TestRacesOfLog: the text of a log gives the reports that stand in it.
func TestRacesOfLog(t *testing.T) {
	report := kcsan.Separator + "\nBUG: KCSAN: data-race in alpha / beta\n\nread to 0xffffffff9f4ad020 of 8 bytes by task 42 on cpu 2:\n alpha+0x19/0x100\n\n" +
		"write to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 3:\n beta+0x22/0x100\n\nReported by Kernel Concurrency Sanitizer on:\n" +
		"CPU: 3 PID: 43 Comm: x Not tainted 5.9.1 #1\n" + kcsan.Separator + "\n"
	for text, printed := range map[string]int{"noise\n" + report + "noise\n": 1, "nothing of interest\n": 0} {
		result, sum, err := Races(context.Background(), source.Source{ReaderAt: strings.NewReader(text), Size: int64(len(text)), Name: "dmesg"}, Options{})
		if err != nil || sum.File.Format != "log" || result.Count(races.Printed) != printed || len(sum.Reports) != printed || sum.Reports == nil {
			t.Errorf("%q: %v, %+v", text, err, sum)
		}
		if printed > 0 && (sum.Reports[0].Text != report || sum.Linux.Release != "5.9.1" || sum.Linux.KCSAN.Printed != 1 || sum.Guest.OS != "linux") {
			t.Errorf("%+v", sum)
		}
	}
	for _, data := range []string{"", "\x7fELF", "MSCF\x00\x00"} {
		if _, sum, err := Races(context.Background(), source.Source{ReaderAt: strings.NewReader(data), Size: int64(len(data)), Name: "x"}, Options{}); err == nil || sum.Error == nil {
			t.Errorf("%q is taken for a log", data)
		}
	}
}

// TestLogsInOtherClothes opens logs that look like something else: what names the
// sanitizer is a log.
func TestLogsInOtherClothes(t *testing.T) {
	text := kcsan.Separator + "\nBUG: KCSAN: data-race in alpha / beta\n\nread to 0xffffffff9f4ad020 of 8 bytes by task 42 on cpu 2:\n alpha+0x19/0x100\n\n" +
		"write to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 3:\n beta+0x22/0x100\n\nReported by Kernel Concurrency Sanitizer on:\n" +
		"CPU: 3 PID: 43 Comm: a Not tainted 5.9.1 #1\n" + kcsan.Separator + "\n"
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for name, file := range map[string]string{
		"a page":           "<!DOCTYPE html>\n<html><body><pre>" + text + "</pre></body></html>\n",
		"JSON":             "{\n \"dmesg\": [\n  {\"msg\": \"" + strings.Join(lines, "\"},\n  {\"msg\": \"") + "\"}\n ]\n}\n",
		"behind NUL bytes": strings.Repeat("\x00", 3000) + text,
		"with odd bytes":   "\x02\x05boot\xff\n" + text,
	} {
		c, err := Open(t.Context(), source.Source{ReaderAt: strings.NewReader(file), Size: int64(len(file)), Name: "x"}, Options{})
		if !fault.Is(err, fault.IsLog) && name != "behind NUL bytes" && name != "with odd bytes" {
			t.Errorf("%s: %v", name, err)
		}
		r, err := c.Races(t.Context())
		if err != nil || len(r.Reports) != 1 || c.Summary().File.Format != "log" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for name, file := range map[string]string{"gzip": "\x1f\x8b\x08\x00" + strings.Repeat("\x9c\x01KCSAN", 100), "xz": "\xfd7zXZ\x00\x00\x04" + strings.Repeat("\x9c\x01KCSAN", 100)} {
		c, _ := Open(t.Context(), source.Source{ReaderAt: strings.NewReader(file), Size: int64(len(file)), Name: "x"}, Options{})
		if r, err := c.Races(t.Context()); err == nil || !strings.Contains(fault.As(err).Text, name) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
