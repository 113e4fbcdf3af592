package stacks

import (
	"fmt"
	"slices"
	"strings"

	"coredrop/core/windows"
)

// bugCheckName is the function that stops Windows.
const bugCheckName = "KeBugCheckEx"

// judge says of the processor with an index what its stack proves.
func (r *Reader) judge(p *Processor, i int) {
	c := &r.cpus[i]
	if p.Stack == nil || len(p.Stack.Frames) == 0 {
		return
	}
	top := p.Stack.Frames[0]
	p.User = top.User
	on := func(f Frame) bool {
		return c.dpcTop != 0 && f.StackPointer <= c.dpcTop && c.dpcTop-f.StackPointer < kernelStackBytes
	}
	p.DPC = slices.ContainsFunc(p.Stack.Frames, on)
	p.Idle = !p.User && !p.DPC && c.current != nil && c.idle != nil && c.current.VA == c.idle.VA
	switch o := r.k.Opens; {
	case r.k.BugCheck == nil:
	case o.Choice == windows.ChoiceRecord || o.Choice == windows.ChoiceStack:
		p.Crasher = o.Index == i
	default:
		for _, s := range []*Stack{p.Stack, p.Live} {
			if s != nil && slices.ContainsFunc(s.Frames, isBugCheck) {
				p.Crasher = true
			}
		}
	}
}

func isBugCheck(f Frame) bool {
	return f.Module == kernelName && f.Symbol == bugCheckName && !f.Guessed
}

// crasherFirst moves the processor that called KeBugCheckEx to the front.
func crasherFirst(list []*Processor) {
	i := slices.IndexFunc(list, func(p *Processor) bool { return p.Crasher })
	if i > 0 {
		p := list[i]
		copy(list[1:i+1], list[:i])
		list[0] = p
	}
}

// Doing says in a few words what the processor did: "idle", "DPC of minidrv".
func (p *Processor) Doing() string {
	switch {
	case p.Stack == nil:
		return "not known"
	case p.Crasher:
		return "called " + bugCheckName
	case p.User:
		return "user mode"
	case p.DPC:
		if f, ok := p.dpcRoutine(); ok {
			return "in a DPC of " + f.Module
		}
		return "in a DPC"
	case p.Idle:
		return "idle"
	case p.Thread == nil:
		return "in the kernel"
	}
	return "busy"
}

// dpcRoutine gives the outermost frame on the DPC stack that is not the
// kernel's: the routine that is executed.
func (p *Processor) dpcRoutine() (f Frame, ok bool) {
	on := false
	for _, frame := range p.Stack.Frames {
		if frame.On != "" {
			on = strings.HasPrefix(frame.On, "DPC")
		}
		if on && frame.Module != "" && frame.Module != kernelName && !frame.Guessed {
			f, ok = frame, true
		}
	}
	return f, ok
}

// Line says in one line where the processor stood: its number, what it did, and
// the frame that says most.
func (p *Processor) Line() string {
	who := fmt.Sprintf("processor %d", p.Number)
	if p.Number < 0 {
		who = fmt.Sprintf("CPU %d", p.CPU)
	}
	if p.Stack == nil {
		return who + ": no stack: " + p.Why
	}
	s := who + ": " + p.Doing()
	if f, ok := p.telling(); ok {
		s += ", at " + f.text()
	}
	if t := p.Thread; t != nil && !p.Idle && t.ProcessName != "" {
		s += ", process " + t.ProcessName
	}
	return s
}

// telling gives the frame that says most: what led to the bug check, else the
// top.
func (p *Processor) telling() (Frame, bool) {
	if p.Crasher {
		if f, ok := p.Stack.Faulting(); ok {
			return f, true
		}
	}
	if len(p.Stack.Frames) == 0 {
		return Frame{}, false
	}
	return p.Stack.Frames[0], true
}

func (f Frame) text() string {
	if n := f.Name.String(); n != "" {
		return n
	}
	return fmt.Sprintf("%#x", f.Address)
}

// Faulting gives the frame that led to KeBugCheckEx: what was interrupted, else
// its caller.
func (s *Stack) Faulting() (Frame, bool) {
	i := slices.IndexFunc(s.Frames, isBugCheck)
	if i < 0 {
		return Frame{}, false
	}
	for _, f := range s.Frames[i:] {
		if f.Kind == KindMachineFrame {
			return f, true
		}
	}
	if i+1 < len(s.Frames) {
		return s.Frames[i+1], true
	}
	return Frame{}, false
}
