package races

import (
	"encoding/binary"
	"fmt"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/machine"
)

// State is the sanitizer's own data in a kernel, as it lay in memory.
type State struct {
	Version kcsan.Version
	// From says how each object was found: "symbol", "code", or absent.
	From map[string]string

	Slots       []Slot // of other_infos, those that ever held a producer
	NumSlots    int    // all of them: watchpoints and their neighbours
	Watchpoints []Watchpoint
	Times       []Time // of report_times, those in use
	NumTimes    int
	Counters    [kcsan.NumCounters]int64
	HasCounters bool

	Verbose         bool // CONFIG_KCSAN_VERBOSE
	ValueChangeOnly bool // CONFIG_KCSAN_REPORT_VALUE_CHANGE_ONLY
	Enabled         bool // kcsan_enabled; true when it cannot be read
	Jiffies         uint64
	HasJiffies      bool
	OnceJiffies     uint64 // how long a pair of frames is limited, in jiffies; 0 unknown or never

	layout  layout
	addrs   map[string]uint64
	footer  string
	hasTail bool
	k       *linux.Kernel
	symbols kcsan.Symbolizer
	filter  *kcsan.Filter
}

// Slot is an entry of other_infos: what a producer left there.
type Slot struct {
	Index  int
	Live   bool // filled and not consumed yet
	Access kcsan.Access
	Stack  []uint64 // as saved, runtime frames included
	Task   uint64   // verbose kernels: the stalled producer's task

	cpu *machine.CPU // not filled yet: the CPU whose arguments will be in it
}

// source says where a slot's contents are.
func (s *Slot) source() string {
	if s.cpu != nil {
		return fmt.Sprintf("cpu %d", s.cpu.Index)
	}
	return fmt.Sprintf("other_infos[%d]", s.Index)
}

// Watchpoint is an entry of watchpoints that is not free.
type Watchpoint struct {
	Index    int
	Raw      uint64
	Consumed bool // hit, about to be reported; else armed
	Addr     uint64
	Size     uint64
	Write    bool
}

// Time is an entry of report_times.
type Time struct {
	Index int
	kcsan.ReportTime
}

// maxSlots bounds other_infos; CONFIG_KCSAN_NUM_WATCHPOINTS is 64 by default.
const maxSlots = 1 << 12

// readState finds and reads everything. It answers false when the kernel has no
// KCSAN.
func readState(k *linux.Kernel) (*State, bool) {
	if len(k.Code(watchFunctions...)) == 0 && len(k.Code(reportFunctions...)) == 0 {
		if _, ok := k.Symbols.Lookup("kcsan_enabled"); !ok {
			return nil, false
		}
	}
	s := &State{k: k, From: map[string]string{}, addrs: map[string]uint64{}, Enabled: true}
	s.symbols = kcsan.SymbolizerFunc(s.resolve)
	s.locate()
	s.detectLayout()
	var texts []string
	s.Version, texts = detectVersion(k, s.layout)
	s.footer, s.hasTail = footerFormat(texts)
	s.readSlots()
	s.readWatchpoints()
	s.readTimes()
	s.readCounters()
	s.readConfig()
	return s, true
}

// resolve is the kernel's %pS for package kcsan.
func (s *State) resolve(addr uint64) (kcsan.Symbol, bool) {
	sym, module, ok := s.k.Resolve(addr)
	return kcsan.Symbol{Name: sym.Name, Offset: addr - sym.Addr, Size: sym.Size, Module: module}, ok
}

// Symbols resolves the guest's addresses.
func (s *State) Symbols() kcsan.Symbolizer { return s.symbols }

// detectLayout decides between the two layouts: by the code that indexes the
// array, then by what the slots hold, and only then by the release.
func (s *State) detectLayout() {
	l, ok := imulSize(s.k.Code(reportFunctions...))
	if ok {
		s.layout, s.From["layout"] = l, "code"
		return
	}
	seed, ip := s.votes(layoutSeed), s.votes(layoutIP)
	switch {
	case seed > ip:
		s.layout, s.From["layout"] = layoutSeed, "slots"
	case ip > seed:
		s.layout, s.From["layout"] = layoutIP, "slots"
	default:
		s.layout, s.From["layout"] = layoutIP, "release"
		if major, minor := s.k.MinorRelease(); major < 5 || major == 5 && minor < 16 {
			s.layout = layoutSeed
		}
	}
}

// votes counts the slots that make sense under a layout.
func (s *State) votes(l layout) int {
	s.layout = l
	n := 0
	for i := range s.slotCount() {
		if slot, ok := s.readSlot(i); ok && s.k.InText(slot.Stack[0]) && s.k.KernelPointer(slot.Access.Addr) {
			n++
		}
	}
	return n
}

// slotCount is the length of other_infos: what fits between it and what comes
// behind it, but not more than watchpoints has. Where there is slack, the
// largest power of two, plus the neighbours, is taken.
func (s *State) slotCount() int {
	at, ok := s.addrs["other_infos"]
	if !ok {
		return 0
	}
	n := int(min(s.room(at), maxSlots*layoutIP.entryBytes())) / s.layout.entry
	if w, ok := s.addrs["watchpoints"]; ok {
		if room := s.room(w); room > 0 {
			n = min(n, int(min(room/8, maxSlots)))
		}
	}
	return n
}

func (l layout) entryBytes() uint64 { return uint64(l.entry) }

// neighbours is how many entries the arrays have beyond the watchpoints.
const neighbours = kcsan.NumSlots - 1

// roundSlots takes away slack behind an array of 2^n watchpoints.
func roundSlots(n int) int {
	p := 1
	for 2*p+neighbours <= n {
		p *= 2
	}
	if p >= 8 && n-(p+neighbours) <= 8 {
		return p + neighbours
	}
	return n
}

func (s *State) readSlots() {
	n := roundSlots(s.slotCount())
	s.NumSlots = n
	for i := range n {
		if slot, ok := s.readSlot(i); ok {
			s.Slots = append(s.Slots, slot)
		}
	}
}

// readSlot reads a slot; false for one that never held a producer.
func (s *State) readSlot(i int) (Slot, bool) {
	l := s.layout
	p, ok := s.k.Read(s.addrs["other_infos"]+uint64(i*l.entry), l.entry)
	if !ok {
		return Slot{}, false
	}
	n := int(int32(binary.LittleEndian.Uint32(p[l.numStack:])))
	slot := Slot{Index: i, Task: binary.LittleEndian.Uint64(p[l.task:])}
	slot.Access = s.decodeAccess(p)
	slot.Live = slot.Access.Size != 0
	if n <= 0 || n > kcsan.NumStackEntries || slot.Access.Addr == 0 {
		return Slot{}, false
	}
	for e := range n {
		slot.Stack = append(slot.Stack, binary.LittleEndian.Uint64(p[l.stack+8*e:]))
	}
	return slot, true
}

// decodeAccess reads a struct access_info.
func (s *State) decodeAccess(p []byte) kcsan.Access {
	le := binary.LittleEndian
	a := kcsan.Access{
		Addr: le.Uint64(p[aiPtr:]), Size: le.Uint64(p[aiSize:]),
		Type: s.Version.DecodeType(le.Uint32(p[aiType:])),
		PID:  int(int32(le.Uint32(p[aiPID:]))), CPU: int(int32(le.Uint32(p[aiCPU:]))),
	}
	if s.layout.explicit {
		a.IP = le.Uint64(p[aiIP:])
	}
	return a
}

func (s *State) readWatchpoints() {
	at, ok := s.addrs["watchpoints"]
	if !ok {
		return
	}
	n := s.NumSlots
	if n == 0 {
		n = roundSlots(int(min(s.room(at)/8, maxSlots)))
	}
	for i := range n {
		raw, ok := s.k.Uint64(at + uint64(8*i))
		if !ok {
			return
		}
		if raw == kcsan.FreeWatchpoint {
			continue
		}
		w := Watchpoint{Index: i, Raw: raw, Consumed: raw == kcsan.ConsumedWatchpoint}
		if !w.Consumed {
			w.Addr, w.Size, w.Write, _ = s.Version.DecodeWatchpoint(raw)
			w.Addr = s.extend(w.Addr)
		}
		s.Watchpoints = append(s.Watchpoints, w)
	}
}

// extend restores the address bits that the encoding dropped, as far as the sign
// bit tells them. With 5-level tables the bits above stay unknown.
func (s *State) extend(a uint64) uint64 {
	bits := s.Version.Features().AddrBits
	if len(s.k.Space.Mode.Levels) == 5 || bits == 0 || bits >= 64 || a>>(bits-1)&1 == 0 {
		return a
	}
	return a | ^uint64(0)<<bits
}

func (s *State) readTimes() {
	at, ok := s.addrs["report_times"]
	if !ok {
		return
	}
	for i := range s.NumTimes {
		p, ok := s.k.Read(at+uint64(i*rtEntry), rtEntry)
		if !ok {
			return
		}
		le := binary.LittleEndian
		t := Time{i, kcsan.ReportTime{Time: le.Uint64(p[rtTime:]), Frame1: le.Uint64(p[rtFrame1:]), Frame2: le.Uint64(p[rtFrame2:])}}
		if t.Time == 0 {
			return // the first that was never used ends the table
		}
		s.Times = append(s.Times, t)
	}
}

func (s *State) readCounters() {
	at, ok := s.addrs["kcsan_counters"]
	if !ok {
		return
	}
	for i := range s.Counters {
		v, ok := s.k.Uint64(at + uint64(8*i))
		if !ok {
			return
		}
		s.Counters[i] = int64(v)
	}
	s.HasCounters = true
}
