package stacks

import (
	"fmt"
	"strings"
	"time"
)

// FirstAid is what the stacks prove, for whoever opens a core first.
type FirstAid struct {
	Crasher   int    // the processor that called KeBugCheckEx; -1: none is known to
	Faulting  Name   // where it went wrong; Module is "" where nothing says so
	FaultedBy string // how that is known: "parameter 4", "the crasher's stack", or both
	Uptime    time.Duration
	Processes []string // current ones by processor, each once: "smss.exe (420)"
	Lines     []string // of the processors
}

// FirstAid draws the conclusions from processors and bug check (nil: none).
func (r *Reader) FirstAid(processors []*Processor, b *BugCheck) FirstAid {
	a := FirstAid{Crasher: -1, Uptime: time.Duration(min(r.k.Shared.InterruptTime, 1<<56) * 100)}
	seen := map[string]bool{}
	for _, p := range processors {
		if p.Crasher && a.Crasher < 0 {
			a.Crasher = p.Number
			a.fault(p, b)
		}
		if t := p.Thread; t != nil && t.ProcessName != "" && !p.Idle {
			name := fmt.Sprintf("%s (%d)", t.ProcessName, t.PID)
			if !seen[name] {
				seen[name] = true
				a.Processes = append(a.Processes, name)
			}
		}
		a.Lines = append(a.Lines, p.Line())
	}
	if a.Crasher < 0 && b != nil {
		a.fault(nil, b)
	}
	return a
}

// fault says where it went wrong, by the parameter that names an instruction
// and by what the crasher's stack shows interrupted.
func (a *FirstAid) fault(crasher *Processor, b *BugCheck) {
	var by []string
	if b != nil {
		for i, p := range b.Parameters {
			if p.Instruction() && !p.Varies && p.At.Module != "" {
				a.Faulting = p.At
				by = append(by, fmt.Sprintf("parameter %d", i+1))
				break
			}
		}
	}
	if crasher != nil && crasher.Stack != nil {
		if f, ok := crasher.Stack.Faulting(); ok && f.Kind == KindMachineFrame && f.Module != "" && !f.Guessed {
			if len(by) == 0 {
				a.Faulting = f.Name
			}
			if f.Name == a.Faulting {
				by = append(by, "the crasher's stack")
			}
		}
	}
	a.FaultedBy = strings.Join(by, " and ")
}

// Text words the conclusions, a line each: where it went wrong, what each
// processor did, in which processes.
func (a *FirstAid) Text() []string {
	var out []string
	if a.Faulting.Module != "" {
		out = append(out, fmt.Sprintf("faulting module: %s, at %s (by %s)", a.Faulting.Module, a.Faulting, a.FaultedBy))
	}
	out = append(out, a.Lines...)
	if len(a.Processes) > 0 {
		out = append(out, "current processes: "+strings.Join(a.Processes, ", "))
	}
	return out
}
