package kcsan

import (
	"strings"
	"testing"
)

func TestSyzTitle(t *testing.T) {
	for in, want := range map[string]string{
		"data-race in find_next_bit / rcu_report_exp_cpu_mult":                    "KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult",
		"data-race in e1000_clean_rx_irq+0x551/0xb10":                             "KCSAN: data-race in e1000_clean_rx_irq",
		"assert: race in dequeue_entities+0x6df/0x760":                            "KCSAN: assert: race in dequeue_entities",
		"data-race in f+0x1/0x2 [mod]":                                            "KCSAN: data-race in f+0x1/0x2 [mod]", // a name has two letters at least
		"data-race in ff+0x1/0x2 [mod]":                                           "KCSAN: data-race in ff [mod]",
		"data-race in __f+0x1/0x2":                                                "KCSAN: data-race in __f+0x1/0x2",
		"data-race in x25519_1deadbeef / fe_0deadbeef":                            "KCSAN: data-race in x25519_ADDR / fe_ADDR",
		"data-race in curve25519_generic / sha1abcdef_x":                          "KCSAN: data-race in curve25519_generic / sha1ADDR_x",
		"data-race in a.c:12:3 / b":                                               "KCSAN: data-race in a.c:LINE / b",
		"data-race in test_delay.constprop.0 / g.isra.12":                         "KCSAN: data-race in test_delay.constprop.NUM / g.isra.NUM",
		"data-race in 0xffffffff82000000 / f":                                     "KCSAN: data-race in ADDR / f",
		"data-race in 0x0 / f2":                                                   "KCSAN: data-race in 0x0 / f2",
		"data-race in\ta  b\x01":                                                  "KCSAN: data-race in a b",
		"data-race in " + strings.Repeat("x", 200):                                "KCSAN: data-race in " + strings.Repeat("x", 100),
		"data-race in +0x1/0x2":                                                   "KCSAN: data-race in +0x1/0x2",
		"data-race in 7 / 8":                                                      "KCSAN: data-race in NUM / NUM",
		"data-race in hrtimer_active / __hrtimer_run_queues":                      "KCSAN: data-race in hrtimer_active / __hrtimer_run_queues",
		"assert: race in test_enter_scope [kcsan_test] / test_kernel_read":        "KCSAN: assert: race in test_enter_scope [kcsan_test] / test_kernel_read",
		"data-race in copy_page_from_iter_atomic+0x10/0x20 / f+0x1/0x2 and g+0xz": "KCSAN: data-race in copy_page_from_iter_atomic / f+0x1/0x2 and g+0xz",
	} {
		if got := SyzTitle(in); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestVersionOf(t *testing.T) {
	for release, want := range map[string]Version{
		"5.3.0+": Reference, "5.8.0": Reference, "5.9.1": Reference, "5.10.223-kcsan-d": V5_10, "5.13.0": V5_10,
		"5.14.0": V5_14, "5.15.100": V5_14, "5.16.0": V5_16, "5.17.0-rc1": V5_17, "6.0.0": V5_17,
		"6.1.192-kcsan-a": V6_1, "6.11.0": V6_1, "6.12.117": V6_12, "7.0": V6_12,
	} {
		if got, ok := VersionOf(release); got != want || !ok {
			t.Errorf("%s: %s, %v, want %s", release, got, ok, want)
		}
	}
	for _, release := range []string{"", "6", "x.y", "6.", "-1.2", "99999999999999999999.1"} {
		if v, ok := VersionOf(release); ok {
			t.Errorf("%q: %s", release, v)
		}
	}
	if got := Version(200).String(); got != V6_12.String() {
		t.Errorf("an undeclared version is %s", got)
	}
}

func TestWatchpointEncoding(t *testing.T) {
	for _, c := range []struct {
		v          Version
		addr, size uint64
		write      bool
		want       uint64
		ok         bool
	}{
		{V6_1, 0xffffffff9f4ad020, 8, true, 1<<63 | 8<<49 | 0x1ffff9f4ad020, true},
		{V6_1, 0xffffffff9f4ad020, 8, false, 8<<49 | 0x1ffff9f4ad020, true},
		{V5_10, 0xffffffff9f4ad020, 8, false, 8<<49 | 0xffff9f4ad020, true},
		{V6_1, 4096, 8192, false, 8192<<49 | 4096, true},
		{V6_1, 4095, 8, false, 0, false},
		{V6_1, 4096, 8193, false, 0, false},
	} {
		w, ok := c.v.EncodeWatchpoint(c.addr, c.size, c.write)
		if w != c.want || ok != c.ok {
			t.Errorf("%s %#x %d: %#x %v, want %#x %v", c.v, c.addr, c.size, w, ok, c.want, c.ok)
		}
		if !ok {
			continue
		}
		addr, size, write, ok := c.v.DecodeWatchpoint(w)
		if addr != c.addr&c.v.AddrMask() || size != c.size || write != c.write || !ok {
			t.Errorf("%#x: %#x %d %v %v", w, addr, size, write, ok)
		}
	}
	for _, w := range []uint64{FreeWatchpoint, ConsumedWatchpoint} {
		if _, _, _, ok := V6_1.DecodeWatchpoint(w); ok {
			t.Errorf("%d decodes", w)
		}
	}
	if got := SlotIndex(0xffffffffa12ad020, 64); got != 45 {
		t.Errorf("slot %d, want 45", got)
	}
}
