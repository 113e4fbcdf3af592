package races

import (
	"slices"

	"coredrop/core/cpu"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// What the arguments of the report's functions are called here.
const (
	argPtr    = "ptr"
	argSize   = "size"
	argType   = "access_type"
	argIP     = "ip"
	argChange = "value_change"
	argIndex  = "watchpoint_idx"
	argOld    = "old"
	argNew    = "new"
	argMask   = "mask"
	argAccess = "ai"
	argOther  = "other_info"
	argReport = "type"
)

// signatures are the arguments of the functions of kernel/kcsan/report.c, in
// order, by generation: kcsan_report up to 5.13, the others from 5.14 on, ip from
// 5.16 on; print_report in both.
func signatures(v kcsan.Version) map[string][]string {
	f := v.Features()
	if !f.ValueChange {
		return map[string][]string{
			"kcsan_report": {argPtr, argSize, argType, argChange, argReport, argIndex},
			"print_report": {argChange, argReport, argAccess, argOther},
		}
	}
	out := map[string][]string{
		"kcsan_report_set_info":       {argPtr, argSize, argType, argIP, argIndex},
		"kcsan_report_known_origin":   {argPtr, argSize, argType, argIP, argChange, argIndex, argOld, argNew, argMask},
		"kcsan_report_unknown_origin": {argPtr, argSize, argType, argIP, argOld, argNew, argMask},
		"print_report":                {argChange, argAccess, argOther, argOld, argNew, argMask},
	}
	if !f.ExplicitIP {
		for fn, list := range out {
			out[fn] = slices.DeleteFunc(list, func(a string) bool { return a == argIP })
		}
	}
	return out
}

// argumentRegisters are those in which a function's first arguments come. Source:
// System V ABI, AMD64 supplement, 3.2.3.
var argumentRegisters = []cpu.Reg{cpu.RDI, cpu.RSI, cpu.RDX, cpu.RCX, cpu.R8, cpu.R9}

// arguments reads a CPU's arguments when it stands at the first instruction of a
// function of the report: six in registers, the others behind the return address.
func (s *State) arguments(n int) (function string, args map[string]uint64, ok bool) {
	x := s.k.Machine.CPUs[n].State
	if x == nil {
		return "", nil, false
	}
	sym, _, ok := s.k.Resolve(x.PC())
	list, known := signatures(s.Version)[sym.Name] // a clone has arguments of its own
	if !ok || !known || sym.Addr != x.PC() {
		return "", nil, false
	}
	args = map[string]uint64{}
	for i, name := range list {
		if i < len(argumentRegisters) {
			args[name] = x.Get(argumentRegisters[i])
		} else if v, ok := s.k.Uint64(x.SP() + 8*uint64(i-len(argumentRegisters)+1)); ok {
			args[name] = v
		} else {
			return "", nil, false
		}
	}
	return sym.Name, args, true
}

// fromArguments reads what a consumer is about to report when its CPU stands at
// the entry of one of the report's functions.
func (s *State) fromArguments(c *consumer) {
	fn, args, ok := s.arguments(c.cpu)
	if !ok {
		return
	}
	if r, ok := args[argReport]; ok && uint32(r) == uint32(kcsan.ReportUnknownOrigin) {
		c.unknown = true
	}
	if v, ok := args[argOld]; ok {
		c.values = &kcsan.Values{Old: v, New: args[argNew], Mask: args[argMask]}
	}
	switch v, ok := args[argChange]; {
	case ok:
		c.change, c.decided = kcsan.ValueChange(uint8(v)), true
	case c.unknown: // kcsan_report_unknown_origin prints in any case
		c.change, c.decided = kcsan.ValueTrue, true
	}
	if fn == "print_report" {
		c.stage, c.other = entering, args[argOther]
		if c.values != nil {
			c.unknown = c.unknown || c.other == 0
		}
		if p, ok := s.k.Read(args[argAccess], s.layout.stack); ok {
			c.access, c.exact = s.decodeAccess(p), true
		}
		return
	}
	c.access, c.exact = s.argumentAccess(c.cpu, c.frames, c.task, args), true
	if i, ok := args[argIndex]; ok && !c.unknown {
		c.index = int(int32(uint32(i)))
	}
}

// argumentAccess is the access that a function's arguments describe; thread and
// CPU are the running ones, as prepare_access_info fills them in.
func (s *State) argumentAccess(cpu int, frames []linux.Frame, task linux.Task, args map[string]uint64) kcsan.Access {
	a := kcsan.Access{Addr: args[argPtr], Size: args[argSize], Type: s.Version.DecodeType(uint32(args[argType])), CPU: cpu, PID: task.PID, IP: args[argIP]}
	if s.interrupted(frames) {
		a.PID = kcsan.InterruptPID
	}
	return a
}

// softirqFunctions run softirqs: in them in_task() is false even in a thread.
var softirqFunctions = []string{"__do_softirq", "handle_softirqs"}

// interrupted reports whether a stack's innermost frame is not in task context
// (in_task): an interrupted frame lies below it, or it serves a softirq.
func (s *State) interrupted(frames []linux.Frame) bool {
	return slices.ContainsFunc(frames, func(f linux.Frame) bool {
		return f.Regs != 0 || slices.Contains(softirqFunctions, s.function(f))
	})
}

// producers are the CPUs that stand at the entry of the function that will fill a
// slot, as the slots that they will leave: the watchpoint is consumed already.
func (s *State) producers() []Slot {
	var out []Slot
	for cpu := range s.k.Machine.CPUs {
		fn, args, ok := s.arguments(cpu)
		if !ok || fn != "kcsan_report_set_info" && !(fn == "kcsan_report" && uint32(args[argReport]) == uint32(kcsan.ReportConsumed)) {
			continue
		}
		frames := s.k.Unwind(cpu)
		if len(frames) == 0 {
			continue
		}
		task, _ := s.k.Current(cpu)
		slot := Slot{Index: int(int32(uint32(args[argIndex]))), Live: true, cpu: &s.k.Machine.CPUs[cpu]}
		slot.Access = s.argumentAccess(cpu, frames, task, args)
		for _, f := range frames[1:min(len(frames), 1+kcsan.NumStackEntries)] {
			slot.Stack = append(slot.Stack, f.Addr)
		}
		if slot.Access.Size > 0 && slot.Access.Size <= kcsan.MaxEncodableSize && s.k.KernelPointer(slot.Access.Addr) {
			out = append(out, slot)
		}
	}
	return out
}
