package stacks

import (
	"fmt"
	"strings"
	"time"

	"coredrop/core/windows/unwind"
)

// Text writes the report as text: the conclusions, then each stack in the form
// debuggers print, the crasher's first.
func (rep *Report) Text() string {
	var b strings.Builder
	if c := rep.BugCheck; c != nil {
		fmt.Fprintf(&b, "bug check %s\n", c.Title())
	}
	for _, line := range rep.FirstAid.Text() {
		b.WriteString(line + "\n")
	}
	if up := rep.FirstAid.Uptime; up > 0 {
		fmt.Fprintf(&b, "up for %v\n", up.Round(time.Second))
	}
	if rep.BugCheck != nil {
		rep.BugCheck.write(&b)
	}
	for _, p := range rep.Processors {
		if p.Stack == nil {
			continue // its line has said why
		}
		title := fmt.Sprintf("processor %d", p.Number)
		if t := p.Thread; t != nil {
			title += ", " + t.title()
		}
		if p.Live == nil {
			p.Stack.write(&b, title)
			continue
		}
		p.Stack.write(&b, title+", as Windows recorded it")
		p.Live.write(&b, title+", as it stands now")
	}
	for _, t := range rep.Threads {
		title := t.title() + ", " + t.State.String()
		if len(t.Stack.Frames) == 0 {
			fmt.Fprintf(&b, "\n%s: %s\n", title, t.Stack.Why)
			continue
		}
		t.Stack.write(&b, title)
	}
	return b.String()
}

// title names a thread.
func (t *Thread) title() string {
	s := fmt.Sprintf("thread %#x", uint64(t.VA))
	if t.IdleOf >= 0 {
		return fmt.Sprintf("%s, idle thread of processor %d", s, t.IdleOf)
	}
	if t.HasID {
		s += fmt.Sprintf(" (id %d)", t.TID)
	}
	if t.ProcessName != "" {
		s += fmt.Sprintf(" of %s (%d)", t.ProcessName, t.PID)
	}
	return s
}

// Title is the code and its name.
func (c *BugCheck) Title() string { return strings.TrimSpace(fmt.Sprintf("%#x %s", c.Code, c.Name)) }

// write writes a bug check's parameters, and the stack of its exception.
func (c *BugCheck) write(b *strings.Builder) {
	b.WriteString("\n")
	for i, p := range c.Parameters {
		fmt.Fprintf(b, "parameter %d: %#x", i+1, p.Value)
		if p.Meaning != "" {
			fmt.Fprintf(b, "  %s", p.Meaning)
			if p.Varies {
				b.WriteString(" (not on every release)")
			}
		}
		if p.At.Module != "" {
			fmt.Fprintf(b, " [%s]", p.At)
		}
		b.WriteString("\n")
	}
	if c.Stack != nil {
		c.Stack.write(b, "the exception, by the "+c.From)
	}
}

// address writes an address with the mark that debuggers put in its middle.
func address(v uint64) string { return fmt.Sprintf("%08x`%08x", v>>32, v&0xffffffff) }

// write writes a stack in the form of WinDbg's k.
func (s *Stack) write(b *strings.Builder, title string) {
	fmt.Fprintf(b, "\n%s\n # Child-SP          RetAddr           Call Site\n", title)
	for i, f := range s.Frames {
		caller := uint64(0)
		if i+1 < len(s.Frames) {
			caller = s.Frames[i+1].Address
		}
		fmt.Fprintf(b, "%02x %s %s %s\n", i, address(f.StackPointer), address(caller), f.site())
	}
	if s.End != unwind.ThreadStart {
		fmt.Fprintf(b, "   (%s)\n", s.Why)
	}
}

// site writes a frame's place, with what is to be said about it.
func (f Frame) site() string {
	s := f.Name.String()
	if s == "" {
		s = "0x" + address(f.Address)
	}
	if note := f.Note(); note != "" {
		s += " (" + note + ")"
	}
	return s
}

// Note is what is to be said about a frame beside its name: the trap frame of
// what its function interrupted, the stack that begins with it, and how much of
// a guess it is. Empty: nothing.
func (f Frame) Note() string {
	var notes []string
	if f.TrapFrame != 0 {
		notes = append(notes, "TrapFrame @ "+address(uint64(f.TrapFrame)))
	}
	if f.On != "" {
		notes = append(notes, f.On)
	}
	switch {
	case f.Weak:
		notes = append(notes, "guessed, and the code is not in the core")
	case f.Guessed:
		notes = append(notes, "guessed")
	}
	return strings.Join(notes, "; ")
}
