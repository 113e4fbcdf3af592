package races

import (
	"strings"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/server/corpustest"
)

// wantVersion is the generation of each kernel of the corpus.
var wantVersion = map[byte]kcsan.Version{'a': kcsan.V6_1, 'b': kcsan.V6_1, 'c': kcsan.V6_12, 'd': kcsan.V5_10}

// TestState compares all of the sanitizer's data with what crash and drgn read,
// found by name and, where the code allows, without any data symbol.
func TestState(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		for _, o := range []linux.Options{{}, {IgnoreInfo: true}} {
			s := recovered(t, name, o).State
			if s == nil {
				t.Errorf("%s: no KCSAN found", name)
				continue
			}
			checkState(t, name, s, readTruth(t, name))
		}
	}
}

func checkState(t *testing.T, name string, s *State, want *truth) {
	t.Helper()
	for _, sym := range []string{"other_infos", "report_times", "watchpoints", "kcsan_counters"} {
		if s.addrs[sym] != uint64(want.Symbols[sym]) {
			t.Errorf("%s: %s at %#x (from %q), want %#x", name, sym, s.addrs[sym], s.From[sym], want.Symbols[sym])
		}
	}
	if s.Version != wantVersion[name[0]] {
		t.Errorf("%s: version %v, want %v", name, s.Version, wantVersion[name[0]])
	}
	if s.From["layout"] != "code" {
		t.Errorf("%s: the layout comes from %q", name, s.From["layout"])
	}
	if s.NumSlots != want.SlotsLen || s.NumTimes != want.TimesLen {
		t.Errorf("%s: %d slots, %d times, want %d, %d", name, s.NumSlots, s.NumTimes, want.SlotsLen, want.TimesLen)
	}
	if s.Verbose != (want.Config["CONFIG_KCSAN_VERBOSE"] == "y") {
		t.Errorf("%s: verbose %v", name, s.Verbose)
	}
	if s.ValueChangeOnly != (want.Config["CONFIG_KCSAN_REPORT_VALUE_CHANGE_ONLY"] == "y") {
		t.Errorf("%s: value change only %v", name, s.ValueChangeOnly)
	}
	if s.HasJiffies && s.Jiffies != uint64(want.Jiffies) {
		t.Errorf("%s: jiffies %#x, want %#x", name, s.Jiffies, want.Jiffies)
	}
	checkSlots(t, name, s, want)
	if len(s.Times) != len(want.Times) {
		t.Errorf("%s: %d times in use, want %d", name, len(s.Times), len(want.Times))
	} else {
		for i, w := range want.Times {
			if g := s.Times[i]; g.Index != w.Index || g.Time != uint64(w.Time) || g.Frame1 != uint64(w.Frame1) || g.Frame2 != uint64(w.Frame2) {
				t.Errorf("%s: report_times[%d] is %+v, want %+v", name, i, g, w)
			}
		}
	}
	if len(s.Watchpoints) != len(want.Watchpoints) {
		t.Errorf("%s: %d watchpoints, want %d", name, len(s.Watchpoints), len(want.Watchpoints))
	} else {
		for i, w := range want.Watchpoints {
			g := s.Watchpoints[i]
			addr := uint64(w.Masked)
			if w.Full != nil {
				addr = uint64(*w.Full)
			}
			if g.Index != w.Index || g.Raw != uint64(w.Raw) || g.Consumed != (w.State == "consumed") || g.Addr != addr || g.Size != w.Size || g.Write != w.IsWrite {
				t.Errorf("%s: watchpoints[%d] is %+v, want %+v", name, i, g, w)
			}
		}
	}
	for c := range kcsan.NumCounters {
		if key := strings.ReplaceAll(c.String(), " ", "_"); s.Counters[c] != want.Counters[key] {
			t.Errorf("%s: counter %s is %d, want %d", name, key, s.Counters[c], want.Counters[key])
		}
	}
}

func checkSlots(t *testing.T, name string, s *State, want *truth) {
	t.Helper()
	if len(s.Slots) != len(want.Slots) {
		t.Errorf("%s: %d slots that hold something, want %d", name, len(s.Slots), len(want.Slots))
		return
	}
	for i, w := range want.Slots {
		g := s.Slots[i]
		ip := uint64(0)
		if w.IP != nil {
			ip = uint64(*w.IP)
		}
		raw, err := s.Version.EncodeType(g.Access.Type)
		if err != nil || g.Index != w.Index || g.Live != w.Live || g.Access.Addr != uint64(w.Ptr) || g.Access.Size != w.Size ||
			raw != w.Type || g.Access.PID != w.PID || g.Access.CPU != w.CPU || g.Access.IP != ip || g.Task != uint64(w.Task) || len(g.Stack) != w.NumStack {
			t.Errorf("%s: other_infos[%d] is %+v, want %+v", name, i, g, w)
			continue
		}
		for j := range g.Stack {
			if g.Stack[j] != uint64(w.Stack[j]) {
				t.Errorf("%s: other_infos[%d] stack %#x, want %#x", name, i, g.Stack, w.Stack)
				break
			}
			if sym := kcsan.NewFrame(s.symbols, g.Stack[j]).String(); sym != w.StackSym[j] {
				t.Errorf("%s: other_infos[%d]: %s, want %s", name, i, sym, w.StackSym[j])
			}
		}
	}
}
