package races

import (
	"bytes"
	"encoding/binary"
	"slices"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// locate finds the sanitizer's data: by name, or, where kallsyms has no data
// symbols, from the code that uses it.
func (s *State) locate() {
	for _, name := range []string{"other_infos", "report_times", "watchpoints", "kcsan_counters", "report_filterlist", "kcsan_enabled", "jiffies_64"} {
		if a, ok := s.k.Symbols.Lookup(name); ok {
			s.addrs[name], s.From[name] = a, "symbol"
		}
	}
	byCode := func(name string, find func() (uint64, bool)) {
		if _, ok := s.addrs[name]; ok {
			return
		}
		if a, ok := find(); ok {
			s.addrs[name], s.From[name] = a, "code"
		}
	}
	byCode("other_infos", s.otherInfosByCode)
	byCode("kcsan_counters", s.countersByCode)
	byCode("watchpoints", s.watchpointsByCode)
	byCode("report_times", s.timesByCode)
	if at, ok := s.addrs["report_times"]; ok {
		s.NumTimes = s.timesLength(at)
	}
}

// operands collects what functions may refer to.
func (s *State) operands(names []string) map[uint64]bool {
	out := map[uint64]bool{}
	for _, c := range s.k.Code(names...) {
		for _, o := range s.k.Operands(c) {
			out[o.Target] = true
		}
	}
	return out
}

// room is how many bytes an object can have: up to the next symbol, or, where
// data has no symbols, up to the next object that the sanitizer's code uses.
func (s *State) room(at uint64) uint64 {
	if s.From["other_infos"] == "symbol" || s.From["watchpoints"] == "symbol" {
		return s.k.Symbols.Room(at)
	}
	var nearest uint64
	for name, a := range s.addrs {
		if a > at && (nearest == 0 || a < nearest) && name != "jiffies_64" {
			nearest = a
		}
	}
	if nearest == 0 {
		nearest = at + uint64(maxTimes*rtEntry)
	}
	return nearest - at
}

// otherInfosByCode finds the set of operands that is unmistakable: the members
// ptr, size, stack_entries and num_stack_entries of the first element.
func (s *State) otherInfosByCode() (uint64, bool) {
	ops := s.operands(reportFunctions)
	var found []uint64
	for a := range ops {
		for _, l := range []layout{layoutIP, layoutSeed} {
			if a%8 == 0 && ops[a+aiSize] && ops[a+uint64(l.stack)] && ops[a+uint64(l.numStack)] {
				found = append(found, a)
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return first(found)
}

// first is the only candidate; several mean that none is believed.
func first(found []uint64) (uint64, bool) {
	if len(found) != 1 {
		return 0, false
	}
	return found[0], true
}

// The encodings looked for: lock incq/decq m64 and lock cmpxchg r64, m64.
var (
	lockInc     = []byte{0xf0, 0x48, 0xff}
	cmpxchg     = []byte{0x0f, 0xb1}
	modIncRIP   = byte(0x05)
	modDecRIP   = byte(0x0d)
	modIncSIB   = byte(0x04)
	modDecSIB   = byte(0x0c)
	sibAbsolute = byte(0x25)
)

// countersByCode looks at what is incremented and decremented atomically. The
// only counter that goes down is the first, used_watchpoints; the one behind it,
// setup_watchpoints, must go up.
func (s *State) countersByCode() (uint64, bool) {
	up, down := map[uint64]bool{}, map[uint64]bool{}
	for _, c := range s.k.Code(watchFunctions...) {
		for i := 0; i+9 <= len(c.Bytes); i++ {
			if !bytes.HasPrefix(c.Bytes[i:], lockInc) {
				continue
			}
			disp := func(at int) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(c.Bytes[at:])))) }
			switch m := c.Bytes[i+3]; {
			case m == modIncRIP:
				up[c.Addr+uint64(i)+8+disp(i+4)] = true
			case m == modDecRIP:
				down[c.Addr+uint64(i)+8+disp(i+4)] = true
			case m == modIncSIB && c.Bytes[i+4] == sibAbsolute:
				up[disp(i+5)] = true
			case m == modDecSIB && c.Bytes[i+4] == sibAbsolute:
				down[disp(i+5)] = true
			}
		}
	}
	var found []uint64
	for a := range down {
		if up[a+8*uint64(kcsan.SetupWatchpoints)] {
			found = append(found, a)
		}
	}
	return first(found)
}

// watchpointsByCode looks at the compare-and-exchange that arms a watchpoint:
// its operand is indexed by 8, from the slot's neighbours; the lowest is the
// array's start.
func (s *State) watchpointsByCode() (uint64, bool) {
	var lowest uint64
	for _, c := range s.k.Code(watchFunctions...) {
		for i := 0; i+8 <= len(c.Bytes); i++ {
			if !bytes.HasPrefix(c.Bytes[i:], cmpxchg) || c.Bytes[i+2]&0xc7 != 0x04 || c.Bytes[i+3]&0xc7 != 0xc5 {
				continue // not (,%index,8) with a displacement of 32 bits
			}
			a := uint64(int64(int32(binary.LittleEndian.Uint32(c.Bytes[i+4:]))))
			if s.k.KernelPointer(a) && (lowest == 0 || a < lowest) {
				lowest = a
			}
		}
	}
	return lowest, lowest != 0
}

// timesByCode finds the three members of the rate limit's first entry, by name
// of no symbol: time, frame1 and frame2.
func (s *State) timesByCode() (uint64, bool) {
	var found []uint64
	ops := s.operands(limitFunctions)
	for a := range ops {
		if a%8 == 0 && ops[a+rtFrame1] && ops[a+rtFrame2] {
			found = append(found, a)
		}
	}
	slices.Sort(found)
	return first(slices.Compact(found))
}

// timesLength finds how many entries the rate limit has: from the loop's end,
// which is a constant in the code, either the array's end or its size in bytes.
// Without it, the room up to the next object bounds the array.
func (s *State) timesLength(at uint64) int {
	byRoom := int(min(s.room(at)/rtEntry, maxTimes))
	best := 0
	for _, c := range s.k.Code(limitFunctions...) {
		for _, o := range s.k.Operands(c) {
			if size := o.Target - at; !o.Relative && o.Target > at && size%rtEntry == 0 && size/rtEntry <= uint64(byRoom) {
				best = max(best, int(size/rtEntry))
			}
		}
		for i := 1; i+5 <= len(c.Bytes); i++ {
			n := uint64(binary.LittleEndian.Uint32(c.Bytes[i:]))
			// cmp $imm32, %reg: 81 /7, or 3d for %rax.
			if (c.Bytes[i-1]&0xf8 == 0xf8 && i > 1 && c.Bytes[i-2] == 0x81 || c.Bytes[i-1] == 0x3d) &&
				n > 0 && n%rtEntry == 0 && n/rtEntry <= uint64(byRoom) {
				best = max(best, int(n/rtEntry))
			}
		}
	}
	if best > 0 {
		return best
	}
	return byRoom
}

// readConfig finds what the kernel was built and is running with, as far as
// reports depend on it.
func (s *State) readConfig() {
	code := s.k.Code("print_report", "skip_report", "print_verbose_info")
	if target, ok := s.k.Symbols.Lookup("debug_show_held_locks"); ok {
		for _, c := range code {
			s.Verbose = s.Verbose || c.Calls(target)
		}
	}
	// Only with value-change-only are function names searched for RCU's.
	for _, c := range code {
		for _, o := range s.k.Operands(c) {
			if text, ok := s.k.String(o.Target, 8); ok && text == "_srcu" {
				s.ValueChangeOnly = true
			}
		}
	}
	if at, ok := s.addrs["kcsan_enabled"]; ok {
		if b, ok := s.k.Read(at, 1); ok {
			s.Enabled = b[0] != 0
		}
	}
	if at, ok := s.addrs["jiffies_64"]; ok {
		s.Jiffies, s.HasJiffies = s.k.Uint64(at)
		s.OnceJiffies = s.onceByCode(code, at)
	}
	s.readFilter()
}

// onceByCode finds how long the rate limit lasts: what is subtracted from
// jiffies behind their load (sub $imm), or what jiffies are subtracted from
// (mov $imm, then sub jiffies).
func (s *State) onceByCode(code []linux.Code, jiffies uint64) uint64 {
	for _, c := range append(code, s.k.Code("rate_limit_report")...) {
		for _, o := range s.k.Operands(c) {
			if o.Target != jiffies {
				continue
			}
			for i := o.Pos + 4; i < o.Pos+20 && i+7 <= len(c.Bytes); i++ {
				switch p := c.Bytes[i:]; {
				case p[0]&0xfe == 0x48 && p[1] == 0x83 && p[2]&0xf8 == 0xe8:
					return uint64(p[3])
				case p[0]&0xfe == 0x48 && p[1] == 0x81 && p[2]&0xf8 == 0xe8:
					return uint64(binary.LittleEndian.Uint32(p[3:]))
				case p[0] == 0x48 && p[1] == 0x2d:
					return uint64(binary.LittleEndian.Uint32(p[2:]))
				}
			}
			if i := o.Pos - 3 - 5; i >= 0 && c.Bytes[o.Pos-2] == 0x2b && c.Bytes[i]&0xf8 == 0xb8 {
				return uint64(binary.LittleEndian.Uint32(c.Bytes[i+1:])) // rounded up by one, as the sign test needs
			}
		}
	}
	return 0
}

// struct report_filterlist, kernel/kcsan/debugfs.c.
const (
	filterAddrs     = 0
	filterUsed      = 16
	filterWhitelist = 21
	filterBytes     = 24
	maxFilter       = 1 << 16
)

// readFilter reads the list of functions that debugfs keeps.
func (s *State) readFilter() {
	at, ok := s.addrs["report_filterlist"]
	if !ok {
		return
	}
	p, ok := s.k.Read(at, filterBytes)
	if !ok {
		return
	}
	list := binary.LittleEndian.Uint64(p[filterAddrs:])
	used := int(int32(binary.LittleEndian.Uint32(p[filterUsed:])))
	if used <= 0 || used > maxFilter || !s.k.KernelPointer(list) {
		return
	}
	raw, ok := s.k.Read(list, 8*used)
	if !ok {
		return
	}
	starts := make([]uint64, used)
	for i := range starts {
		starts[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	s.filter = kcsan.NewFilter(p[filterWhitelist] != 0, starts...)
}
