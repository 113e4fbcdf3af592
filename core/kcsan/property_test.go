package kcsan

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"coredrop/server/corpustest"
)

// fields visits every leaf of a value with its path.
func fields(v reflect.Value, path string, visit func(path string, leaf reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fields(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Type().Field(i).Anonymous && v.Type().Field(i).Type == reflect.TypeFor[Frame]() {
				name = "" // an event is its frame
			}
			fields(v.Field(i), strings.Trim(path+"."+name, "."), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fields(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
		visit(path, v)
	}
}

// mutate changes a leaf in its n-th way and reports whether there is one.
func mutate(leaf reflect.Value, n int) bool {
	bit := uint(n * 5 % 31)
	switch leaf.Kind() {
	case reflect.String:
		if s := leaf.String(); n%2 == 0 {
			leaf.SetString("q" + s)
		} else {
			leaf.SetString(s + "q")
		}
	case reflect.Bool:
		if n > 0 {
			return false
		}
		leaf.SetBool(!leaf.Bool())
	case reflect.Int:
		leaf.SetInt(leaf.Int() ^ 1<<bit)
	case reflect.Uint32, reflect.Uint64:
		leaf.SetUint(leaf.Uint() ^ 1<<bit)
	default:
		return false
	}
	return true
}

// checkMutations mutates every field of a parsed report in several ways, and
// compares the lines that change with those that the rules derive from it.
func checkMutations(t *testing.T, text string, seen map[string]bool) {
	t.Helper()
	parse := func() *Report {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	base, r := parse(), parse()
	before := layout(t, base)
	var paths []string
	var leaves []reflect.Value
	fields(reflect.ValueOf(r), "", func(path string, leaf reflect.Value) {
		paths, leaves = append(paths, path), append(leaves, leaf)
	})
	for i, path := range paths {
		if path == "Version" {
			continue // TestVersionMutation
		}
		seen[index.ReplaceAllString(path, "[]")] = true
		old := reflect.ValueOf(leaves[i].Interface())
		for n := range 7 {
			leaves[i].Set(old)
			ok := true
			switch {
			case strings.HasSuffix(path, ".Type"):
				leaves[i].SetUint(old.Uint() ^ 1<<(n%accessFlags))
			case strings.HasSuffix(path, ".Inline"):
				ok = false // moves the title to another frame; TestGoldens has it
			case strings.HasSuffix(path, ".Comm") && old.Len() >= commMax:
				ok = false
			default:
				ok = mutate(leaves[i], n)
			}
			if !ok || r.nameable() != nil {
				continue
			}
			if same, _ := r.Version.KindName(r.Own.Type); r.Own.Type != base.Own.Type {
				if old, _ := base.Version.KindName(base.Own.Type); old == same {
					continue // a bit that R1 ignores
				}
			}
			if r.Other != nil && r.Other.Type != base.Other.Type {
				same, _ := r.Version.KindName(r.Other.Type)
				if old, _ := base.Version.KindName(base.Other.Type); old == same {
					continue
				}
			}
			if l := lockDepth(r); l != lockDepth(base) && (l == 0 || l == 1 || lockDepth(base) <= 1) {
				continue // other words, not another number; TestR13 has them
			}
			if r.Values != nil && base.Values != nil && *r.Values != *base.Values &&
				(r.Values.Old|r.Values.New)>>min(63, 8*r.Own.Size) != 0 {
				continue // a value that does not fit the access
			}
			after := layout(t, r)
			var changed []string
			for tag := range maps.Keys(before) {
				if l, ok := after[tag]; !ok || l != before[tag] {
					changed = append(changed, tag)
				}
			}
			for tag := range maps.Keys(after) {
				if _, ok := before[tag]; !ok {
					changed = append(changed, tag)
				}
			}
			want := derived(t, path, base, r)
			want = slices.DeleteFunc(want, func(tag string) bool { // lines that neither has
				_, b := before[tag]
				_, a := after[tag]
				return !a && !b || tag == "bits" && after[tag] == before[tag]
			})
			slices.Sort(changed)
			slices.Sort(want)
			if !slices.Equal(changed, want) {
				t.Errorf("%s, mutation %d: changed lines %q, want %q", path, n, changed, want)
			}
		}
		leaves[i].Set(old)
	}
}

// lockDepth returns the number of locks in both blocks.
func lockDepth(r *Report) int {
	n := 0
	if r.Other != nil && r.Other.Verbose != nil {
		n = r.Other.Verbose.Locks.Depth
	}
	if r.Own.Verbose != nil {
		n += 1000 * r.Own.Verbose.Locks.Depth
	}
	return n
}

func TestMutations(t *testing.T) {
	seen := map[string]bool{}
	for name, reports := range goldenModels() {
		t.Run(name, func(t *testing.T) {
			for _, r := range reports {
				text, err := r.Text()
				if err != nil {
					t.Fatal(err)
				}
				checkMutations(t, text, seen)
			}
		})
	}
	// The models together have a leaf for every field there is.
	for _, path := range everyField() {
		if !seen[path] {
			t.Errorf("no model has the field %s", path)
		}
	}
}

// everyField lists the paths of all leaves of a report that leaves nothing out.
func everyField() []string {
	f := Frame{}
	full := &Report{Other: &Thread{}, Values: &Values{}}
	for _, th := range []*Thread{full.Other, &full.Own} {
		th.Trace = Trace{Frames: []Frame{f}, ReorderedTo: &f}
		th.Verbose = &Verbose{Locks: HeldLocks{Held: []string{""}}, IRQ: &IRQTrace{}}
	}
	full.Footer.More = []string{""}
	var paths []string
	fields(reflect.ValueOf(full), "", func(path string, _ reflect.Value) {
		// One side is enough for what both have.
		if path != "Version" && !strings.HasPrefix(path, "Own.Verbose.Locks.Held") {
			paths = append(paths, index.ReplaceAllString(path, "[]"))
		}
	})
	return paths
}

func TestMutationsOfExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpustest.KCSAN(t), "examples", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			checkMutations(t, readFile(t, file), map[string]bool{})
		})
	}
}

// TestVersionMutation changes only the version of a report and looks at which
// lines follow.
func TestVersionMutation(t *testing.T) {
	base := goldenModels()["v6.12-footer"][0]
	base.Other.Type |= AccessScoped
	before := layout(t, base)
	for _, c := range []struct {
		v    Version
		want []string
	}{
		{V6_12, nil},
		{V6_1, []string{"cpu", "taints"}},
		{V5_17, []string{"cpu", "taints"}},
		{V5_16, []string{"Other head", "cpu", "taints"}},
		{V5_14, []string{"Other head", "cpu", "taints"}},
		{V5_10, []string{"Other head", "cpu", "taints", "value", "value blank"}},
		{Reference, []string{"Other head", "cpu", "taints", "value", "value blank"}},
	} {
		r := *base
		r.Version = c.v
		after := layout(t, &r)
		var changed []string
		for tag, l := range before {
			if a, ok := after[tag]; !ok || a != l {
				changed = append(changed, tag)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, c.want) {
			t.Errorf("%s: changed lines %q, want %q", c.v, changed, c.want)
		}
	}
}
