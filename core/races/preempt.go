package races

import (
	"slices"
	"strings"

	"coredrop/core/linux"
)

// preemptFunction spells the preemption model (kernel/sched/core.c, 6.15).
const preemptFunction = "preempt_model_str"

// preemptModel is what preempt_model_str answers: it builds its text from pieces
// that the configuration chooses, which shows in those that its code refers to.
// With PREEMPT_DYNAMIC the mode in use is one of them.
func (s *State) preemptModel() (string, bool) {
	var pieces []string
	for _, c := range s.k.Code(preemptFunction) {
		for _, o := range s.k.Operands(c) {
			if text, ok := s.k.String(o.Target, 32); ok {
				pieces = append(pieces, text)
			}
		}
	}
	has := func(p string) bool { return slices.Contains(pieces, p) }
	rt, dynamic, lazy := has("%sRT%s"), has("(%s)%s"), has("LAZY%s")
	switch {
	case has("VOLUNTARY"):
		return "VOLUNTARY", true
	case has("NONE"):
		return "NONE", true
	case !has("PREEMPT"):
		return "", false
	}
	open, closing, brace := "_", "", rt && (dynamic || lazy)
	if brace {
		open, closing = "_{", "}"
	}
	out := "PREEMPT"
	if rt {
		out += open + "RT"
		if brace {
			out += ","
		}
	}
	switch {
	case dynamic:
		mode, ok := preemptMode(s.k)
		return out + "(" + mode + ")" + closing, ok
	case lazy:
		out += "LAZY" + closing
	}
	return out, true
}

// preemptMode is the mode that PREEMPT_DYNAMIC chose.
func preemptMode(k *linux.Kernel) (string, bool) {
	at, ok1 := k.Symbols.Lookup("preempt_dynamic_mode")
	list, ok2 := k.Symbols.Lookup("preempt_modes")
	mode, ok3 := k.Uint32(at)
	if !ok1 || !ok3 {
		return "", false
	}
	if int32(mode) < 0 {
		return "undef", true
	}
	p, ok := k.Uint64(list + 8*uint64(mode))
	if !ok2 || !ok || mode > 8 || !k.KernelPointer(p) {
		return "", false
	}
	text, ok := k.String(p, 32)
	return text, ok && text != "" && !strings.ContainsAny(text, " %")
}

// callsPreempt reports whether the footer shows the preemption model.
func (s *State) callsPreempt() bool {
	target, ok := s.k.Symbols.Lookup(preemptFunction)
	if !ok {
		return false
	}
	return slices.ContainsFunc(s.k.Code("dump_stack_print_info"), func(c linux.Code) bool { return c.Calls(target) })
}
