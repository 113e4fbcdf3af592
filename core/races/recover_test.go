package races

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/linux"
	"coredrop/core/progress"
	"coredrop/server/corpustest"
)

var results = map[string]*Result{}

// recovered recovers the reports of a case; each once for all tests.
func recovered(t testing.TB, name string, o linux.Options) *Result {
	t.Helper()
	key := name
	if o.IgnoreInfo {
		key += " without vmcoreinfo"
	}
	if results[key] == nil {
		r, err := Recover(context.Background(), locate(t, name, o), progress.Sink{})
		if err != nil {
			t.Fatal(err)
		}
		results[key] = r
	}
	return results[key]
}

// TestPrinted compares the log's reports with those that were taken apart by
// caller with another tool.
func TestPrinted(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		b, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "reports.json"))
		if os.IsNotExist(err) {
			b = []byte("[]")
		} else if err != nil {
			t.Fatal(err)
		}
		var want []struct {
			Lines    []string
			Complete bool
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		left := map[string]int{}
		n := 0
		for _, w := range want {
			if w.Complete {
				left[strings.Join(w.Lines, "\n")+"\n"]++
				n++
			}
		}
		r := recovered(t, name, linux.Options{})
		for _, rep := range r.Reports {
			if rep.State != Printed {
				continue
			}
			if left[rep.Text] != rep.Count {
				t.Errorf("%s: %d times, want %d:\n%s", name, rep.Count, left[rep.Text], rep.Text)
			}
			delete(left, rep.Text)
		}
		for text := range left {
			t.Errorf("%s: not found:\n%s", name, text)
		}
		if r.Count(Printed) != n {
			t.Errorf("%s: %d printed, want %d", name, r.Count(Printed), n)
		}
	}
}

// wantText is what the guest printed when it was let go on, without time stamps.
func wantText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "truth.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		_, text, _ := strings.Cut(line, "] ")
		if strings.HasPrefix(text, "[") {
			_, text, _ = strings.Cut(text, "] ")
		}
		out.WriteString(text)
	}
	return out.String()
}

// objects is what the line above the rebuilt report says of the raced address.
var objects = map[string]string{
	"f-heap-inflight":   "object of slab cache race_cache, offset 68",
	"g-static-inflight": "variable race_static_obj: struct race_static.in[1].hi",
}

// TestRebuilt compares what is rebuilt from memory with what the same guest
// printed, also when nothing of vmcoreinfo is used.
func TestRebuilt(t *testing.T) {
	cases := map[string]struct {
		state   string
		unknown string
		sources string
	}{
		"a-inflight-signal":       {InFlight, "", "cpu 3, other_infos[46]"},
		"a-inflight-pending":      {Pending, "new value", "cpu 1, other_infos[46]"},
		"a-inflight-unknown":      {InFlight, "", "cpu 0"},
		"b-inflight-verbose-la57": {InFlight, "", "cpu 2, other_infos[4]"},
		"d-inflight-signal":       {InFlight, "", ""},
		"e-inflight":              {InFlight, "", "cpu 3, other_infos[49]"},
		"f-heap-inflight":         {InFlight, "", "cpu 1, other_infos[51]"},
		"g-static-inflight":       {InFlight, "", "cpu 0, other_infos[28]"},
	}
	for name, c := range cases {
		want := wantText(t, name)
		for _, o := range []linux.Options{{}, {IgnoreInfo: true}} {
			r := recovered(t, name, o)
			var got []Report
			for _, rep := range r.Reports {
				if rep.State != Printed && rep.State != Residue {
					got = append(got, rep)
				}
			}
			if len(got) != 1 {
				t.Errorf("%s: %d rebuilt, want 1: %+v", name, len(got), got)
				continue
			}
			g := got[0]
			if g.State != c.state || strings.Join(g.Unknown, ", ") != c.unknown {
				t.Errorf("%s (ignore info %v): state %s, unknown %q", name, o.IgnoreInfo, g.State, g.Unknown)
			}
			if c.sources != "" && strings.Join(g.Sources, ", ") != c.sources {
				t.Errorf("%s: from %q, want %q", name, g.Sources, c.sources)
			}
			if about := objects[name]; g.what() != "; at the address: "+about && about != "" || len(g.Objects) != len(accesses(g.Model)) {
				t.Errorf("%s: %q", name, g.what())
			}
			if g.Text != want {
				t.Errorf("%s (ignore info %v): rebuilt\n%s\nwant\n%s", name, o.IgnoreInfo, g.Text, want)
			}
		}
	}
}

// TestNothingInvented: cores of running and panicked guests hold nothing that
// is not printed, but for what is left of reports before.
func TestNothingInvented(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		if strings.Contains(name, "inflight") {
			continue
		}
		r := recovered(t, name, linux.Options{})
		for _, rep := range r.Reports {
			if rep.State != Printed && rep.State != Residue {
				t.Errorf("%s: %s from %v:\n%s", name, rep.State, rep.Sources, rep.Text)
			}
		}
		t.Logf("%s: %d printed, %d residue, %d fragments", name, r.Count(Printed), r.Count(Residue), len(r.Fragments))
	}
}

// TestSuppressed: a report that was filtered is shown with the rule.
func TestSuppressed(t *testing.T) {
	r := recovered(t, "b-inflight-filtered-la57", linux.Options{})
	if r.Count(InFlight) != 0 || r.Count(Pending) != 0 || r.Count(Suppressed) != 1 {
		t.Fatalf("%d in flight, %d pending, %d suppressed", r.Count(InFlight), r.Count(Pending), r.Count(Suppressed))
	}
	for _, rep := range r.Reports {
		if rep.State == Suppressed {
			if rep.Rule == "" || !strings.Contains(rep.Rule, "value") || rep.Title != "data-race in test_kernel_read [kcsan_test] / test_kernel_write [kcsan_test]" {
				t.Errorf("rule %q, title %q", rep.Rule, rep.Title)
			}
		}
	}
}

// TestPrintedOnce: after a panic inside the printing the slot is still live; the
// report is shown once, with everything that it stands in.
func TestPrintedOnce(t *testing.T) {
	r := recovered(t, "a-panic", linux.Options{})
	if len(r.Reports) != 1 || r.Reports[0].State != Printed || strings.Join(r.Reports[0].Sources, ", ") != "log, cpu 0, other_infos[46]" {
		t.Errorf("%+v", r.Reports)
	}
}
