package races

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/linux/linuxtest"
)

// TestEntries: the consumer stands at the first instruction of the function that
// it reports by, in each generation's form of arguments.
func TestEntries(t *testing.T) {
	for _, v := range kcsan.Versions() {
		t.Run(fmt.Sprintf("%v known", v), func(t *testing.T) {
			g := newRaceGuest(guestOptions{version: v, data: true, at: "kcsan_report_known_origin", change: uint64(kcsan.ValueTrue)})
			got := only(t, recoverGuest(t, g))
			if want := goldenText(v, g, true); got.State != Pending || got.Text != want || len(got.Unknown) != 0 {
				t.Errorf("%s, unknown %q:\n%s\nwant\n%s", got.State, got.Unknown, got.Text, want)
			}
		})
		t.Run(fmt.Sprintf("%v no change", v), func(t *testing.T) {
			g := newRaceGuest(guestOptions{version: v, data: true, at: "kcsan_report_known_origin", change: uint64(kcsan.ValueFalse)})
			got := only(t, recoverGuest(t, g))
			if got.State != Suppressed || got.Rule != kcsan.SkipNoChange.String() {
				t.Errorf("%s, rule %q", got.State, got.Rule)
			}
		})
		t.Run(fmt.Sprintf("%v unknown", v), func(t *testing.T) {
			g := newRaceGuest(guestOptions{version: v, data: true, at: "kcsan_report_unknown_origin", noSlot: true, change: uint64(kcsan.ValueMaybe)})
			got := only(t, recoverGuest(t, g))
			if got.State != Pending || len(got.Unknown) != 0 || !strings.Contains(got.Text, "race at unknown origin, with write to 0xffffffff81300044 of 4 bytes by task 4 on cpu 1:\n beta+0x10/0x30\n thread+0x8/0x30\n") ||
				strings.Contains(got.Text, "value changed: 0x00000011 -> 0x00000022\n") != v.Features().ValueChange {
				t.Errorf("%s, unknown %q\n%s", got.State, got.Unknown, got.Text)
			}
		})
		t.Run(fmt.Sprintf("%v set_info", v), func(t *testing.T) {
			// Both threads are on their way to the report: nothing is in memory.
			g := newRaceGuest(guestOptions{version: v, data: true, at: "kcsan_report_known_origin", filling: true, change: uint64(kcsan.ValueTrue)})
			got := only(t, recoverGuest(t, g))
			if want := goldenText(v, g, true); got.State != Pending || got.Text != want || !slices.Equal(got.Sources, []string{"cpu 1", "cpu 0"}) {
				t.Errorf("%s from %q:\n%s\nwant\n%s", got.State, got.Sources, got.Text, want)
			}
		})
		t.Run(fmt.Sprintf("%v set_info, delaying", v), func(t *testing.T) {
			g := newRaceGuest(guestOptions{version: v, data: true, delays: true, filling: true})
			got := only(t, recoverGuest(t, g))
			if got.State != Pending || !slices.Equal(got.Sources, []string{"cpu 1", "cpu 0"}) || !strings.Contains(got.Text, "read (marked) to 0xffffffff81300040 of 8 bytes by task 3 on cpu 0:\n alpha+0x8/0x30\n thread+0x8/0x30\n") {
				t.Errorf("%s from %q:\n%s", got.State, got.Sources, got.Text)
			}
		})
	}
}

// TestEntryAlone: what one of the two CPUs says is shown when the other one is
// not to be found.
func TestEntryAlone(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, at: "kcsan_report_known_origin", filling: true})
	m := g.Machine()
	m.CPUs[0].State.SetAll(cpu.Values{cpu.RIP: 0x401000, cpu.CS: 0x33})
	got := only(t, recoverMachine(t, m))
	if got.State != Pending || got.Model != nil || !slices.Equal(got.Unknown, []string{unknownOther}) || !strings.HasPrefix(got.Text, "write to 0xffffffff81300044 of 4 bytes by task 4 on cpu 1:\n beta+") {
		t.Errorf("%+v", got)
	}
	m = newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, at: "kcsan_report_known_origin", filling: true}).Machine()
	m.CPUs[1].State.SetAll(cpu.Values{cpu.RIP: 0x401000, cpu.CS: 0x33})
	got = only(t, recoverMachine(t, m))
	if got.State != Pending || got.Model != nil || !slices.Equal(got.Unknown, []string{unknownOwn}) || !strings.HasPrefix(got.Text, "read (marked) to 0xffffffff81300040 of 8 bytes by task 3 on cpu 0:\n alpha+") {
		t.Errorf("%+v", got)
	}
}

// TestDelayedThrough: a delay is entered through every function that checks
// accesses; where its name does not tell size or kind, the kept arguments do.
func TestDelayedThrough(t *testing.T) {
	for _, c := range []struct {
		through  string
		kept     bool
		headline string // "" for none
	}{
		{"__kcsan_check_access", true, "write to 0xffffffff81300044 of 4 bytes"},
		{"kcsan_check_scoped_accesses", true, "write to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_write_range", true, "write to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_read_range", true, "read to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_atomic32_store", true, "write (marked) to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_atomic32_fetch_add", true, "read-write (marked) to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_write4", true, "write to 0xffffffff81300044 of 4 bytes"},
		{"__tsan_atomic64_load", false, "read (marked) to 0xffffffff81300040 of 8 bytes"},
		{"__kcsan_check_access", false, ""},
		{"__tsan_write_range", false, ""},
	} {
		g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, delays: true, through: c.through, kept: c.kept})
		got := only(t, recoverGuest(t, g))
		if c.headline == "" {
			if got.Model != nil || !slices.Equal(got.Unknown, []string{unknownOwn}) {
				t.Errorf("%+v: %+v", c, got)
			}
			continue
		}
		if got.State != Pending || !slices.Equal(got.Unknown, []string{unknownValue}) || !strings.Contains(got.Text, "\n"+c.headline+" by task 4 on cpu 1:\n") {
			t.Errorf("%+v: %s, unknown %q\n%s", c, got.State, got.Unknown, got.Text)
		}
	}
}

// TestKeptOnCores: on a real stack, with an interrupt on top, the kept arguments
// are those of the access that the guest reported then.
func TestKeptOnCores(t *testing.T) {
	k := locate(t, "a-inflight-pending", linux.Options{})
	s, ok := readState(k)
	if !ok {
		t.Fatal("no KCSAN")
	}
	for _, c := range s.consumers() {
		if c.cpu != 1 {
			continue
		}
		a, ok := s.keptAccess(c, kcsan.Access{}, false)
		if want := s.Slots[slices.IndexFunc(s.Slots, func(s Slot) bool { return s.Live })].Access; !ok || a.Addr != want.Addr || a.Size != 8 {
			t.Errorf("%+v %v, want an access to %#x", a, ok, want.Addr)
		}
	}
}

// TestNoGSBase: without the per-CPU base the footer's task is the one that the
// access names.
func TestNoGSBase(t *testing.T) {
	g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, change: uint64(kcsan.ValueTrue)})
	m := g.Machine()
	m.CPUs[1].State.SetAll(cpu.Values{cpu.GSBase: 0, cpu.KernelGSBase: 0})
	got := only(t, recoverMachine(t, m))
	if want := goldenText(kcsan.V6_1, g, true); got.Text != want || len(got.Unknown) != 0 {
		t.Errorf("unknown %q\n%s\nwant\n%s", got.Unknown, got.Text, want)
	}
	// An entry's arguments do not name the task.
	g = newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, at: "kcsan_report_known_origin"})
	m = g.Machine()
	m.CPUs[1].State.SetAll(cpu.Values{cpu.GSBase: 0, cpu.KernelGSBase: 0})
	if got := only(t, recoverMachine(t, m)); !slices.Contains(got.Unknown, unknownTask) || !slices.Contains(got.Unknown, unknownFooter) {
		t.Errorf("unknown %q\n%s", got.Unknown, got.Text)
	}
}

// TestWorkqueueLine: a kworker's report ends with what it works at.
func TestWorkqueueLine(t *testing.T) {
	for desc, want := range map[string]string{"": "Workqueue: my_queue beta\n", "flush-8:0": "Workqueue: my_queue beta (flush-8:0)\n"} {
		g := newRaceGuest(guestOptions{version: kcsan.V6_1, data: true, change: uint64(kcsan.ValueTrue), work: true, desc: desc})
		got := only(t, recoverGuest(t, g))
		if !strings.HasSuffix(got.Text, "\n"+want+kcsan.Separator+"\n") || len(got.Unknown) != 0 {
			t.Errorf("unknown %q\n%s\nwant %q", got.Unknown, got.Text, want)
		}
	}
}

// TestUserID: the footer's user is the printing task's effective one, whatever
// the form of its credentials.
func TestUserID(t *testing.T) {
	for _, form := range linuxtest.CredForms() {
		g := newRaceGuest(guestOptions{version: kcsan.V6_12, data: true, change: uint64(kcsan.ValueTrue), cred: form})
		got := only(t, recoverGuest(t, g))
		if want := strings.Replace(goldenText(kcsan.V6_12, g, true), " UID: 0 ", " UID: 1000 ", 1); got.Text != want || len(got.Unknown) != 0 {
			t.Errorf("%+v: unknown %q\n%s\nwant\n%s", form, got.Unknown, got.Text, want)
		}
	}
	g := newRaceGuest(guestOptions{version: kcsan.V6_12, data: true, change: uint64(kcsan.ValueTrue), cred: linuxtest.CredForm{Reference: 16}})
	if got := only(t, recoverGuest(t, g)); !slices.Equal(got.Unknown, []string{unknownUID}) {
		t.Errorf("an unknown form: unknown %q", got.Unknown)
	}
}

// TestFooterFormat: every text that the kernel's format asks for is filled in, or
// said to be unknown.
func TestFooterFormat(t *testing.T) {
	for _, c := range []struct {
		tail    string
		preempt []string // what preempt_model_str's code refers to; nil: there is none
		want    string   // behind the build number; "?" for unknown
	}{
		{" %s %s", nil, "  "},
		{" %s %s %s", []string{"PREEMPT", "LAZY%s"}, " PREEMPTLAZY  "},
		{" %s %s", []string{"PREEMPT"}, " PREEMPT "},
		{" %s %s", []string{"VOLUNTARY"}, " VOLUNTARY "},
		{" %s %s", []string{"NONE"}, " NONE "},
		{" %s %s", []string{"PREEMPT", "%sRT%s"}, " PREEMPT_RT "},
		{" %s %s", []string{"PREEMPT", "%sRT%s", "LAZY%s"}, " PREEMPT_{RT,LAZY} "},
		{" %s %s", []string{"PREEMPT", "(%s)%s"}, " PREEMPT(full) "},
		{" %s %s", []string{"PREEMPT", "%sRT%s", "(%s)%s"}, " PREEMPT_{RT,(full)} "},
		{" %s %s", []string{"something else"}, "?"},
		{" %s %s %s %s %s", []string{"NONE"}, "?"},
	} {
		g := newRaceGuest(guestOptions{version: kcsan.V6_12, data: true, change: uint64(kcsan.ValueTrue), tail: c.tail, preempt: c.preempt})
		got := only(t, recoverGuest(t, g))
		if c.want == "?" {
			if !slices.Equal(got.Unknown, []string{unknownFooter}) {
				t.Errorf("%+v: unknown %q", c, got.Unknown)
			}
			continue
		}
		if !strings.Contains(got.Text, "Not tainted 6.12.0 #1"+c.want+"\n") || len(got.Unknown) != 0 {
			t.Errorf("%+v: unknown %q\n%s", c, got.Unknown, got.Text)
		}
	}
}
