package linux

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
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
	for _, name := range allCases {
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
	for _, name := range allCases {
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
	for _, name := range allCases {
		want := readTruth(t, name)
		k := locate(t, name, Options{})
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

// TestModules compares the modules of the kernel that has some.
func TestModules(t *testing.T) {
	for _, name := range allCases {
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
	for _, name := range allCases {
		b, err := os.ReadFile(filepath.Join(corpus(t), name, "dmesg.txt"))
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
