package kcsan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestR1_AccessKind(t *testing.T) {
	const w, c, a, s, x = AccessWrite, AccessCompound, AccessAtomic, AccessScoped, AccessAssert
	// %s stands for the version's word for SCOPED. since and until bound the
	// versions that know the name.
	type row struct {
		t     AccessType
		name  string
		since Version
	}
	rows := []row{
		{0, "read", Reference},
		{a, "read (marked)", Reference},
		{s, "read (%s)", Reference},
		{a | s, "read (marked, %s)", Reference},
		{w, "write", Reference},
		{w | a, "write (marked)", Reference},
		{w | s, "write (%s)", Reference},
		{w | a | s, "write (marked, %s)", Reference},
		{x, "assert no writes", Reference},
		{x | s, "assert no writes (%s)", Reference},
		{x | w, "assert no accesses", Reference},
		{x | w | s, "assert no accesses (%s)", Reference},
		// ASSERT comes first, and ATOMIC is then ignored.
		{x | a, "assert no writes", Reference},
		{x | a | w, "assert no accesses", Reference},
		{x | a | w | s, "assert no accesses (%s)", Reference},
		{w | c, "read-write", V5_10},
		{w | c | a, "read-write (marked)", V5_10},
		{w | c | s, "read-write (%s)", V5_16},
		{w | c | a | s, "read-write (marked, %s)", V5_16},
		// What no version has a name for.
		{c, "", versions},
		{c | a, "", versions},
		{c | s, "", versions},
		{1 << 5, "", versions},
		{w | 1<<31, "", versions},
	}
	eachVersion(t, func(t *testing.T, v Version) {
		scoped := "scoped"
		if v >= V5_17 {
			scoped = "reordered"
		}
		names := map[string]bool{}
		for _, r := range rows {
			got, err := v.KindName(r.t)
			if v < r.since {
				var bug *TypeError
				if !errors.As(err, &bug) || bug.Type != r.t || bug.Version != v {
					t.Errorf("%#x: %q, %v; want an error that names the value", uint64(r.t), got, err)
				}
				continue
			}
			want := strings.ReplaceAll(r.name, "%s", scoped)
			if err != nil || got != want {
				t.Errorf("%#x: %q, %v; want %q", uint64(r.t), got, err, want)
			}
			names[got] = true
		}
		want := map[Version]int{Reference: 12, V5_10: 14, V5_14: 14}[v]
		if want == 0 {
			want = 16
		}
		if len(names) != want {
			t.Errorf("%d names, want %d", len(names), want)
		}
	})
}

func TestR1_Numbering(t *testing.T) {
	for _, c := range []struct {
		v    Version
		raw  uint32
		want AccessType
	}{
		{Reference, 1, AccessWrite},
		{Reference, 2, AccessAtomic},
		{Reference, 4, AccessAssert},
		{Reference, 8, AccessScoped},
		{Reference, 13, AccessWrite | AccessAssert | AccessScoped},
		{Reference, 16, 1 << 5}, // no such flag
		{V5_10, 1, AccessWrite},
		{V5_10, 3, AccessWrite | AccessCompound},
		{V5_10, 4, AccessAtomic},
		{V5_17, 8, AccessAssert},
		{V6_12, 16, AccessScoped},
		{V6_12, 32, 1 << 5},
		{V6_12, 0x80000000, 1 << 31},
	} {
		got := c.v.DecodeType(c.raw)
		if got != c.want {
			t.Errorf("%s: %#x means %#x, want %#x", c.v, c.raw, uint64(got), uint64(c.want))
		}
		if raw, err := c.v.EncodeType(got); err != nil || raw != c.raw {
			t.Errorf("%s: %#x is written %#x, %v; want %#x", c.v, uint64(got), raw, err, c.raw)
		}
	}
	if _, err := Reference.EncodeType(AccessWrite | AccessCompound); err == nil {
		t.Error("the reference revision has no COMPOUND")
	}
	if _, err := V6_12.EncodeType(1 << 60); err == nil {
		t.Error("a type beyond 32 bits was written")
	}
}

func TestR2_BugKind(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		for _, c := range []struct {
			name       string
			other, own AccessType
			unknown    bool
			want       string
		}{
			{"neither", 0, AccessWrite, false, "data-race"},
			{"own", 0, AccessAssert, false, "assert: race"},
			{"other", AccessAssert | AccessWrite, AccessWrite, false, "assert: race"},
			{"both", AccessAssert, AccessAssert, false, "assert: race"},
			{"unknown", 0, AccessWrite, true, "data-race"},
			{"unknown own", 0, AccessAssert, true, "assert: race"},
		} {
			r := race(v, fnAlpha, fnBeta)
			r.Other.Type, r.Own.Type = c.other, c.own
			if c.unknown {
				r.Other = nil
			}
			if got := mustLines(t, r)[1]; !strings.HasPrefix(got, "BUG: KCSAN: "+c.want+" in ") {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	})
}

func TestR3_Title(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		for _, c := range []struct {
			name       string
			other, own uint64
			want       string
		}{
			{"other compares smaller", fnAlpha + 0x20, fnBeta + 0x10, "alpha / beta"},
			{"own compares smaller", fnBeta + 0x20, fnAlpha + 0x10, "alpha / beta"},
			// The strings that are compared have offsets: the same function
			// twice is shown in the order of its offsets' spelling.
			{"offset decides", fnTestMod + 0x20, fnTestMod + 0x9, "access_thread [kcsan_test] / access_thread [kcsan_test]"},
			// Equal in the first 63 characters: this thread's is first, though
			// the other's would sort before it.
			{"tie", fnLongA, fnLongB, long + "xxxbbb / " + long + "xxxaaa"},
			{"tie, exchanged", fnLongB, fnLongA, long + "xxxaaa / " + long + "xxxbbb"},
			{"no symbol", noSymbol, fnAlpha, "0xffffffff82000000 / alpha"},
		} {
			got := mustLines(t, race(v, c.other, c.own))[1]
			if want := "BUG: KCSAN: data-race in " + c.want; got != want {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
		// Different functions of one name at different offsets show that the
		// offset is part of what is compared: "+0x9" is larger than "+0x20".
		first, second := titleOrder(NewFrame(symbols, fnAlpha+0x20), NewFrame(symbols, fnAlpha+0x9))
		if first.Symbol.Offset != 0x20 || second.Symbol.Offset != 9 {
			t.Errorf("the order does not look at the offset: %s, %s", first, second)
		}
		r := race(v, fnAlpha, fnBeta+0x22)
		r.Other = nil
		if got := mustLines(t, r)[1]; got != "BUG: KCSAN: data-race in beta+0x22/0x100" {
			t.Errorf("unknown origin: %q", got)
		}
		if got := r.Title(); got != "data-race in beta" {
			t.Errorf("title to group by: %q", got)
		}
	})
}

func TestR4_Layout(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		r := race(v, fnAlpha+0x19, fnBeta+0x22)
		r.Other.PID = InterruptPID
		r.Other.Trace.Frames = append(r.Other.Trace.Frames, NewFrame(symbols, fnTestMod+0x59))
		head := []string{
			"==================================================================",
			"BUG: KCSAN: data-race in alpha / beta",
			"",
			"read to 0xffffffff9f4ad020 of 8 bytes by interrupt on cpu 2:",
			" alpha+0x19/0x100",
			" access_thread+0x59/0x100 [kcsan_test]",
			"",
			"write to 0xffffffff9f4ad020 of 8 bytes by task 43 on cpu 2:",
			" beta+0x22/0x100",
			"",
			"Reported by Kernel Concurrency Sanitizer on:",
		}
		cpu := "CPU: 3 PID: 43 Comm: access_thread Not tainted 5.9.1 #1"
		if v >= V6_12 {
			cpu = "CPU: 3 UID: 0 PID: 43 Comm: access_thread Not tainted 5.9.1 #1"
		}
		sep := head[0]
		if want := append(head, cpu, sep); !slices.Equal(mustLines(t, r), want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(mustLines(t, r), "\n"), strings.Join(want, "\n"))
		}

		r.Other = nil
		r.Own.Addr = 0x20
		r.Own.Size = 4
		want := []string{
			sep,
			"BUG: KCSAN: data-race in beta+0x22/0x100",
			"",
			"race at unknown origin, with write to 0x0000000000000020 of 4 bytes by task 43 on cpu 2:",
			" beta+0x22/0x100",
			"",
			"Reported by Kernel Concurrency Sanitizer on:",
			cpu,
			sep,
		}
		if got := mustLines(t, r); !slices.Equal(got, want) {
			t.Errorf("unknown origin: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if len(sep) != 66 || Separator != sep {
			t.Errorf("the separator has %d characters", len(Separator))
		}
	})
}

func TestR4_Footer(t *testing.T) {
	f := Footer{CPU: 1, UID: 7, PID: 881, Comm: "a name of twenty bytes and more", KdumpLoaded: true,
		Taint: "Tainted: G        W        ", Release: "6.12.117", Build: "#1", Tail: " Debian 6.12.1-1",
		Taints: "[W]=WARN", Hardware: "QEMU Standard PC", More: []string{"Workqueue: events_unbound toggle"}}
	old := []string{
		"CPU: 1 PID: 881 Comm: a name of twenty byt Kdump: loaded Tainted: G        W         6.12.117 #1 Debian 6.12.1-1",
		"Hardware name: QEMU Standard PC",
		"Workqueue: events_unbound toggle",
	}
	newest := []string{
		"CPU: 1 UID: 7 PID: 881 Comm: a name of twenty byt Kdump: loaded Tainted: G        W         6.12.117 #1 Debian 6.12.1-1",
		"Tainted: [W]=WARN",
		"Hardware name: QEMU Standard PC",
		"Workqueue: events_unbound toggle",
	}
	eachVersion(t, func(t *testing.T, v Version) {
		want := old
		if v == V6_12 {
			want = newest
		}
		r := race(v, fnAlpha, fnBeta)
		r.Footer = f
		got := mustLines(t, r)
		if got = got[slices.Index(got, reportedBy)+1 : len(got)-1]; !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// verboseBlock is a thread's block with everything in it.
func verboseBlock(comm string, pid int) *Verbose {
	event := func(stamp uint32, addr uint64) IRQEvent { return IRQEvent{stamp, NewFrame(symbols, addr)} }
	return &Verbose{
		Locks: HeldLocks{Comm: comm, PID: pid},
		IRQ: &IRQTrace{Stamp: 1563,
			HardirqEnabled: event(1563, fnAlpha+0x36), HardirqDisabled: event(1562, fnBeta+0xa),
			SoftirqEnabled: event(1541, fnCaller+0x9b), SoftirqDisabled: event(0, 0)},
	}
}

func TestR13_Verbose(t *testing.T) {
	block := []string{
		"",
		"no locks held by swapper/2/0.",
		"irq event stamp: 1563",
		"hardirqs last  enabled at (1563): [<ffffffff81000036>] alpha+0x36/0x100",
		"hardirqs last disabled at (1562): [<ffffffff8100100a>] beta+0xa/0x100",
		"softirqs last  enabled at (1541): [<ffffffff8100209b>] caller+0x9b/0x100",
		"softirqs last disabled at (0): [<0000000000000000>] 0x0",
	}
	locks := []string{
		"",
		"2 locks held by kworker/7:",
		" #0: ffff888003e08dd8 (&tty->ldisc_sem){++++}-{0:0}, at: alpha+0x24/0x50",
		" #1: ffffffff83a5d2a0 (rcu_read_lock){....}-{1:2}, at: beta+0x0/0x90",
	}
	one := []string{"", "1 lock held by kworker/7:"}
	off := []string{"", "INFO: lockdep is turned off."}
	held := &Verbose{Locks: HeldLocks{Comm: "kworker", PID: 7, Depth: 2, Held: []string{locks[2][5:], locks[3][5:]}}}
	running := &Verbose{Locks: HeldLocks{Comm: "kworker", PID: 7, Depth: 1}} // listed only for a task that sleeps
	eachVersion(t, func(t *testing.T, v Version) {
		for _, c := range []struct {
			name       string
			other, own *Verbose
			wantOther  []string
			wantOwn    []string
		}{
			{"nil tasks", nil, nil, nil, nil},
			{"own only", nil, verboseBlock("swapper/2", 0), nil, block},
			{"both", held, verboseBlock("swapper/2", 0), locks, block},
			{"running, lockdep off", running, &Verbose{Locks: HeldLocks{Off: true}}, one, off},
		} {
			r := race(v, fnAlpha, fnBeta)
			r.Other.Verbose, r.Own.Verbose = c.other, c.own
			plain := mustLines(t, race(v, fnAlpha, fnBeta))
			want := slices.Concat(plain[:5], c.wantOther, plain[5:8], c.wantOwn, plain[8:])
			if got := mustLines(t, r); !slices.Equal(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}

func TestR14_ValueChange(t *testing.T) {
	eachVersion(t, func(t *testing.T, v Version) {
		for _, c := range []struct {
			name string
			size uint64
			v    *Values
			want []string
		}{
			{"not known", 8, nil, nil},
			{"no change", 8, &Values{Old: 7, New: 7}, nil},
			{"8 bytes", 8, &Values{Old: 0x512}, []string{"", "value changed: 0x0000000000000512 -> 0x0000000000000000"}},
			{"1 byte", 1, &Values{Old: 1, New: 0x11}, []string{"", "value changed: 0x01 -> 0x11"}},
			{"2 bytes", 2, &Values{Old: 0xbeef}, []string{"", "value changed: 0xbeef -> 0x0000"}},
			{"3 bytes", 3, &Values{Old: 1}, []string{"", "value changed: 0x000001 -> 0x000000"}},
			{"4 bytes", 4, &Values{New: 1}, []string{"", "value changed: 0x00000000 -> 0x00000001"}},
			{"9 bytes", 9, &Values{Old: 1}, nil},
			{"64 bytes", 64, &Values{Old: 1}, nil},
			{"mask", 4, &Values{Old: 0xff2a, New: 0x2b, Mask: 0xff00},
				[]string{"", "value changed: 0x0000ff2a -> 0x0000002b", " bits changed: 0x0000ff00 with mask 0x0000ff00"}},
			{"outside the mask", 4, &Values{Old: 1, New: 0, Mask: 0xff00}, nil},
		} {
			r := race(v, fnAlpha, fnBeta)
			r.Own.Size, r.Values = c.size, c.v
			plain := race(v, fnAlpha, fnBeta)
			plain.Own.Size = c.size
			lines := mustLines(t, plain)
			want := lines
			if v >= V5_14 {
				i := slices.Index(lines, reportedBy) - 1
				want = slices.Concat(lines[:i], c.want, lines[i:])
			}
			if got := mustLines(t, r); !slices.Equal(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}
