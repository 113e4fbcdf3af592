package core

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/machine"
	"coredrop/core/races"
)

// TestRaces goes through the front door with a core in whose kernel a report
// was about to be printed.
func TestRaces(t *testing.T) {
	dir := filepath.Join(corpus(t), "kcsan", "a-inflight-unknown")
	f := unpack(t, filepath.Join(dir, "core.elf.zst"))
	result, sum, err := Races(context.Background(), fileSource(t, f), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := KCSANInfo{Printed: 44, InFlight: 1}
	if got := *sum.Linux.KCSAN; got.Printed != want.Printed || got.InFlight != want.InFlight || got.Pending != 0 || got.Suppressed != 0 {
		t.Errorf("counts %+v, want %+v and some residue", got, want)
	}
	if sum.Guest.OS != "linux" || sum.Linux.Release != "6.1.192-kcsan-a" || sum.Convert.Possible {
		t.Errorf("summary %+v %+v", sum.Guest, sum.Linux)
	}
	d := sum.Linux.Detail
	if d.KCSAN == nil || len(d.KCSAN.Counters) != int(kcsan.NumCounters) || d.KCSAN.Version != "6.1" || len(d.Tasks) == 0 || len(d.CPUs) != 4 || len(d.Commands) != 1 || sum.Guest.UptimeSeconds < 10 || sum.Guest.UptimeSeconds > 11 {
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
	found := kcsan.ParseLog(text.String())
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
	_, sum, err := Races(context.Background(), machine.Source{ReaderAt: strings.NewReader(string(b)), Size: int64(len(b)), Name: "demo"}, Options{})
	if !fault.Is(err, fault.IsWindows) || sum.Guest.OS != "windows" || sum.Error == nil || len(sum.Error.Remedy) == 0 {
		t.Errorf("%v, %+v", err, sum.Error)
	}
}
