package find

import (
	"strings"
	"testing"
	"time"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// filetime counts 100 ns since 1601.
func filetime(year int) uint64 {
	return uint64(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Unix()+11_644_473_600) * 10_000_000
}

// TestClocks: a clock that cannot be right is a warning and no date; the other
// one stays.
func TestClocks(t *testing.T) {
	const system, uptime = windows.SharedVA + 0x14, windows.SharedVA + 0x08
	g := newGuest(t)
	good := g.found(nil, demoDTB, "cpu0 cr3").Shared
	triple := func(v uint64) []byte { return append(le64(v), le32(uint32(v>>32))...) }
	for name, c := range map[string]struct {
		at   mem.VA
		raw  []byte
		text string
	}{
		"never set":       {system, triple(0), "the system time, 0x0, is not between 2000 and 2100"},
		"1999":            {system, triple(filetime(2000) - 1), "between 2000 and 2100"},
		"2101":            {system, triple(filetime(2100) + 1), "between 2000 and 2100"},
		"parts":           {system, append(le64(filetime(2020)), le32(7)...), "the parts of the system time contradict each other"},
		"uptime":          {uptime, triple(filetime(1702)), "the uptime"},
		"parts of uptime": {uptime, append(le64(1<<33), le32(9)...), "the parts of the uptime contradict each other"},
	} {
		g := newGuest(t)
		g.put(c.at, c.raw)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		want := good
		if c.at == system {
			want.SystemTime = 0
		} else {
			want.InterruptTime = 0
		}
		if s := k.Shared; s.SystemTime != want.SystemTime || s.InterruptTime != want.InterruptTime {
			t.Errorf("%s: %#x, %#x", name, s.SystemTime, s.InterruptTime)
		}
		if len(k.Warnings) != 1 || k.Warnings[0].Code != fault.ClockImplausible || !strings.Contains(k.Warnings[0].Text, c.text) {
			t.Errorf("%s: warnings %v", name, k.Warnings)
		}
	}
	for _, year := range []int{2000, 2026, 2100} {
		g := newGuest(t)
		g.put(system, triple(filetime(year)))
		if k := g.found(nil, demoDTB, "cpu0 cr3"); k.Shared.SystemTime != filetime(year) || len(k.Warnings) != 0 {
			t.Errorf("%d: %#x, %v", year, k.Shared.SystemTime, k.Warnings)
		}
	}
}
