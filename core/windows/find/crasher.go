package find

import (
	"fmt"
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// suspect is a processor while it is asked whether it called KeBugCheckEx.
type suspect struct {
	index   int        // in Kernel.Processors
	cpu     *cpu.State // nil: no CPU runs it
	stack   uint64     // bytes of the kernel stack that its CPU stands on, from the stack pointer up
	claims  bool       // its record names the bug check
	confirm bool       // the memory at the record's stack pointer does so too
	holds   bool       // its stack does
}

// reaches reports whether an address lies on the suspect's stack above where its
// CPU stands.
func (s *suspect) reaches(sp uint64) bool {
	return s.cpu != nil && sp >= s.cpu.SP() && sp-s.cpu.SP() < s.stack
}

// crasher finds the processor that called KeBugCheckEx (an index into
// Kernel.Processors, -1: nothing tells), and by what it is known: its saved
// record, its stack, or that it alone does not stand where the others do.
func (f *finder) crasher(k *windows.Kernel, entry mem.VA) (int, windows.Choice) {
	var all []*suspect
	buffer := make([]byte, windows.StackReach)
	for i := range k.Processors {
		p := &k.Processors[i]
		s := &suspect{index: i}
		if p.CPU >= 0 {
			s.cpu = f.m.CPUs[p.CPU].State
			if s.cpu.Kernel() && k.Space.Mode.Kernel(mem.VA(s.cpu.PC())) {
				stack := windows.ReadStack(k.Space, mem.VA(s.cpu.SP()), buffer)
				s.stack, s.holds = uint64(len(stack)), k.BugCheck.OnStack(stack, k.InModule)
			}
		}
		all = append(all, s)
	}
	var passed []string
	for _, s := range all {
		if why := judgeRecord(k, s, all, entry); why != "" {
			passed = append(passed, fmt.Sprintf("processor %d (%s)", number(k, s), why))
		}
	}
	if len(passed) > 0 {
		k.Warn(fault.CrasherUnclear, "passed over, though their records name the bug check: %s", nameSome(passed))
	}
	claims := only(all, func(s *suspect) bool { return s.claims })
	holders := only(all, func(s *suspect) bool { return s.holds })
	switch {
	case len(claims) > 1:
		return severalClaims(k, claims), windows.ChoiceRecord
	case len(claims) == 1 && !claims[0].holds && (claims[0].cpu == nil || !claims[0].confirm) && len(holders) == 1:
		k.Warn(fault.CrasherUnclear, "the record of processor %d names the bug check, but it is on the stack of processor %d, where that one stands: that one is shown",
			number(k, claims[0]), number(k, holders[0]))
		return holders[0].index, windows.ChoiceStack
	case len(claims) == 1:
		return claims[0].index, windows.ChoiceRecord
	case len(holders) == 1:
		return holders[0].index, windows.ChoiceStack
	}
	odd := oddOneOut(all)
	switch {
	case len(holders) > 1:
		if odd == nil || !odd.holds {
			odd = holders[0]
		}
		k.Warn(fault.CrasherUnclear, "the bug check's parameters are on the stacks of %s; processor %d is shown", numbers(k, holders), number(k, odd))
		return odd.index, windows.ChoiceStack
	case odd != nil:
		return odd.index, windows.ChoiceOddOneOut
	}
	return -1, ""
}

// judgeRecord decides whether a processor's record names the bug check: a call
// of KeBugCheckEx with this code and these parameters, on a stack that is not
// another processor's, by a processor that has not gone back to user mode. It
// gives the reason why one that names it is not believed.
func judgeRecord(k *windows.Kernel, s *suspect, all []*suspect, entry mem.VA) string {
	r, b := k.Processors[s.index].Record, k.BugCheck
	if !r.Valid() || !r.Integers() || !b.Named(uint32(r.Args[0]), r.Args[1], r.Args[2], r.Args[3]) || !k.Space.Mode.Kernel(mem.VA(r.SP)) {
		return ""
	}
	s.confirm = b.AtRecord(k.Space, r)
	// Where the entry is not known, the record must agree with the stack.
	agrees := s.confirm || s.holds && s.reaches(r.SP)
	if entry != 0 && mem.VA(r.PC) != entry || entry == 0 && !(agrees && windows.InImage(mem.VA(r.PC), k.Image.Base, k.Image.SizeOfImage, 1)) {
		return ""
	}
	if s.cpu != nil && !s.cpu.Kernel() {
		return "its CPU is in user mode"
	}
	for _, other := range all {
		if other != s && other.reaches(r.SP) && !s.reaches(r.SP) {
			return fmt.Sprintf("it is on the stack of processor %d", number(k, other))
		}
		if s.cpu == nil && !s.confirm && other.cpu != nil {
			return "no CPU runs it, and its stack does not hold the call"
		}
	}
	s.claims = true
	return ""
}

// severalClaims decides between processors whose records all name the bug check:
// by the stack their CPUs stand on, else by the stack of the record.
func severalClaims(k *windows.Kernel, claims []*suspect) int {
	chosen := claims[0]
	for _, proof := range []func(*suspect) bool{
		func(s *suspect) bool { return s.holds && s.confirm },
		func(s *suspect) bool { return s.holds },
		func(s *suspect) bool { return s.confirm && s.reaches(k.Processors[s.index].Record.SP) },
		func(s *suspect) bool { return s.confirm && s.cpu != nil },
		func(s *suspect) bool { return s.confirm },
		func(s *suspect) bool { return s.cpu != nil },
	} {
		if list := only(claims, proof); len(list) > 0 {
			chosen = list[0]
			break
		}
	}
	k.Warn(fault.CrasherUnclear, "the records of %s all name the bug check; processor %d is shown", numbers(k, claims), number(k, chosen))
	return chosen.index
}

func only(all []*suspect, is func(*suspect) bool) (out []*suspect) {
	for _, s := range all {
		if is(s) {
			out = append(out, s)
		}
	}
	return out
}

func number(k *windows.Kernel, s *suspect) int { return k.Processors[s.index].Number }

// numbers words a list of processors: "processors 0 and 2".
func numbers(k *windows.Kernel, list []*suspect) string {
	var out []string
	for _, s := range list[:min(len(list), windows.MaxNamed)] {
		out = append(out, fmt.Sprint(number(k, s)))
	}
	if n := len(list) - windows.MaxNamed; n > 0 {
		return fmt.Sprintf("processors %s and %d more", strings.Join(out, ", "), n)
	}
	last := len(out) - 1
	return "processors " + strings.Join(out[:last], ", ") + " and " + out[last]
}
