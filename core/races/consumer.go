package races

import (
	"encoding/binary"
	"fmt"
	"slices"

	"coredrop/core/cpu"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// stage is how far a consumer, the owner of a watchpoint, has come.
type stage int

const (
	delaying stage = iota // in the delay: nothing is decided
	waiting               // in the report's preparation: waits for the producer
	printing              // in print_report
	entering              // at its first instruction
)

// consumer is a thread that is about to report, found on a CPU's stack.
type consumer struct {
	cpu     int
	stage   stage
	unknown bool // reports a race at unknown origin
	frames  []linux.Frame
	at      int // index of kcsan_setup_watchpoint in frames
	inner   int // index of the innermost frame of its reporting

	access  kcsan.Access
	exact   bool // access was read as a structure or from arguments, not put together
	guessed bool // an address that stood on the stack was taken for its own
	change  kcsan.ValueChange
	decided bool // change is known
	index   int  // of the watchpoint, -1 unknown
	values  *kcsan.Values
	other   uint64 // address of the other_info, from registers
	task    linux.Task
	hasTask bool
	words   []uint64 // see State.words
}

// maxNested is how many contexts a CPU can be in at once: task, softirq, hardirq,
// NMI.
const maxNested = 4

// consumers walks the CPUs' stacks. An interrupt in one delay may set up a
// watchpoint of its own, so a CPU can have several.
func (s *State) consumers() []*consumer {
	var out []*consumer
	for cpu := range s.k.Machine.CPUs {
		frames := s.k.Unwind(cpu)
		found := 0
		for i, f := range frames {
			if s.function(f) != "kcsan_setup_watchpoint" {
				continue
			}
			if found++; found > maxNested {
				break
			}
			c := &consumer{cpu: cpu, frames: frames, at: i, inner: i, index: -1}
			c.task, c.hasTask = s.k.Current(cpu)
			s.judge(c)
			out = append(out, c)
		}
	}
	return out
}

// function is the plain name of the function that a frame is in.
func (s *State) function(f linux.Frame) string {
	a := f.Addr
	if !f.Exact {
		a-- // the call may be the function's last instruction
	}
	sym, _, ok := s.k.Resolve(a)
	if !ok {
		return ""
	}
	return linux.PlainName(sym.Name)
}

// judge finds out how far a consumer has come and reads what it knows.
func (s *State) judge(c *consumer) {
	for i := c.at - 1; i >= 0; i-- {
		switch s.function(c.frames[i]) {
		case "kcsan_report_unknown_origin":
			c.unknown = true
			c.stage = max(c.stage, waiting)
		case "kcsan_report_known_origin", "kcsan_report", "prepare_report_consumer", "prepare_report":
			c.stage = max(c.stage, waiting)
		case "print_report":
			c.stage = max(c.stage, printing)
		default:
			i = 0 // the rest was called from here, or interrupted it
			continue
		}
		c.inner = i
	}
	if c.stage > delaying && c.inner == 0 {
		s.fromArguments(c)
	}
	if c.access.Size == 0 && c.stage > delaying {
		s.accessOnStack(c)
	}
}

// accessOnStack looks for the consumer's struct access_info in the frames of the
// report's functions: its CPU is this one, its thread the current one.
func (s *State) accessOnStack(c *consumer) {
	for i := c.at; i >= c.inner; i-- {
		p := s.window(c.frames[i])
		for off := 0; off+s.layout.stack <= len(p); off += 8 {
			if a := s.decodeAccess(p[off:]); s.plausible(a, c) {
				c.access, c.exact = a, true
				return
			}
		}
	}
}

// plausible reports whether an access can be the consumer's.
func (s *State) plausible(a kcsan.Access, c *consumer) bool {
	if a.CPU != c.cpu || a.Size == 0 || a.Size > kcsan.MaxEncodableSize || !s.k.KernelPointer(a.Addr) {
		return false
	}
	if _, err := s.Version.KindName(a.Type); err != nil {
		return false
	}
	return a.PID == kcsan.InterruptPID || !c.hasTask || a.PID == c.task.PID
}

// maxWindow bounds a frame that is looked through.
const maxWindow = 4096

// window reads a frame's own part of the stack.
func (s *State) window(f linux.Frame) []byte {
	if f.End <= f.SP || f.End-f.SP > maxWindow {
		return nil
	}
	p, ok := s.k.Read(f.SP, int(f.End-f.SP))
	if !ok {
		return nil
	}
	return p
}

// overlapping looks for an address that the producer's access overlaps, the same
// one before all others.
func (s *State) overlapping(c *consumer, producer kcsan.Access, size uint64) (uint64, bool) {
	words := s.words(c)
	if _, ok := slices.BinarySearch(words, producer.Addr); ok {
		return producer.Addr, true
	}
	if producer.Addr < size {
		return 0, false
	}
	i, _ := slices.BinarySearch(words, producer.Addr-size+1)
	if i == len(words) || !(kcsan.Access{Addr: words[i], Size: size}).Overlaps(producer) {
		return 0, false
	}
	return words[i], true
}

// maxWords bounds what is looked at of a consumer's stack.
const maxWords = 16 << 10

// words are the kernel addresses that a consumer's stack and registers hold,
// sorted. What a function saved of its caller's registers lies in the frames
// inside it: all of them up to the caller of the runtime are looked at.
func (s *State) words(c *consumer) []uint64 {
	if c.words != nil {
		return c.words
	}
	c.words = generalRegisters(s.k.Machine.CPUs[c.cpu].State)
	add := func(p []byte) {
		for off := 0; off+8 <= len(p) && len(c.words) < maxWords; off += 8 {
			if v := binary.LittleEndian.Uint64(p[off:]); s.k.KernelPointer(v) {
				c.words = append(c.words, v)
			}
		}
	}
	// From the outside in: the innermost frames are the least interesting.
	for i := min(c.at+1, len(c.frames)-1); i >= 0; i-- {
		add(s.window(c.frames[i]))
		if r := c.frames[i].Regs; r != 0 {
			if p, ok := s.k.Read(r, linux.RegsBytes); ok {
				add(p)
			}
		}
	}
	slices.Sort(c.words)
	return c.words
}

// generalRegisters are the contents of a CPU's registers but its stack pointer.
func generalRegisters(x *cpu.State) (out []uint64) {
	for _, r := range cpu.General {
		if r != x.Arch.SP {
			out = append(out, x.Get(r))
		}
	}
	return out
}

// stack is what the kernel saves of the consumer's stack: the frames behind the
// report's own, runtime frames included (R7).
func (c *consumer) stack() []uint64 {
	var out []uint64
	for _, f := range c.frames[c.inner+1:] {
		out = append(out, f.Addr)
	}
	if c.inner == c.at { // nothing of the report was called yet: the rest will be
		out = append([]uint64{c.frames[c.at].Addr}, out...)
	}
	if len(out) > kcsan.NumStackEntries {
		out = out[:kcsan.NumStackEntries]
	}
	return out
}

func (c *consumer) source() string { return fmt.Sprintf("cpu %d", c.cpu) }
