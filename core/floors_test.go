package core

import (
	"slices"
	"strings"
	"testing"
)

// floors are the packages below core, lowest first: one may import those of
// lower floors only, so that no arrow runs back up. What only tests and the demo
// use stands outside: see ARCHITECTURE.md.
var floors = []string{
	"fault progress words cpu btf kcsan kcsan/watch windows/bugcheck",
	"source kcsan/logtext pdb",
	"mem identify srcline",
	"paging dump pe symstore machine unpack",
	"container/elfcore container/inflate container/qcow2 windows/unwind",
	"container/kdump container/savevm windows linux",
	"windows/find windows/stacks owner",
	"dmp detect races",
	"summary",
	"",
}

// outside are the packages that make guests and files.
var outside = []string{"synth", "demo", "dmptest", "linuxtest", "pdbtest", "storetest", "errordoc", "corpustest", "remotetest"}

// TestFloors holds every package to its floor.
func TestFloors(t *testing.T) {
	needGo(t)
	packages := list(t, "js", "wasm")
	here := "" // core's own path, whatever the module's name
	for path := range packages {
		if here == "" || len(path) < len(here) {
			here = path
		}
	}
	floor := map[string]int{}
	for i, names := range floors {
		for _, name := range strings.Split(names, " ") {
			floor[strings.TrimSuffix(here+"/"+name, "/")] = i
		}
	}
	known := 0
	for path, p := range packages {
		at, ok := floor[path]
		if !ok {
			if name := path[strings.LastIndex(path, "/")+1:]; !slices.Contains(outside, name) {
				t.Errorf("%s has no floor", path)
			}
			continue
		}
		known++
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, here) {
				continue
			}
			if below, ok := floor[imported]; !ok || below >= at {
				t.Errorf("%s, on floor %d, imports %s, on floor %d (known %v)", path, at, imported, below, ok)
			}
		}
	}
	if known != len(floor) {
		t.Errorf("%d packages of %d were found", known, len(floor))
	}
}
