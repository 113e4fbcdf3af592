package stacks

import (
	"strings"

	"coredrop/core/mem"
	"coredrop/core/windows"
	"coredrop/core/windows/bugcheck"
	"coredrop/core/windows/unwind"
)

// BugCheck is a bug check in words.
type BugCheck struct {
	Code       uint32
	Name       string // "" not known
	Live       bool   // of a live dump
	Parameters [4]Parameter
	// Stack is that of the exception, where a parameter leads to its registers;
	// nil: none does. From says which: "context record", "trap frame".
	Stack *Stack
	From  string
}

// Parameter is a parameter of a bug check.
type Parameter struct {
	bugcheck.Parameter
	Value uint64
	At    Name // what the value is the address of; Module is "" where it is of no module
}

// What the table calls parameters that lead to registers.
const (
	meaningContext = "context record"
	meaningTrap    = "trap frame"
)

// BugCheck words the guest's bug check; nil: the guest was alive.
func (r *Reader) BugCheck() *BugCheck {
	if r.k.BugCheck == nil {
		return nil
	}
	code, _ := bugcheck.Lookup(r.k.BugCheck.Code)
	b := &BugCheck{Code: r.k.BugCheck.Code, Name: code.Name, Live: code.Live}
	for i, v := range r.k.BugCheck.Parameters {
		b.Parameters[i] = Parameter{Parameter: code.Parameters[i], Value: v}
		if v>>63 == 1 {
			b.Parameters[i].At = r.At(v)
		}
	}
	r.exceptionStack(b)
	return b
}

// exceptionStack walks from the registers that a parameter leads to.
func (r *Reader) exceptionStack(b *BugCheck) {
	for _, p := range b.Parameters {
		var from unwind.From
		ok := false
		at := mem.VA(p.Value)
		switch {
		case at>>63 == 0:
		case strings.HasPrefix(p.Meaning, meaningContext):
			from, ok = r.context(at)
			b.From = meaningContext
		case strings.HasPrefix(p.Meaning, meaningTrap):
			from, ok = r.trapFrame(at)
			b.From = meaningTrap
		}
		if !ok {
			b.From = ""
			continue
		}
		process := r.crashProcess(from.SP())
		w := r.walk(r.viewOf(process), process, from, KindRecord)
		r.name([]*walked{w})
		b.Stack = w.stack
		return
	}
}

// context reads a CONTEXT.
func (r *Reader) context(at mem.VA) (unwind.From, bool) {
	p := make([]byte, windows.Context.Bytes)
	if r.k.Space.ReadAt(p, at) != nil {
		return unwind.From{}, false
	}
	return fromRecord(windows.RecordOf(p))
}

// crashProcess gives the process whose thread's stack an address lies on.
func (r *Reader) crashProcess(sp uint64) mem.VA {
	for _, c := range r.cpus {
		if t := c.current; t != nil && sp >= t.limit && sp <= t.base {
			return t.Process
		}
	}
	return 0
}
