package races

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/mem"
)

// goldenText is what the kernel of a version prints for the race of newRaceGuest.
func goldenText(v kcsan.Version, g *raceGuest, values bool) string {
	f := v.Features()
	var b strings.Builder
	b.WriteString(kcsan.Separator + "\nBUG: KCSAN: data-race in alpha / beta\n\n")
	fmt.Fprintf(&b, "read (marked) to 0x%016x of 8 bytes by task 3 on cpu 0:\n alpha+0x8/0x30\n thread+0x8/0x30\n\n", uint64(guestAddr))
	fmt.Fprintf(&b, "write to 0x%016x of 4 bytes by task 4 on cpu 1:\n beta+0x10/0x30\n thread+0x8/0x30\n\n", uint64(guestAddr+4))
	if f.ValueChange && values {
		b.WriteString("value changed: 0x00000011 -> 0x00000022\n\n")
	}
	uid, tail := "", ""
	if f.FooterUID {
		uid, tail = " UID: 0", " "
	}
	fmt.Fprintf(&b, "Reported by Kernel Concurrency Sanitizer on:\nCPU: 1%s PID: 4 Comm: consumer Not tainted %s.0 #1%s\n%s\n", uid, v, tail, kcsan.Separator)
	return b.String()
}

// only is the one report of a result that is not residue.
func only(t *testing.T, r *Result) Report {
	t.Helper()
	list := slices.DeleteFunc(slices.Clone(r.Reports), func(rep Report) bool { return rep.State == Residue })
	if len(list) != 1 {
		t.Fatalf("%d reports: %+v; warnings %v", len(list), list, r.Warnings)
	}
	return list[0]
}

// TestGenerations rebuilds the same race on a guest of each generation: both
// layouts, both numberings of access kinds, with data symbols and without.
func TestGenerations(t *testing.T) {
	for _, v := range kcsan.Versions() {
		for _, data := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v data symbols %v", v, data), func(t *testing.T) {
				g := newRaceGuest(guestOptions{version: v, data: data, change: uint64(kcsan.ValueTrue)})
				r := recoverGuest(t, g)
				s := r.State
				if s == nil {
					t.Fatal("no KCSAN found")
				}
				from := "code"
				if data {
					from = "symbol"
				}
				for name, want := range map[string]uint64{"other_infos": g.infos, "watchpoints": g.points, "kcsan_counters": g.counts, "report_times": g.times} {
					if s.addrs[name] != want || s.From[name] != from {
						t.Errorf("%s at %#x by %s, want %#x by %s", name, s.addrs[name], s.From[name], want, from)
					}
				}
				if s.Version != v || s.layout != g.layout || s.From["layout"] != "code" {
					t.Errorf("version %v, layout %+v by %s", s.Version, s.layout, s.From["layout"])
				}
				if s.NumTimes != guestTimes || s.Counters[kcsan.SetupWatchpoints] != 7 || len(s.Watchpoints) != 1 {
					t.Errorf("%d times, counters %v, watchpoints %v", s.NumTimes, s.Counters, s.Watchpoints)
				}
				if data && (s.NumSlots != guestSlots || s.OnceJiffies != guestOnce) {
					t.Errorf("%d slots, once in %d jiffies", s.NumSlots, s.OnceJiffies)
				}
				got := only(t, r)
				want := goldenText(v, g, true)
				if !data { // what data symbols would tell of the footer
					if !slices.Contains(got.Unknown, unknownFooter) {
						t.Errorf("unknown %q", got.Unknown)
					}
					want, _, _ = strings.Cut(want, "Reported by")
					got.Text, _, _ = strings.Cut(got.Text, "Reported by")
				}
				if got.State != InFlight || got.Text != want {
					t.Errorf("%s, unknown %q:\n%s\nwant\n%s", got.State, got.Unknown, got.Text, want)
				}
			})
		}
	}
}

// TestDetectionSteps: with one source of evidence gone the next decides, and with
// the wrong one alone the result would be another.
func TestDetectionSteps(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      guestOptions
		layout layout
		from   string
		v      kcsan.Version
	}{
		{"code against the release", guestOptions{version: kcsan.V5_10, release: "6.1.0"}, layoutSeed, "code", kcsan.V5_10},
		{"code against the release, newer", guestOptions{version: kcsan.V6_1, release: "5.10.0"}, layoutIP, "code", kcsan.V6_1},
		{"slots against the release", guestOptions{version: kcsan.V5_10, release: "6.1.0", noImul: true}, layoutSeed, "slots", kcsan.V5_10},
		{"slots against the release, newer", guestOptions{version: kcsan.V6_1, release: "5.10.0", noImul: true}, layoutIP, "slots", kcsan.V6_1},
		{"release alone, old", guestOptions{version: kcsan.V5_10, release: "5.10.0", noImul: true, noSlot: true, noTexts: true}, layoutSeed, "release", kcsan.V5_10},
		{"release alone, new", guestOptions{version: kcsan.V6_1, release: "6.1.0", noImul: true, noSlot: true, noTexts: true}, layoutIP, "release", kcsan.V6_1},
	} {
		c.o.data = true
		r := recoverGuest(t, newRaceGuest(c.o))
		if s := r.State; s == nil || s.layout != c.layout || s.From["layout"] != c.from || s.Version != c.v {
			t.Errorf("%s: layout %+v by %s, version %v", c.name, s.layout, s.From["layout"], s.Version)
		}
	}
}

// TestStages: the same race at each point of its way to the printing.
func TestStages(t *testing.T) {
	for _, v := range []kcsan.Version{kcsan.V5_10, kcsan.V6_1} {
		for _, c := range []struct {
			name    string
			o       guestOptions
			state   string
			values  bool
			unknown []string
			rule    string
		}{
			{"entry", guestOptions{change: uint64(kcsan.ValueTrue)}, InFlight, true, nil, ""},
			{"inside", guestOptions{inside: true}, InFlight, false, []string{unknownValues}, ""},
			{"waiting", guestOptions{stage: waiting}, Pending, false, []string{unknownValues}, ""},
			{"no change", guestOptions{change: uint64(kcsan.ValueFalse)}, Suppressed, true, nil, kcsan.SkipNoChange.String()},
			{"maybe", guestOptions{change: uint64(kcsan.ValueMaybe)}, InFlight, true, nil, ""},
			{"value change only", guestOptions{change: uint64(kcsan.ValueMaybe), vco: true}, Suppressed, true, nil, kcsan.SkipUnchanged.String()},
			{"rate limit", guestOptions{change: uint64(kcsan.ValueTrue), limited: true}, Suppressed, true, nil, "rate limit: report_times[0] holds the same pair of frames"},
		} {
			t.Run(fmt.Sprintf("%v %s", v, c.name), func(t *testing.T) {
				o := c.o
				o.version, o.data = v, true
				g := newRaceGuest(o)
				got := only(t, recoverGuest(t, g))
				unknown := c.unknown
				if !v.Features().ValueChange {
					unknown = nil
				}
				if got.State != c.state || got.Rule != c.rule || !slices.Equal(got.Unknown, unknown) {
					t.Errorf("state %s, rule %q, unknown %q", got.State, got.Rule, got.Unknown)
				}
				if want := goldenText(v, g, c.values); got.Text != want {
					t.Errorf("got\n%s\nwant\n%s", got.Text, want)
				}
			})
		}
	}
}

// TestDelaying: the consumer's access is put together from the function that was
// called for it and from what stands on its stack.
func TestDelaying(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, delays: true})
	got := only(t, recoverGuest(t, g))
	if got.State != Pending || !slices.Equal(got.Unknown, []string{unknownValue}) || !slices.Equal(got.Sources, []string{"cpu 1", "other_infos[5]"}) {
		t.Errorf("%+v", got)
	}
	want := strings.Replace(goldenText(kcsan.V6_1, g, false), fmt.Sprintf("0x%016x of 4", uint64(guestAddr+4)), fmt.Sprintf("0x%016x of 8", uint64(guestAddr)), 1)
	if got.Text != want {
		t.Errorf("got\n%s\nwant\n%s", got.Text, want)
	}
}

// TestUnknownOrigin: one thread, and no slot.
func TestUnknownOrigin(t *testing.T) {
	for _, v := range []kcsan.Version{kcsan.Reference, kcsan.V6_1} {
		g := newRaceGuest(guestOptions{version: v, data: true, noSlot: true, change: uint64(kcsan.ValueMaybe)})
		got := only(t, recoverGuest(t, g))
		if got.State != InFlight || !strings.Contains(got.Text, "race at unknown origin, with write to 0xffffffff81300044 of 4 bytes by task 4 on cpu 1:\n beta+0x10/0x30\n thread+0x8/0x30\n") ||
			!strings.Contains(got.Text, "BUG: KCSAN: data-race in beta+0x10/0x30\n") {
			t.Errorf("%v: %s\n%s", v, got.State, got.Text)
		}
	}
}

// TestLonely: a live slot whose consumer is on no CPU is shown by the producer's
// side, and not as a report.
func TestLonely(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true})
	m := g.Machine()
	m.CPUs[1].State.SetAll(cpu.Values{cpu.RIP: 0x401000, cpu.CS: 0x33})
	r := recoverMachine(t, m)
	got := only(t, r)
	if got.State != Pending || got.Model != nil || !slices.Equal(got.Unknown, []string{unknownOwn}) || !strings.HasPrefix(got.Text, "read (marked) to ") || got.Title != "data-race in alpha / ?" {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || len(logtext.Parse(b.String())) != 0 {
		t.Errorf("it reads back as a report: %v\n%s", err, b.String())
	}
}

// TestResidue: what was consumed, and what only the rate limit remembers.
func TestResidue(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, change: uint64(kcsan.ValueTrue)})
	old := g.infos + uint64(9*g.layout.entry)
	g.Poke(old, g.access(guestOptions{version: kcsan.V6_1}, 0xffffffff81300800, 0, kcsan.AccessWrite, 77, 2))
	g.Poke64(old+uint64(g.layout.numStack), 1)
	g.Poke64(old+uint64(g.layout.stack), g.thread+4)
	g.Poke64(g.times+rtTime, 5)
	g.Poke64(g.times+rtFrame1, g.thread+0x10)
	r := recoverGuest(t, g)
	if r.Count(Residue) != 2 || r.Count(InFlight) != 1 {
		t.Fatalf("%+v", r.Reports)
	}
	var got []string
	for _, rep := range r.Reports {
		if rep.State == Residue {
			got = append(got, rep.Label()+"|"+rep.Title+"|"+rep.Text)
		}
	}
	want := []string{
		"residue: left in other_infos[9]; not known: size, the thread that set the watchpoint up|data-race in thread / ?|write to 0xffffffff81300800 of ? bytes by task 77 on cpu 2:\n thread+0x4/0x30\n",
		"residue: left in report_times[0]; not known: accesses and stacks|data-race in thread|thread+0x10/0x30\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestHostileSlots: values that no kernel writes neither end nor mislead the
// recovery.
func TestHostileSlots(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, change: uint64(kcsan.ValueTrue)})
	garbage := make([]byte, g.layout.entry)
	for i := range garbage {
		garbage[i] = byte(i*7 + 1)
	}
	for _, i := range []int{0, 20, 65} {
		g.Poke(g.infos+uint64(i*g.layout.entry), garbage)
	}
	// One with an access kind that has no name.
	g.Poke(g.infos+uint64(30*g.layout.entry), g.access(guestOptions{version: kcsan.V6_1}, 0xffffffff81300900, 8, 0, 3, 0))
	g.Poke(g.infos+uint64(30*g.layout.entry)+aiType, binary.LittleEndian.AppendUint32(nil, 0xff00))
	g.Poke64(g.infos+uint64(30*g.layout.entry+g.layout.numStack), 64)
	r := recoverGuest(t, g)
	if r.Count(InFlight) != 1 {
		t.Errorf("%+v", r.Reports)
	}
	for _, rep := range r.Reports {
		if rep.Model != nil {
			if _, err := kcsan.Parse(rep.Text); err != nil {
				t.Errorf("%v:\n%s", err, rep.Text)
			}
		}
	}
}

// TestNoKCSAN: a kernel without it has an empty result and a warning; where the
// symbol table is missing, nothing is said of how the kernel was built.
func TestNoKCSAN(t *testing.T) {
	g := linuxtest.New(linuxtest.Config{Release: "6.1.0", Note: true, DataSymbols: true})
	r := recoverMachine(t, g.Machine())
	if r.State != nil || len(r.Reports) != 0 || !warned(r, fault.NoKCSAN) {
		t.Errorf("%+v", r)
	}
	m := newRaceGuest(guestOptions{version: kcsan.V6_1}).Machine()
	// The image's read-only data, where the table is.
	d := damaged{m.Mem, map[mem.PA]byte{}}
	for pa := mem.PA(0x1200000); pa < 0x1204000; pa++ {
		d.bytes[pa] = 0x55
	}
	m.Mem = d
	r = recoverMachine(t, m)
	if r.State != nil || len(r.Reports) != 0 || !warned(r, fault.UnknownLayout) || warned(r, fault.NoKCSAN) {
		t.Errorf("%+v", r)
	}
}

func warned(r *Result, code fault.Code) bool {
	return slices.ContainsFunc(r.Warnings, func(w fault.Warning) bool { return w.Code == code })
}

func TestTsanAccess(t *testing.T) {
	for name, want := range map[string]kcsan.Access{
		"__tsan_read8":                            {Size: 8},
		"__tsan_unaligned_write16":                {Size: 16, Type: kcsan.AccessWrite},
		"__tsan_unaligned_volatile_read1":         {Size: 1, Type: kcsan.AccessAtomic},
		"__tsan_volatile_write4":                  {Size: 4, Type: kcsan.AccessWrite | kcsan.AccessAtomic},
		"__tsan_read_write2":                      {Size: 2, Type: kcsan.AccessWrite | kcsan.AccessCompound},
		"__tsan_func_entry":                       {},
		"__tsan_atomic64_load":                    {Size: 8, Type: kcsan.AccessAtomic},
		"__tsan_atomic8_store":                    {Size: 1, Type: kcsan.AccessAtomic | kcsan.AccessWrite},
		"__tsan_atomic32_fetch_add":               {Size: 4, Type: kcsan.AccessAtomic | kcsan.AccessWrite | kcsan.AccessCompound},
		"__tsan_atomic16_compare_exchange_strong": {Size: 2, Type: kcsan.AccessAtomic | kcsan.AccessWrite | kcsan.AccessCompound},
		"__tsan_atomic_thread_fence":              {},
		"__tsan_read99":                           {},
		"kcsan_check_access":                      {},
	} {
		size, typ, ok := tsanAccess(name)
		if ok != (want.Size != 0) || size != want.Size || typ != want.Type {
			t.Errorf("%s: %d %v %v", name, size, typ, ok)
		}
	}
	for name, want := range map[string]kcsan.AccessType{"__tsan_read_range": 0, "__tsan_write_range": kcsan.AccessWrite} {
		if size, typ, ok := tsanAccess(name); !ok || size != 0 || typ != want {
			t.Errorf("%s: %d %v %v", name, size, typ, ok)
		}
	}
}

// TestMidPrint: the log already holds the same race once, and the beginning of
// the one that is being printed: both are shown, and the beginning is no piece.
func TestMidPrint(t *testing.T) {
	for _, c := range []struct {
		name           string
		age            uint64 // of the whole one, in milliseconds
		begun          bool
		printed, alive int
	}{
		{"old one and a beginning", 500, true, 1, 1},
		{"old one, nothing printed yet", 500, false, 1, 1},
		{"the one itself", 5, false, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := guestOptions{version: kcsan.V6_1, data: true, inside: true}
			g := newRaceGuest(o)
			var records []linuxtest.Record
			lines := strings.Split(strings.TrimSuffix(goldenText(kcsan.V6_1, g, false), "\n"), "\n")
			add := func(ms uint64, lines []string) {
				for _, l := range lines {
					records = append(records, linuxtest.Record{Seq: uint64(len(records)), Time: ms * 1e6, Level: 3, Caller: 4, Text: l})
				}
			}
			const now = 10_000
			add(now-c.age, lines)
			if c.begun {
				add(now, lines[:6])
			}
			records = append(records, linuxtest.Record{Seq: uint64(len(records)), Time: now * 1e6, Caller: 1 << 31, Text: "noise"})
			g.Log(records)
			r := recoverGuest(t, g)
			if r.Count(Printed) != c.printed || r.Count(InFlight) != c.alive || len(r.Fragments) != 0 {
				t.Errorf("%d printed, %d in flight, fragments %+v", r.Count(Printed), r.Count(InFlight), r.Fragments)
			}
			for _, rep := range r.Reports {
				want := "cpu 1, other_infos[5]"
				if rep.State == Printed {
					want = "log"
					if c.alive == 0 {
						want = "log, cpu 1, other_infos[5]"
					}
				} else if c.begun {
					want += ", log"
				}
				if got := strings.Join(rep.Sources, ", "); got != want {
					t.Errorf("%s from %q, want %q", rep.State, got, want)
				}
			}
		})
	}
}
