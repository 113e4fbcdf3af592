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
