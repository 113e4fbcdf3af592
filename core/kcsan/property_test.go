package kcsan

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"coredrop/internal/corpustest"
)

// layout names the lines of a report by what the rules derive them from. It is
// R4 a second time, so that a mutation can be followed to its lines.
func layout(t *testing.T, r *Report) map[string]string {
	t.Helper()
	lines := mustLines(t, r)
	tags := map[string]string{}
	at := 0
	take := func(tag string) {
		if at >= len(lines) {
			t.Fatalf("no line for %s in\n%s", tag, strings.Join(lines, "\n"))
		}
		tags[tag] = lines[at]
		at++
	}
	thread := func(p string, th *Thread) {
		take(p + " head")
		for i := range th.Trace.Frames {
			take(fmt.Sprintf("%s frame %d", p, i))
		}
		if th.Trace.ReorderedTo != nil {
			take(p + " pipe")
			take(p + " arrow")
		}
		if v := th.Verbose; v != nil {
			take(p + " verbose blank")
			take(p + " locks")
			if !v.Locks.Off && v.Locks.Depth > 0 {
				for i := range v.Locks.Held {
					take(fmt.Sprintf("%s lock %d", p, i))
				}
			}
			if v.IRQ != nil {
				take(p + " stamp")
				for i := range v.IRQ.events() {
					take(fmt.Sprintf("%s irq %d", p, i))
				}
			}
		}
	}
	take("first separator")
	take("title")
	take("title blank")
	if r.Other != nil {
		thread("Other", r.Other)
		take("between")
	}
	thread("Own", &r.Own)
	if valuesShown(r) {
		take("value blank")
		take("value")
		if r.Values.Mask != 0 {
			take("bits")
		}
	}
	take("footer blank")
	take("reported by")
	take("cpu")
	if r.Version == V6_12 && r.Footer.Taints != "" {
		take("taints")
	}
	if r.Footer.Hardware != "" {
		take("hardware")
	}
	for i := range r.Footer.More {
		take(fmt.Sprintf("more %d", i))
	}
	take("last separator")
	if at != len(lines) {
		t.Fatalf("lines without a name: %q", lines[at:])
	}
	return tags
}

// valuesShown is R14's condition.
func valuesShown(r *Report) bool {
	if r.Values == nil || r.Version < V5_14 || r.Own.Size > 8 {
		return false
	}
	d := r.Values.Old ^ r.Values.New
	if r.Values.Mask != 0 {
		d &= r.Values.Mask
	}
	return d != 0
}

var (
	threadField = regexp.MustCompile(`^(Other|Own)\.(.*)$`)
	frameField  = regexp.MustCompile(`^Trace\.Frames\[(\d+)\]\.(.*)$`)
	heldField   = regexp.MustCompile(`^Verbose\.Locks\.Held\[(\d+)\]$`)
	moreField   = regexp.MustCompile(`^Footer\.More\[(\d+)\]$`)
	index       = regexp.MustCompile(`\[\d+\]`)
	irqField    = regexp.MustCompile(`^Verbose\.IRQ\.(\w+)\.(.*)$`)
)

// derived lists the lines that the rules derive from the field at path, which
// is the only one in which after differs from before.
func derived(t *testing.T, path string, before, after *Report) []string {
	t.Helper()
	values := func() []string {
		switch b, a := valuesShown(before), valuesShown(after); {
		case !b && !a:
			return nil
		case b != a || before.Values.Mask == 0 != (after.Values.Mask == 0):
			return []string{"value blank", "value", "bits"}
		default:
			return []string{"value", "bits"}
		}
	}
	if m := moreField.FindStringSubmatch(path); m != nil {
		return []string{"more " + m[1]}
	}
	switch path {
	case "Footer.Taints":
		if before.Version != V6_12 {
			return nil
		}
		return []string{"taints"}
	case "Footer.Hardware":
		return []string{"hardware"}
	case "Footer.UID":
		if before.Version != V6_12 {
			return nil
		}
		return []string{"cpu"}
	case "Values.Old", "Values.New":
		return values()
	case "Values.Mask":
		if v := values(); valuesShown(before) != valuesShown(after) {
			return v
		}
		return []string{"bits"}
	}
	if strings.HasPrefix(path, "Footer.") {
		return []string{"cpu"}
	}
	m := threadField.FindStringSubmatch(path)
	if m == nil {
		t.Fatalf("no rule for the field %s", path)
	}
	p, field := m[1], m[2]
	th := &before.Own
	if p == "Other" {
		th = before.Other
	}
	switch field {
	case "Access.IP":
		return nil // what it does is done before the model (R15)
	case "Access.Size":
		if p == "Own" {
			return append(values(), "Own head")
		}
		return []string{"Other head"}
	case "Access.Type":
		tags := []string{p + " head"}
		if before.types()&AccessAssert != after.types()&AccessAssert {
			tags = append(tags, "title")
		}
		return tags
	case "Access.Addr", "Access.PID", "Access.CPU":
		return []string{p + " head"}
	case "Verbose.Locks.Comm", "Verbose.Locks.PID", "Verbose.Locks.Depth":
		if th.Verbose.Locks.Off {
			return nil
		}
		return []string{p + " locks"}
	case "Verbose.Locks.Off":
		tags := []string{p + " locks"}
		for i := range th.Verbose.Locks.Held {
			tags = append(tags, fmt.Sprintf("%s lock %d", p, i))
		}
		return tags
	case "Verbose.IRQ.Stamp":
		return []string{p + " stamp"}
	}
	if m := heldField.FindStringSubmatch(field); m != nil {
		return []string{p + " lock " + m[1]}
	}
	if m := irqField.FindStringSubmatch(field); m != nil {
		if m[2] == "Inline" {
			return nil // never set for an event
		}
		if e := eventNamed(th.Verbose.IRQ, m[1]); e.Symbol.Name == "" && strings.HasPrefix(m[2], "Symbol.") && m[2] != "Symbol.Name" {
			return nil // parts of a symbol that it does not have
		}
		i := slices.Index([]string{"HardirqEnabled", "HardirqDisabled", "SoftirqEnabled", "SoftirqDisabled"}, m[1])
		return []string{fmt.Sprintf("%s irq %d", p, i)}
	}
	if strings.HasPrefix(field, "Trace.ReorderedTo.") {
		if field == "Trace.ReorderedTo.Addr" && th.Trace.ReorderedTo.Symbol.Name != "" {
			return nil
		}
		return []string{p + " arrow"}
	}
	m = frameField.FindStringSubmatch(field)
	if m == nil {
		t.Fatalf("no rule for the field %s", path)
	}
	line := p + " frame " + m[1]
	var i int
	fmt.Sscan(m[1], &i)
	f := th.Trace.Frames[i]
	if f.Inline && m[2] != "Note" || m[2] == "Addr" && f.Symbol.Name != "" ||
		f.Symbol.Name == "" && strings.HasPrefix(m[2], "Symbol.") && m[2] != "Symbol.Name" {
		return nil
	}
	top := slices.IndexFunc(th.Trace.Frames, func(f Frame) bool { return !f.Inline })
	inTitle := i == top && (m[2] == "Symbol.Name" || m[2] == "Symbol.Module" || m[2] == "Addr" ||
		before.Other == nil && strings.HasPrefix(m[2], "Symbol."))
	if inTitle {
		return []string{line, "title"}
	}
	return []string{line}
}

// eventNamed returns the event in a field of a trace.
func eventNamed(t *IRQTrace, field string) IRQEvent {
	return reflect.ValueOf(*t).FieldByName(field).Interface().(IRQEvent)
}

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
