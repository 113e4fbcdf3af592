package summary

import (
	"coredrop/core/windows/bugcheck"
	"coredrop/core/windows/stacks"
)

// stacks notes where the processors and threads of a Windows guest stood, and
// what follows from it.
func (s *Summary) stacks(r *stacks.Report) {
	s.warn(r.Warnings...)
	for _, p := range r.Processors {
		if p.CPU < 0 || p.CPU >= len(s.CPUs) {
			continue
		}
		c := &s.CPUs[p.CPU]
		c.StackEnd = p.Why
		if t := p.Thread; t != nil {
			c.Process = processOf(t)
		}
		if p.Stack != nil {
			c.Stack, c.StackEnd = frames(p.Stack)
		}
		if p.Live != nil {
			c.LiveStack, c.LiveStackEnd = frames(p.Live)
		}
	}
	for _, t := range r.Threads {
		info := Thread{Process: processOf(t), TID: t.TID, Address: hex64(uint64(t.VA)), State: t.State.String()}
		if t.Processor >= 0 {
			info.Processor = &t.Processor
		}
		info.Stack, info.StackEnd = frames(&t.Stack)
		s.Threads = append(s.Threads, info)
	}
	if s.Windows == nil {
		return
	}
	s.Windows.FirstAid = r.FirstAid.Text()
	if b := r.BugCheck; b != nil && s.Windows.BugCheck != nil {
		s.Windows.BugCheck.note(b)
	}
}

// processOf gives a thread's process, nil where it is not known.
func processOf(t *stacks.Thread) *Process {
	switch p := t.Of; {
	case t.IdleOf >= 0:
		return &Process{Name: t.ProcessName}
	case p != nil:
		return &Process{p.PID, p.Name, hex64(uint64(p.DTB))}
	}
	return nil
}

// note adds what the code and its parameters mean.
func (b *BugCheck) note(in *stacks.BugCheck) {
	b.Name, b.URL = in.Name, bugcheck.Reference
	for i := range b.Parameters {
		b.Parameters[i].Meaning, b.Parameters[i].At = in.Parameters[i].Meaning, in.Parameters[i].At.String()
	}
	if in.Stack != nil {
		b.Stack, b.StackEnd = frames(in.Stack)
	}
}

// frames lists a stack, and says why it ends where it does not end by itself.
func frames(in *stacks.Stack) (out []Frame, end string) {
	out = []Frame{}
	for _, f := range in.Frames {
		out = append(out, Frame{Address: hex64(f.Address), SP: hex64(f.StackPointer), Module: f.Module, Symbol: f.Symbol,
			Offset: f.Offset, From: f.From, Kind: f.Kind, Guessed: f.Guessed, Note: f.Note()})
	}
	if in.End != stacks.EndsAtStart {
		end = in.Why
	}
	return out, end
}
