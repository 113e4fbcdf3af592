package kcsan

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	case "Footer.CommUncut":
		if len(before.Footer.Comm) <= commMax {
			return nil
		}
		return []string{"cpu"}
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
