package races

import (
	"fmt"

	"coredrop/core/kcsan"
)

// residue collects what is left of reports that are not in the log any more:
// producers in consumed slots, and pairs of frames in the rate limit's table.
func (c *recovery) residue() {
	for _, slot := range c.s.Slots {
		if slot.Live {
			continue
		}
		th := c.thread(slot.Access, slot.Stack)
		if c.knownProducer(th) {
			continue
		}
		c.r.Reports = append(c.r.Reports, Report{
			State: Residue, Title: partTitle(th), Text: threadText(c.s.Version, th), Count: 1,
			Sources: []string{fmt.Sprintf("other_infos[%d]", slot.Index)}, Unknown: []string{unknownSize, unknownOwn},
		})
	}
	known := c.knownPairs()
	for _, t := range c.s.Times {
		f1, f2 := kcsan.NewFrame(c.s.symbols, t.Frame1), kcsan.NewFrame(c.s.symbols, t.Frame2)
		pair := framePair{f1.String(), f2.String()}
		if t.Frame2 == 0 {
			pair[1] = ""
		}
		if known[pair.sorted()] {
			continue
		}
		known[pair.sorted()] = true
		rep := kcsan.Report{Version: c.s.Version, Own: kcsan.Thread{Trace: kcsan.Trace{Frames: []kcsan.Frame{f1}}}}
		text := f1.String() + "\n"
		if t.Frame2 != 0 {
			rep.Other = &kcsan.Thread{Trace: kcsan.Trace{Frames: []kcsan.Frame{f2}}}
			text += f2.String() + "\n"
		}
		c.r.Reports = append(c.r.Reports, Report{
			State: Residue, Title: rep.Title(), Text: text, Count: 1,
			Sources: []string{fmt.Sprintf("report_times[%d]", t.Index)},
			Unknown: []string{"accesses and stacks"},
		})
	}
}

// framePair are the top frames of a report as %pS prints them; the second is ""
// for an unknown origin.
type framePair [2]string

func (p framePair) sorted() framePair {
	if p[1] < p[0] {
		p[0], p[1] = p[1], p[0]
	}
	return p
}

// knownPairs are the frames of all reports that are whole.
func (c *recovery) knownPairs() map[framePair]bool {
	out := map[framePair]bool{}
	for i := range c.r.Reports {
		m := c.r.Reports[i].Model
		if m == nil {
			continue
		}
		p := framePair{m.Own.Trace.Top().String(), ""}
		if m.Other != nil {
			p[1] = m.Other.Trace.Top().String()
		}
		out[p.sorted()] = true
	}
	return out
}

// knownProducer tells whether a consumed slot's producer is the other thread of
// a whole report: the same but for the size, which consuming erases.
func (c *recovery) knownProducer(th kcsan.Thread) bool {
	for i := range c.r.Reports {
		m := c.r.Reports[i].Model
		if m == nil || m.Other == nil {
			continue
		}
		o := *m.Other
		o.Size = th.Size
		if sameThread(&o, &th) && len(o.Trace.Frames) == len(th.Trace.Frames) {
			return true
		}
	}
	return false
}
