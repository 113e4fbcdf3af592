package summary

import (
	"coredrop/core/kcsan"
	"coredrop/core/races"
)

// KCSAN counts the race reports by their state, equal ones as often as they
// occur.
type KCSAN struct {
	Printed    int `json:"printed"`
	InFlight   int `json:"in_flight"`
	Pending    int `json:"pending"`
	Suppressed int `json:"suppressed"`
	Residue    int `json:"residue"`
}

// Report is one distinct race report. Text is what the kernel prints, from
// separator to separator without time stamps; for residue only what is left.
type Report struct {
	State string `json:"state"` // printed, in-flight, pending, suppressed, residue
	// Grade is whole (the kernel's own text) or retyped (one real report whose
	// text differs from the kernel's: Differences says in what).
	Grade       string   `json:"grade"`
	Differences []string `json:"differences"`

	Title          string    `json:"title"`
	SyzkallerTitle string    `json:"syzkaller_title"`
	Label          string    `json:"label"` // state, time and source in one line
	Text           string    `json:"text"`
	Count          int       `json:"count"`
	Times          []float64 `json:"times"`                       // seconds since boot, as far as the log has them
	Accesses       []Access  `json:"accesses"`                    // as printed: the watcher's last
	Value          *Value    `json:"value" jsonschema:"nullable"` // null: not known, or not printed
	Sources        []string  `json:"sources"`                     // log, cpu 1, other_infos[46], report_times[3]
	Rule           string    `json:"rule"`                        // why a suppressed one is
	Unknown        []string  `json:"unknown"`                     // what of the text is not known
}

// Access is one side of a race.
type Access struct {
	Kind      string  `json:"kind"` // read, write, read-write; no writes, no accesses of an assertion
	Marked    bool    `json:"marked"`
	Scoped    bool    `json:"scoped"`
	Assert    bool    `json:"assert"`
	Reordered bool    `json:"reordered"`
	Address   string  `json:"address"`
	Size      uint64  `json:"size"`                      // in bytes
	By        string  `json:"by"`                        // task, interrupt
	PID       *int    `json:"pid" jsonschema:"nullable"` // null: an interrupt
	CPU       int     `json:"cpu"`
	Stack     []Frame `json:"stack"`
}

// Value is how the value changed while it was watched; Mask is "" where all its
// bits count.
type Value struct {
	Old  string `json:"old"`
	New  string `json:"new"`
	Mask string `json:"mask"`
}

// Fragment is a piece of a report whose rest is missing, with the reason.
type Fragment struct {
	Title  string `json:"title"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Count  int    `json:"count"`
}

// races notes what was recovered.
func (s *Summary) races(r *races.Result) {
	s.warn(r.Warnings...)
	for i := range r.Reports {
		s.Reports = append(s.Reports, report(&r.Reports[i], r.Lines))
	}
	for i := range r.Fragments {
		f := &r.Fragments[i]
		s.Fragments = append(s.Fragments, Fragment{Title: f.Title, Reason: f.Reason, Text: f.Text(), Count: f.Count})
	}
	counts := &KCSAN{
		Printed: r.Count(races.Printed), InFlight: r.Count(races.InFlight), Pending: r.Count(races.Pending),
		Suppressed: r.Count(races.Suppressed), Residue: r.Count(races.Residue),
	}
	if s.Linux == nil { // a log: what its reports say of the kernel
		for i := range r.Reports {
			s.Guest.OS, s.Guest.Version = "linux", r.Reports[i].Model.Footer.Release
			s.Linux = &Linux{Release: s.Guest.Version, Troubles: []Trouble{}, Debug: []DebugFile{}, KCSAN: counts}
		}
		return
	}
	s.Linux.KCSAN = counts
	if s.Linux.Detail == nil {
		return
	}
	if r.State != nil {
		s.Linux.Detail.KCSAN = kcsanDetail(r.State)
	}
}

func report(r *races.Report, lines races.Lines) Report {
	out := Report{State: r.State, Grade: kcsan.GradeWhole.String(), Differences: r.Differences, Title: r.Title, Label: r.Label(), Text: r.Text, Count: r.Count,
		Times: []float64{}, Accesses: []Access{}, Sources: r.Sources, Rule: r.Rule, Unknown: r.Unknown}
	if out.Unknown == nil {
		out.Unknown = []string{}
	}
	if out.Differences == nil {
		out.Differences = []string{}
	} else {
		out.Grade = r.Grade.String()
	}
	for _, ns := range r.Times {
		out.Times = append(out.Times, float64(ns)/1e9)
	}
	if r.State == races.Residue {
		out.Grade = ""
	}
	m := r.Model
	if m == nil {
		return out
	}
	out.SyzkallerTitle = m.SyzTitle()
	if m.Other != nil {
		out.Accesses = append(out.Accesses, access(m.Version, m.Other, lines))
	}
	out.Accesses = append(out.Accesses, access(m.Version, &m.Own, lines))
	if v := m.Values; v != nil {
		out.Value = &Value{Old: hex64(v.Old), New: hex64(v.New)}
		if v.Mask != 0 {
			out.Value.Mask = hex64(v.Mask)
		}
	}
	return out
}

func access(v kcsan.Version, t *kcsan.Thread, lines races.Lines) Access {
	a := Access{Kind: "read", Marked: t.Type&kcsan.AccessAtomic != 0, Assert: t.Type&kcsan.AccessAssert != 0,
		Address: hex64(t.Addr), Size: t.Size, By: "interrupt", CPU: t.CPU, Stack: []Frame{}}
	if t.Type&kcsan.AccessScoped != 0 { // since 5.17 the flag has another name and meaning
		a.Reordered = v.Features().ScopedWord == "reordered"
		a.Scoped = !a.Reordered
	}
	switch write := t.Type&kcsan.AccessWrite != 0; {
	case a.Assert && write:
		a.Kind = "no accesses"
	case a.Assert:
		a.Kind = "no writes"
	case t.Type&kcsan.AccessCompound != 0:
		a.Kind = "read-write"
	case write:
		a.Kind = "write"
	}
	if !t.Interrupt() {
		pid := t.PID
		a.By, a.PID = "task", &pid
	}
	for _, f := range t.Trace.Frames {
		a.Stack = append(a.Stack, withLines(reportFrame(f), lines[f.String()])...)
	}
	return a
}

// reportFrame words a line of a report's stack, with the place that a symboliser
// wrote to it. A line without a symbol has its address as its name.
func reportFrame(f kcsan.Frame) Frame {
	function, file, line := f.Place()
	out := Frame{Symbol: function, Module: f.Symbol.Module, Offset: f.Symbol.Offset, Size: f.Symbol.Size,
		File: file, Line: line, Inline: f.Inline, From: "text", Kind: "return"}
	if f.Addr != 0 {
		out.Address = hex64(f.Addr)
	}
	return out
}
