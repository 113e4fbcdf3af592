package kcsan

import (
	"slices"
	"strings"
)

// whole judges whether what was read is one report.
func (r *retyper) whole() bool {
	rep := &r.rep
	switch len(r.threads) {
	case 1:
		if rep.Other != nil {
			return false
		}
	case 2:
	default:
		return false
	}
	rep.Own = *r.threads[len(r.threads)-1]
	for _, t := range r.threads {
		if len(t.Trace.Frames) == 0 {
			return false
		}
	}
	if !r.reported {
		// The second trace must be known to be over: a report that the kernel
		// was still printing is no report.
		over := r.c.Closed || r.footer || r.tail == elidedLine || !r.c.Opened && (r.values > 0 || r.gapBefore || !r.c.LogEnds)
		if !over {
			return false
		}
		r.differs(DiffNoFooter)
	} else if !r.footer {
		r.differs(DiffFooter)
	}
	if !r.c.Interleaved && r.foreign > 0 {
		return false
	}
	return r.titled() && r.versioned()
}

// titled compares the title with the traces.
func (r *retyper) titled() bool {
	kind, names, _ := cutTitle(r.title)
	switch kind {
	case "data-race":
		if r.rep.types()&AccessAssert != 0 {
			return false
		}
	case "assert: race":
		if r.rep.types()&AccessAssert == 0 {
			return false
		}
	case "racing read", "racing write":
		r.differs(Diff2019)
	default:
		return false
	}
	own := stripOffsets(r.rep.Own.Trace.Top().Func())
	if r.rep.Other == nil {
		return stripOffsets(names) == own
	}
	other := r.rep.Other.Trace.Top().Func()
	a, b, ok := strings.Cut(names, " / ")
	if !ok {
		if a, b, ok = strings.Cut(names, " and "); ok {
			r.differs(Diff2019)
		}
	}
	a, b = stripOffsets(a), stripOffsets(b)
	if !ok || !(a == other && b == own || a == own && b == other) {
		return false
	}
	first, _ := titleOrder(r.rep.Other.Trace.Top(), r.rep.Own.Trace.Top())
	// The order goes by the whole %pS, which a symboliser took away.
	exact := r.rep.Other.Trace.Top().Placed() && r.rep.Own.Trace.Top().Placed()
	return first.Func() == a || !exact || slices.Contains(r.diffs, Diff2019)
}

// versioned finds the version that prints these accesses.
func (r *retyper) versioned() bool {
	p := &parser{rep: r.rep}
	uid := false
	for _, it := range r.items {
		uid = uid || it.class == cpuLine && strings.Contains(it.text, " UID: ")
	}
	for _, v := range p.candidates(uid) {
		r.rep.Version = v
		if r.rep.nameable() != nil {
			continue
		}
		ok := true
		for i, t := range r.threads {
			name, _ := v.KindName(t.Type)
			ok = ok && strings.Contains(r.heads()[i].text, name+" to 0x")
		}
		if ok {
			return r.valued()
		}
	}
	return false
}

// heads returns the access lines.
func (r *retyper) heads() (out []item) {
	for _, it := range r.items {
		if it.class == headLine {
			out = append(out, it)
		}
	}
	return out
}

// valued checks the width of the values, which is the access's.
func (r *retyper) valued() bool {
	for _, it := range r.items {
		if m := looseValues.FindStringSubmatch(it.text); m != nil {
			return len(m[1]) == len(m[2]) && (r.rep.Own.Size > maxValueSize || len(m[1]) == int(2*r.rep.Own.Size))
		}
	}
	return true
}

// compare looks for what was done to blanks, between the first line and the
// last.
func (r *retyper) compare() {
	if r.foreign > 0 {
		r.differs(DiffOtherLines)
	}
	wanted := r.wanted
	if r.blanks < wanted {
		r.differs(DiffBlankLines)
	} else if r.blanks > wanted {
		r.differs(DiffMoreBlank)
	}
	for _, it := range r.items[:r.last+1] {
		trimmed := strings.TrimRight(it.raw, " \t")
		if trimmed != it.raw && it.class != cpuLine {
			r.differs(DiffTrailing)
		}
		indent, body := "", trimmed
		switch it.class {
		case frameLine, lockLine, maskLine:
			indent = " "
		case pipeLine, arrowLine:
			indent = "  "
		case foreign, blankLine, elidedLine:
			continue
		}
		body = strings.TrimLeft(trimmed, " \t")
		if trimmed[:len(trimmed)-len(body)] != indent {
			r.differs(DiffIndent)
		}
		if it.class == frameLine || it.class == headLine || it.class == titleLine || it.class == valueLine {
			if body != it.text {
				r.differs(DiffSqueezed)
			}
		}
	}
}
