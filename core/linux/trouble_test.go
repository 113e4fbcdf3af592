package linux

import (
	"context"
	"slices"
	"strings"
	"testing"

	"coredrop/core/linux/linuxtest"
)

// TestTroubles reads what went wrong from lines as kernels print them.
func TestTroubles(t *testing.T) {
	lines := []struct {
		caller uint32
		time   uint64
		text   string
	}{
		{1, 1e9, "Linux version 6.1.0"},
		{7, 2e9, "WARNING: CPU: 1 PID: 7 at kernel/x.c:12 some_function+0x5/0x10"},
		{7, 2e9, "RIP: 0010:not_taken+0x1/0x2"},
		{9, 3e9, "BUG: kernel NULL pointer dereference, address: 0000000000000010"},
		{8, 3e9, "something else"},
		{9, 3e9, "#PF: supervisor read access in kernel mode"},
		{9, 3e9, "Oops: 0000 [#1] PREEMPT SMP NOPTI"},
		{9, 3e9, "RIP: 0010:broken+0x12/0x40 [mod]"},
		{9, 3e9, "RIP: 0010:later+0x12/0x40"},
		{5, 4e9, "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [x:5]"},
		{5, 4e9, "rcu: INFO: rcu_preempt self-detected stall on CPU"},
		{5, 4e9, "INFO: task x:123 blocked for more than 120 seconds."},
		{9, 5e9, "Kernel panic - not syncing: Fatal exception"},
		{9, 5e9, "---[ end Kernel panic - not syncing: Fatal exception ]---"},
		{9, 9e9, "Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#2]"},
	}
	var r TroubleReader
	for _, l := range lines {
		r.Add(Record{Text: l.text, Time: l.time, Caller: l.caller})
	}
	var got []string
	for _, tr := range r.List {
		got = append(got, tr.Kind+"|"+tr.Where)
	}
	want := []string{"warning|some_function+0x5/0x10", "oops|broken+0x12/0x40", "lockup|", "stall|", "hung-task|", "panic|", "oops|"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Panic() != "Fatal exception" || r.List[1].Text != lines[3].text {
		t.Errorf("panic %q, %+v", r.Panic(), r.List[1])
	}
	r = TroubleReader{}
	for i := range maxTroubles + 5 {
		r.Add(Record{Text: "kernel BUG at x.c:1!", Time: uint64(i) * 1e10})
	}
	if len(r.List) != maxTroubles || r.More != 5 || r.Panic() != "" {
		t.Errorf("%d, %d more", len(r.List), r.More)
	}
}

// TestReadLog: of a guest without KCSAN that panicked.
func TestReadLog(t *testing.T) {
	g := linuxtest.New(linuxtest.Config{Release: "6.8.0", DataSymbols: true})
	g.Log([]linuxtest.Record{
		{Seq: 1, Time: 1e9, Caller: 1, Text: "hello"},
		{Seq: 2, Time: 2500e6, Caller: 1, Text: "Kernel panic - not syncing: sysrq triggered crash"},
	})
	g.CPU(nil)
	k, err := Locate(context.Background(), g.Machine(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := k.ReadLog(context.Background())
	if err != nil || f.Records != 2 || f.Last != 2500e6 || f.Troubles.Panic() != "sysrq triggered crash" {
		t.Errorf("%+v, %v", f, err)
	}
	if strings.Contains(f.Troubles.List[0].Text, "---[") {
		t.Error("the end is no trouble of its own")
	}
}
