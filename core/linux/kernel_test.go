package linux

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/server/corpustest"
)

// TestLocate compares what each way to the kernel finds with the truth.
func TestLocate(t *testing.T) {
	ways := map[string]Options{
		"default":   {},
		"no note":   {IgnoreNote: true},
		"no info":   {IgnoreInfo: true},
		"no keys":   {IgnoreKeys: true},
		"from cpus": {IgnoreInfo: true, IgnoreKeys: true},
	}
	for _, name := range corpustest.KCSANCores {
		want := readTruth(t, name)
		for way, o := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				k := locate(t, name, o)
				if got := fmt.Sprintf("%#x", k.Slide); got != want.KASLROffset {
					t.Errorf("slide %s, want %s", got, want.KASLROffset)
				}
				if got := fmt.Sprintf("%#x", uint64(k.PhysBase)); got != want.PhysBase {
					t.Errorf("phys_base %s, want %s", got, want.PhysBase)
				}
				// gdb cut one banner short.
				if k.Release != want.UTSName.Release || k.Version != want.UTSName.Version || !strings.HasPrefix(k.Banner, want.Banner) || !strings.HasSuffix(k.Banner, want.UTSName.Version) {
					t.Errorf("release %q version %q banner %q, want %q %q %q",
						k.Release, k.Version, k.Banner, want.UTSName.Release, want.UTSName.Version, want.Banner)
				}
				checkSymbols(t, k, want)
			})
		}
	}
}

// checkSymbols compares count and listing with the guest's /proc/kallsyms.
func checkSymbols(t *testing.T, k *Kernel, want *truth) {
	t.Helper()
	if k.Symbols.Len() != want.Kallsyms.NumSyms {
		t.Fatalf("%d symbols from %q, want %d", k.Symbols.Len(), k.SymbolsFrom, want.Kallsyms.NumSyms)
	}
	h := md5.New()
	if err := k.Symbols.WriteListing(h); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Kallsyms.MD5 {
		t.Errorf("the listing's md5 is %s, want %s", got, want.Kallsyms.MD5)
	}
}

// TestVMCoreInfo compares every key with what gdb read, from note and memory.
func TestVMCoreInfo(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		want := readTruth(t, name)
		for _, o := range []Options{{}, {IgnoreNote: true}} {
			k := locate(t, name, o)
			keys := want.VMCoreInfoNote
			from := "note"
			if o.IgnoreNote || len(keys) == 0 {
				keys, from = want.VMCoreInfoMemory, "memory"
			}
			if k.InfoFrom != from {
				t.Errorf("%s: vmcoreinfo from %q, want %q", name, k.InfoFrom, from)
			}
			if k.Info.Keys() != len(keys) {
				t.Errorf("%s: %d keys from %s, want %d", name, k.Info.Keys(), from, len(keys))
			}
			for key, value := range keys {
				if k.Info.Value(key) != value {
					t.Errorf("%s: %s=%q, want %q", name, key, k.Info.Value(key), value)
				}
			}
		}
	}
}

// TestLog compares the ring's records with crash's counts.
func TestLog(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		want := readTruth(t, name)
		for _, o := range []Options{{}, {IgnoreInfo: true}} {
			k := locate(t, name, o)
			n, first, last := 0, uint64(0), uint64(0)
			err := k.Log(context.Background(), func(r Record) bool {
				if n == 0 {
					first = r.Seq
				}
				last = r.Seq
				n++
				return true
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n != want.Printk.Records || first != want.Printk.FirstSeq || last != want.Printk.LastSeq {
				t.Errorf("%s: %d records, seq %d to %d, want %d, %d to %d", name, n, first, last,
					want.Printk.Records, want.Printk.FirstSeq, want.Printk.LastSeq)
			}
		}
	}
}

// TestModules compares the modules of the kernel that has some.
func TestModules(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		want := readTruth(t, name)
		k := locate(t, name, Options{})
		if len(k.Modules) != len(want.Modules) {
			t.Errorf("%s: %d modules, want %d", name, len(k.Modules), len(want.Modules))
			continue
		}
		for i, w := range want.Modules {
			base, err := strconv.ParseUint(w.Base, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			if m := k.Modules[i]; m.Name != w.Name || m.Base != base || m.Size != w.Size {
				t.Errorf("%s: module %s at %#x+%d, want %s at %s+%d", name, m.Name, m.Base, m.Size, w.Name, w.Base, w.Size)
			}
			if m := k.Modules[i]; m.symbols.count == 0 || m.orcCount == 0 {
				t.Errorf("%s: module %s: %d symbols, %d orc entries", name, m.Name, m.symbols.count, m.orcCount)
			}
		}
	}
}

// TestLogText compares the log line by line with what crash's log printed.
func TestLogText(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		b, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "dmesg.txt"))
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut("\n"+string(b), "\n[") // crash's own warnings come first
		var want []string
		for _, line := range strings.Split("["+text, "\n") {
			if strings.HasPrefix(line, "[") {
				_, line, _ = strings.Cut(line, "] ")
			}
			if line = strings.TrimSpace(line); line != "" {
				want = append(want, line)
			}
		}
		var got []string
		err = locate(t, name, Options{}).Log(context.Background(), func(r Record) bool {
			for _, line := range strings.Split(r.Text, "\n") {
				if line = strings.TrimSpace(line); line != "" {
					got = append(got, line)
				}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Errorf("%s: line %d differs: %d lines, want %d", name, i, len(got), len(want))
				if i < len(got) {
					t.Errorf("got %q", got[i])
				}
				if i < len(want) {
					t.Errorf("want %q", want[i])
				}
				break
			}
		}
	}
}

// TestTasks compares the task list and the CPUs' current tasks with crash's and
// drgn's.
func TestTasks(t *testing.T) {
	for _, name := range corpustest.KCSANCores {
		want := readTruth(t, name)
		k := locate(t, name, Options{})
		tasks, whole, err := k.Tasks()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// The pages of most tasks were left out of the minimised cores: what
		// is read from both ends must be the list's ends.
		if len(tasks) < 3 || len(tasks) > len(want.Tasks) || whole != (len(tasks) == len(want.Tasks)) {
			t.Errorf("%s: %d tasks (whole: %v), want %d", name, len(tasks), whole, len(want.Tasks))
			continue
		}
		at := 0
		for _, task := range tasks {
			for at < len(want.Tasks) && (int(want.Tasks[at][0].(float64)) != task.PID || want.Tasks[at][1].(string) != task.Comm) {
				at++
			}
			if at++; at > len(want.Tasks) {
				t.Errorf("%s: task %d %q is not in the list, or not there", name, task.PID, task.Comm)
				break
			}
		}
		t.Logf("%s: %d of %d tasks", name, len(tasks), len(want.Tasks))
		for i, w := range want.CPUs {
			cur, ok := k.Current(i)
			if !ok {
				// Allowed only where the minimised core has no task left.
				addr, err := strconv.ParseUint(w.Task, 0, 64)
				if x, _ := k.Uint64(addr + k.taskOffsets().base); err != nil || x != 0 {
					t.Errorf("%s: cpu %d: no current task, want %d %q", name, i, w.PID, w.Comm)
				}
				continue
			}
			if cur.PID != w.PID || cur.Comm != w.Comm || w.Task != "" && fmt.Sprintf("%#x", cur.Addr) != w.Task {
				t.Errorf("%s: cpu %d runs %d %q at %#x, want %d %q at %s", name, i, cur.PID, cur.Comm, cur.Addr, w.PID, w.Comm, w.Task)
			}
		}
	}
}

// frameString prints a stack entry as the kernel's %pS.
func frameString(k *Kernel, a uint64) string {
	s, module, ok := k.Resolve(a)
	if !ok {
		return fmt.Sprintf("%#x", a)
	}
	out := fmt.Sprintf("%s+%#x/%#x", s.Name, a-s.Addr, s.Size)
	if module != "" {
		out += " [" + module + "]"
	}
	return out
}

// TestUnwind compares the consumer's stack with the trace that the guest printed
// when it was let go on: the last lines of the report's second block.
func TestUnwind(t *testing.T) {
	cases := map[string]int{ // the consumer's CPU
		"a-inflight-signal":        3,
		"a-inflight-pending":       1, // with an interrupt on top
		"a-inflight-unknown":       0,
		"b-inflight-verbose-la57":  2, // ORC, modules
		"b-inflight-filtered-la57": 2,
		"d-inflight-signal":        3,
	}
	for name, cpu := range cases {
		k := locate(t, name, Options{})
		var got []string
		below := false
		for _, f := range k.Unwind(cpu) {
			s := frameString(k, f.Addr)
			if below && !strings.HasPrefix(s, "__tsan_") {
				got = append(got, s)
			}
			below = below || strings.HasPrefix(s, "kcsan_setup_watchpoint+")
		}
		if name == "b-inflight-filtered-la57" { // nothing was printed; by analogy with the others
			want := "test_kernel_read+0x10/0x20 [kcsan_test] access_thread+0x41/0xa0 [kcsan_test] kthread+0x136/0x160 ret_from_fork+0x1f/0x30"
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			continue
		}
		b, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "truth.txt"))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, line := range strings.Split(string(b), "\n") {
			_, line, _ = strings.Cut(line, "] ")
			if strings.HasPrefix(line, "[") { // the caller
				_, line, _ = strings.Cut(line, "] ")
			}
			switch {
			case strings.Contains(line, " bytes by "):
				want = nil // the second block is the consumer's
			case strings.HasPrefix(line, " "):
				want = append(want, line[1:])
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: stack\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestSystemMap compares the symbols with the map that the kernel's build left:
// every symbol is there, and every function of the kernel's text is found.
func TestSystemMap(t *testing.T) {
	for kernel, name := range map[string]string{"a": "a-live", "b": "b-live-la57", "c": "c-live", "d": "d-live"} {
		b, err := io.ReadAll(corpustest.Open(t, filepath.Join(corpustest.KCSAN(t), "kernels", kernel, "System.map.zst")))
		if err != nil {
			t.Fatal(err)
		}
		k := locate(t, name, Options{})
		type symbol struct {
			name string
			addr uint64
		}
		inMap := map[symbol]byte{}
		stext, etext := uint64(0), uint64(0)
		for line := range strings.Lines(string(b)) {
			words := strings.Fields(line)
			addr, err := strconv.ParseUint(words[0], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			inMap[symbol{words[2], addr}] = words[1][0]
			switch words[2] {
			case "_stext":
				stext = addr
			case "_etext":
				etext = addr
			}
		}
		functions := map[symbol]bool{}
		for i := range k.Symbols.Len() {
			s := k.Symbols.Symbol(i)
			key := symbol{s.Name, s.Addr - k.Slide}
			if s.Addr < kernelMap { // per-CPU: not slid
				key.addr = s.Addr
			}
			if _, ok := inMap[key]; !ok && !strings.HasPrefix(s.Name, ".LC") { // scripts/mksysmap leaves local labels out
				t.Errorf("%s: %s at %#x is not in the map", name, s.Name, key.addr)
			}
			functions[key] = true
		}
		missing, all := 0, 0
		for s, kind := range inMap {
			if (kind == 't' || kind == 'T') && s.addr >= stext && s.addr < etext {
				all++
				if !functions[s] {
					missing++
				}
			}
		}
		if missing > 0 || all < 10000 {
			t.Errorf("%s: %d of %d functions of the map were not found", name, missing, all)
		}
		t.Logf("%s: %d symbols; %d of %d functions missing", name, k.Symbols.Len(), missing, all)
	}
}
