//go:build !lean

package summary

import (
	"coredrop/core/kcsan"
	"coredrop/core/owner"
	"coredrop/core/races"
)

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
	for i := range out.Accesses {
		if i < len(r.Objects) {
			out.Accesses[i].Object = object(r.Objects[i], r.State)
		}
	}
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

// object words what an access was to; nil: nothing is known.
func object(o owner.Object, state string) *Object {
	if o.Kind == owner.Unknown {
		return nil
	}
	out := &Object{Kind: o.Kind, Name: o.Name, Offset: o.Offset, Size: o.Size, Type: o.Type, Member: o.Member, Module: o.Module,
		Users: o.Users, Now: state == races.Printed && !o.Lasting() && o.Kind != owner.Absent, Text: o.String()}
	out.Certain = o.Certain() && !out.Now
	if o.Base != 0 {
		out.Base = hex64(o.Base)
	}
	if o.CPU >= 0 {
		out.CPU = &o.CPU
	}
	if o.Task != nil {
		out.PID, out.Comm = &o.Task.PID, o.Task.Comm
	}
	return out
}
