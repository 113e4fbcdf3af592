package logtext

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/server/corpustest"
)

func TestSyzkallerLogs(t *testing.T) {
	dir := filepath.Join(corpustest.KCSAN(t), "syzkaller")
	for _, name := range []string{"427", "428", "449", "750"} {
		t.Run(name, func(t *testing.T) {
			head, log, _ := strings.Cut(readFile(t, filepath.Join(dir, name)), "\n\n")
			title, _, _ := strings.Cut(strings.TrimPrefix(head, "TITLE: "), "\n")
			found := Parse(log)
			if len(found) == 0 {
				t.Fatal("nothing found")
			}
			for i, f := range found {
				if f.Report == nil {
					t.Fatalf("report %d is a fragment: %s", i, f.Reason)
				}
				if got := f.Report.SyzTitle(); got != title {
					t.Errorf("title %q, want %q", got, title)
				}
				if want := kernelText(log, i); f.Text() != want {
					t.Errorf("got:\n%s\nwant:\n%s", f.Text(), want)
				}
			}
		})
	}
}

// kernelText returns the n-th report of one of the syzkaller logs without the
// console's prefixes, by a way of its own: the logs are not interleaved.
func kernelText(log string, n int) string {
	var reports []string
	var b strings.Builder
	inside, extra := false, ""
	for _, l := range strings.Split(strings.TrimSpace(log), "\n") {
		if strings.HasPrefix(l, "[") {
			l = l[strings.LastIndex(l[:min(len(l), 24)], "]")+1:]
			l = strings.TrimPrefix(l, " ")
		}
		if strings.HasSuffix(l, kcsan.Separator) {
			if !inside {
				extra = strings.TrimSuffix(l, kcsan.Separator)
				b.Reset()
			}
			inside = !inside
			b.WriteString(kcsan.Separator + "\n")
			if !inside {
				reports = append(reports, b.String())
			}
			continue
		}
		if inside {
			b.WriteString(strings.TrimPrefix(l, extra) + "\n")
		}
	}
	return reports[n]
}

// TestLogs compares what is found in whole console and crash logs with the
// reports that were put together from the printk ring.
func TestLogs(t *testing.T) {
	dir := corpustest.KCSAN(t)
	for _, c := range []string{"a-live", "b-live-la57", "c-live", "d-live"} {
		t.Run(c, func(t *testing.T) {
			var truth []struct {
				Caller string   `json:"caller_id"`
				Lines  []string `json:"lines"`
			}
			if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, c, "reports.json"))), &truth); err != nil {
				t.Fatal(err)
			}
			var a Assembler
			for _, r := range truth {
				for _, l := range r.Lines {
					a.AddRecord(Record{Caller: r.Caller, Text: l})
				}
			}
			found := a.Finish()
			if len(found) != len(truth) {
				t.Fatalf("%d reports of %d", len(found), len(truth))
			}
			for i, f := range found {
				if f.Report == nil {
					t.Errorf("report %d: %s", i, f.Reason)
					continue
				}
				if want := strings.Join(truth[i].Lines, "\n"); strings.Join(f.Lines, "\n") != want {
					t.Errorf("report %d: got\n%s\nwant\n%s", i, strings.Join(f.Lines, "\n"), want)
				}
			}
			for _, log := range []string{"dmesg.txt", "serial.log"} {
				want := map[string]bool{}
				for _, r := range truth {
					want[strings.Join(r.Lines, "\n")+"\n"] = true
				}
				for _, f := range Parse(readFile(t, filepath.Join(dir, c, log))) {
					// The ring lost the beginning of its oldest report; the
					// console lost nothing.
					if f.Report == nil && (log != "dmesg.txt" || f.Reason != "its beginning is missing") {
						t.Errorf("%s: fragment %q: %s", log, f.Title, f.Reason)
					}
					delete(want, f.Text())
				}
				for text := range want {
					t.Errorf("%s: not found:\n%s", log, text)
				}
			}
		})
	}
}

// TestConsoles holds what real consoles and logs give: every report whole, but
// for those that the log itself cut off.
func TestConsoles(t *testing.T) {
	dir := corpustest.KCSAN(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	cut := map[string]string{ // the machine was stopped, or the ring had wrapped
		"d-inflight-signal/serial.log":       "retyped",
		"b-inflight-verbose-la57/serial.log": "fragment",
		"b-live-la57/dmesg.txt":              "fragment",
		"c-live/dmesg.txt":                   "fragment",
	}
	whole, logs := 0, 0
	for _, file := range files {
		name, _ := filepath.Rel(dir, file)
		name = filepath.ToSlash(name)
		if base := filepath.Base(file); base != "serial.log" && base != "dmesg.txt" {
			continue
		}
		logs++
		text := readFile(t, file)
		found := Parse(text)
		named, others := 0, []string(nil)
		for _, f := range found {
			if f.Title != "" {
				named++
			}
			if f.Grade == kcsan.GradeWhole {
				whole++
				continue
			}
			others = append(others, f.Grade.String())
		}
		if want := strings.Count(text, titleLine); named != want {
			t.Errorf("%s: %d found of %d", name, named, want)
		}
		if got := strings.Join(others, " "); got != cut[name] {
			t.Errorf("%s: not whole: %q, want %q", name, got, cut[name])
		}
	}
	if logs < 26 || whole < 2140 {
		t.Errorf("%d whole reports in %d logs", whole, logs)
	}
}
