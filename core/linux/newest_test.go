package linux

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/server/corpustest"
)

// systemMap reads the map that a kernel's build left: "address kind name" to how
// often it occurs.
func systemMap(t testing.TB, kernel string) map[string]int {
	t.Helper()
	b, err := io.ReadAll(corpustest.Open(t, filepath.Join(corpustest.KCSAN(t), "kernels", kernel, "System.map.zst")))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		out[strings.TrimSpace(line)]++
	}
	return out
}

// TestNewestSystemMap: on 7.3 every symbol of the map but the two absolute ones
// is found, and no other, by the keys, by searching, and without any vmcoreinfo.
func TestNewestSystemMap(t *testing.T) {
	for _, name := range corpustest.KCSANNewest {
		want := systemMap(t, name[:1])
		absolute := 0
		for line := range want {
			// An address that counts from itself must be in the image.
			if a, err := strconv.ParseUint(line[:16], 16, 64); err != nil || a < kernelMap {
				delete(want, line)
				absolute++
			}
		}
		if absolute != 2 {
			t.Errorf("%s: %d absolute symbols in the map", name, absolute)
		}
		for way, o := range map[string]Options{"keys": {}, "search": {IgnoreKeys: true}, "no vmcoreinfo": {IgnoreInfo: true}} {
			k := locate(t, name, o)
			got := map[string]int{}
			for i := range k.Symbols.Len() {
				s := k.Symbols.Symbol(i)
				got[fmt.Sprintf("%016x %c %s", s.Addr-k.Slide, s.Kind, s.Name)]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s, %s: %d symbols, want %d; %s", name, way, k.Symbols.Len(), len(want), firstDifference(got, want))
			}
			if k.SymbolsFrom == "" || way != "keys" && k.SymbolsFrom != "scan" {
				t.Errorf("%s, %s: symbols from %q", name, way, k.SymbolsFrom)
			}
		}
	}
}

func firstDifference(got, want map[string]int) string {
	for _, line := range slices.Sorted(maps.Keys(want)) {
		if got[line] != want[line] {
			return fmt.Sprintf("%q: %d, want %d", line, got[line], want[line])
		}
	}
	for _, line := range slices.Sorted(maps.Keys(got)) {
		if got[line] != want[line] {
			return fmt.Sprintf("%q: %d, want %d", line, got[line], want[line])
		}
	}
	return "no difference"
}

// TestNewestUnwind: the stacks of 7.3's CPUs end at the thread's first function,
// through modules as well.
func TestNewestUnwind(t *testing.T) {
	for _, name := range corpustest.KCSANNewest {
		k := locate(t, name, Options{})
		for cpu := range k.Machine.CPUs {
			frames := k.Unwind(cpu)
			if len(frames) == 0 {
				t.Errorf("%s: cpu %d has no frames", name, cpu)
				continue
			}
			last := frameString(k, frames[len(frames)-1].Addr)
			ends := []string{"rest_init+", "ret_from_fork_asm+", "secondary_startup_64_no_verify+", "common_startup_64+", "x86_64_start_kernel+", "entry_SYSCALL_64_after_hwframe+"}
			if !slices.ContainsFunc(ends, func(s string) bool { return strings.HasPrefix(last, s) }) {
				var all []string
				for _, f := range frames {
					all = append(all, frameString(k, f.Addr))
				}
				t.Errorf("%s: cpu %d ends in %s: %q", name, cpu, last, all)
			}
		}
	}
}

// TestNewestModule: 7.3's struct module_memory has a flag before its size, and
// several triples of struct module look like unwind tables.
func TestNewestModule(t *testing.T) {
	for _, name := range []string{"f-heap-inflight", "g-static-inflight"} {
		k := locate(t, name, Options{})
		if len(k.Modules) != 1 || k.Modules[0].Name != "race_m" {
			t.Errorf("%s: modules %+v", name, k.Modules)
			continue
		}
		m := k.Modules[0]
		for _, s := range m.load(k.view) {
			if sym, module, ok := k.Resolve(s.addr); !ok || module != "race_m" || sym.Addr != s.addr {
				t.Errorf("%s: %#x is %+v in %q", name, s.addr, sym, module)
			}
		}
		table := k.orcFor(m.Base)
		if m.symbols.count == 0 || table == nil {
			t.Errorf("%s: %d symbols, unwind table %v", name, m.symbols.count, table)
			continue
		}
		for i := range table.count {
			if a, ok := table.addr(i); !ok || !m.holds(a) {
				t.Errorf("%s: unwind entry %d is for %#x", name, i, a)
			}
		}
	}
}

// TestNewerThanMeasured: a release behind the newest that was measured says so.
func TestNewerThanMeasured(t *testing.T) {
	for release, want := range map[string]bool{"6.1.0": false, "7.3.4-kcsan-e": false, "7.4.0": true, "8.0": true, "unknown": false} {
		k := &Kernel{Release: release}
		k.warnNewer()
		if got := len(k.Warnings) == 1 && k.Warnings[0].Code == fault.NewerKernel; got != want {
			t.Errorf("%s: warnings %v", release, k.Warnings)
		}
	}
}

// TestNewestTasks compares tasks with what drgn read with the debug information.
func TestNewestTasks(t *testing.T) {
	for _, name := range []string{"f-heap-inflight", "g-static-inflight"} {
		want := corpustest.ReadJSON[struct{ Tasks [][]any }](t, filepath.Join(corpustest.KCSAN(t), name, "truth.json")).Tasks
		k := locate(t, name, Options{})
		tasks, whole, err := k.Tasks()
		if err != nil || !whole {
			t.Fatalf("%s: %v, whole %v", name, err, whole)
		}
		known := map[string]bool{}
		for _, task := range tasks {
			known[fmt.Sprintf("%d %s %#x", task.PID, task.Comm, task.Addr)] = true
		}
		main := 0
		for _, w := range want {
			if known[fmt.Sprintf("%v %v %v", w[0], w[1], w[2])] {
				main++
			}
		}
		if main != len(want) || main < 50 { // drgn passed over two of g's
			t.Errorf("%s: %d of drgn's %d tasks are there", name, main, len(want))
		}
	}
}
