package races

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/machine"
	"coredrop/core/progress"
)

// raceGuest is a guest built for a test: two threads race in alpha and beta, the
// consumer's CPU stands at the entry of print_report.
type raceGuest struct {
	*linuxtest.Guest
	layout                        layout
	infos, times, points, counts  uint64
	jiffies                       uint64
	alpha, beta, thread, tsan     uint64 // functions
	setup, report, print, unknown uint64
	info, found                   uint64
	tasks                         []uint64
	stack                         uint64 // of the consumer
}

// options of a guest.
type guestOptions struct {
	version kcsan.Version
	data    bool // KALLSYMS_ALL
	stage   stage
	delays  bool // in the delay, not in print_report
	inside  bool // not at print_report's first instruction
	vco     bool // value-change-only
	change  uint64
	noImul  bool // the code does not multiply by the size
	noTexts bool // the kernel's texts are not in memory
	limited bool // the pair of frames was reported just now
	noSlot  bool // unknown origin
	release string
	at      string   // the function of the report at whose entry the consumer stands
	filling bool     // the producer stands at the entry of the function that fills the slot
	through string   // what the consumer's access was called through; __tsan_write8
	kept    bool     // kcsan_setup_watchpoint keeps its arguments where it can be seen
	work    bool     // the consumer is a kworker
	desc    string   // what the kworker says of its work; the queue's name
	tail    string   // of the footer's format, behind "%.*s"
	preempt []string // what preempt_model_str refers to
	cred    linuxtest.CredForm
}

const (
	guestSlot  = 5
	guestSlots = 66
	guestTimes = 100
	guestOnce  = 25
	guestNow   = 0xffff0000
	guestAddr  = 0xffffffff81300040
)

// texts are what tells the generations apart.
var texts = map[kcsan.Version][]string{
	kcsan.Reference: {textScoped},
	kcsan.V5_10:     {textScoped, textReadWrite},
	kcsan.V5_14:     {textScoped, textReadWrite, textValueChange + "%08llx -> 0x%08llx"},
	kcsan.V5_16:     {textScoped, textReadWrite, textValueChange},
	kcsan.V5_17:     {textReordered, textReadWrite, textValueChange},
	kcsan.V6_1:      {textReordered, textReadWrite, textValueChange, textPanic + " ..."},
	kcsan.V6_12:     {textReordered, textReadWrite, textValueChange, textPanic + " ...", "CPU: %d " + textUID},
}

// absolute is a use of an address: mov %rax, abs32(,%rax) or alike.
func absolute(a uint64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0x48, 0x89, 0x80}, uint32(a))
}

func code(pieces ...[]byte) []byte {
	out := []byte{0x55, 0x48, 0x89, 0xe5} // push %rbp; mov %rsp,%rbp
	for _, p := range pieces {
		out = append(out, p...)
	}
	return append(out, make([]byte, 16)...)
}

func newRaceGuest(o guestOptions) *raceGuest {
	release := o.release
	if release == "" {
		release = o.version.String() + ".0"
	}
	g := &raceGuest{Guest: linuxtest.New(linuxtest.Config{Release: release, Note: true, DataSymbols: o.data})}
	g.layout = layoutSeed
	if o.version.Features().ExplicitIP {
		g.layout = layoutIP
	}
	// As gcc orders them.
	g.points = g.Data("watchpoints", 8*guestSlots)
	g.counts = g.Data("kcsan_counters", 8*int(kcsan.NumCounters))
	g.times = g.Data("report_times", rtEntry*guestTimes)
	g.infos = g.Data("other_infos", g.layout.entry*guestSlots)
	g.Data("behind", 64)
	g.jiffies = g.Data("jiffies_64", 8)
	g.Poke64(g.jiffies, guestNow)
	g.Poke64(g.Data("tainted_mask", 8), 0)
	g.Data("dump_stack_arch_desc_str", 128)
	g.functions(o)
	g.tasks = g.Tasks("init", "kthreadd", "producer", "consumer")
	if o.cred.Reference == 0 {
		o.cred = linuxtest.CredForm{Reference: 8}
	}
	g.Creds(o.cred, g.tasks)
	g.fill(o)
	return g
}

func (g *raceGuest) functions(o guestOptions) {
	disp := func(op []byte, target uint64) func(at uint64) []byte {
		return func(at uint64) []byte {
			next := at + uint64(len(op)) + 4
			return binary.LittleEndian.AppendUint32(append([]byte{}, op...), uint32(target-next))
		}
	}
	relative := func(base uint64, uses ...func(uint64) []byte) []byte {
		var out []byte
		for _, u := range uses {
			out = append(out, u(base+uint64(len(out)))...)
		}
		return out
	}
	g.alpha = g.Func("alpha", code())
	g.beta = g.Func("beta", code())
	g.thread = g.Func("thread", code())
	through := o.through
	if through == "" {
		through = "__tsan_write8"
	}
	g.tsan = g.Func(through, code())
	g.found = g.Func("kcsan_found_watchpoint_slow", code())
	g.Func("kthread_should_stop", code([]byte{0x65, 0x48, 0x8b, 0x04, 0x25, 0x40, 0, 0, 0})) // mov %gs:current_task, %rax
	imul := binary.LittleEndian.AppendUint32([]byte{0x48, 0x69, 0xc0}, uint32(g.layout.entry))
	if o.noImul {
		imul = nil
	}
	g.info = g.Func(g.reportFunction(o, "kcsan_report_set_info"), code(imul, absolute(g.infos), absolute(g.infos+aiSize),
		absolute(g.infos+uint64(g.layout.stack)), absolute(g.infos+uint64(g.layout.numStack))))
	// The code's address is not known before it is placed, but functions are
	// placed one behind the other.
	at := g.Func("pad", nil) + 32 - 16
	body := relative(at+4, disp([]byte{0xf0, 0x48, 0xff, 0x05}, g.counts+8), disp([]byte{0xf0, 0x48, 0xff, 0x05}, g.counts),
		disp([]byte{0xf0, 0x48, 0xff, 0x0d}, g.counts))
	for _, slot := range []uint64{8, 16, 0} {
		body = append(body, binary.LittleEndian.AppendUint32([]byte{0xf0, 0x4c, 0x0f, 0xb1, 0x04, 0xd5}, uint32(g.points+slot))...)
	}
	if o.kept { // mov %rdi,%r12; mov %rsi,%rbx; mov %edx,0x10(%rsp)
		body = append(body, 0x49, 0x89, 0xfc, 0x48, 0x89, 0xf3, 0x89, 0x54, 0x24, 0x10)
	}
	g.setup = g.Func("kcsan_setup_watchpoint", code(body))
	if g.setup != at {
		panic("the function is not where it was expected")
	}
	g.report = g.info
	if o.version.Features().ValueChange {
		g.report = g.Func("kcsan_report_known_origin", code())
	}
	g.unknown = g.Func("kcsan_report_unknown_origin", code())
	var rcu []byte
	if o.vco {
		rcu = binary.LittleEndian.AppendUint32([]byte{0x48, 0xc7, 0xc6}, uint32(g.String("_srcu")))
	}
	at = g.Func("pad2", nil) + 16
	limit := relative(at+4, disp([]byte{0x48, 0x8b, 0x35}, g.jiffies))
	limit = append(limit, 0x48, 0x83, 0xee, guestOnce) // sub $once, %rsi
	size := binary.LittleEndian.AppendUint32([]byte{0x48, 0x81, 0xfa}, rtEntry*guestTimes)
	g.print = g.Func("print_report", code(limit, absolute(g.times), absolute(g.times+rtFrame1), absolute(g.times+rtFrame2), size, rcu))
	if g.print != at {
		panic("the function is not where it was expected")
	}
	if o.preempt != nil {
		var uses []byte
		for _, piece := range o.preempt {
			uses = append(uses, absolute(g.String(piece))...)
		}
		full := g.Data("preempt_modes", 64)
		g.Poke64(full+16, g.String("full"))
		g.Poke(g.Data("preempt_dynamic_mode", 4), []byte{2, 0, 0, 0})
		model := g.Func("preempt_model_str", code(uses))
		at := g.Func("pad3", nil) + 16
		if info := g.Func("dump_stack_print_info", code(relative(at+4, disp([]byte{0xe8}, model)))); info != at {
			panic("the function is not where it was expected")
		}
	}
	if !o.noTexts {
		for _, s := range texts[o.version] {
			g.String(s)
		}
		format := "%sCPU: %d PID: %d Comm: %.20s %s%s %s %.*s\n"
		if o.version.Features().FooterUID {
			format = "%sCPU: %d UID: %u PID: %d Comm: %.20s %s%s %s %.*s %s\n"
		}
		if o.tail != "" {
			format = strings.Replace(format, "%.*s %s\n", "%.*s"+o.tail+"\n", 1)
		}
		g.String(format)
	}
}

// reportFunction is what a function of the report is called: up to 5.13 there is
// one for all.
func (g *raceGuest) reportFunction(o guestOptions, name string) string {
	if !o.version.Features().ValueChange {
		return "kcsan_report"
	}
	return name
}

// arguments puts a CPU at the entry of a function of the report.
func (g *raceGuest) arguments(o guestOptions, x cpu.Values, fn string, args map[string]uint64) {
	name := g.reportFunction(o, fn)
	regs := []cpu.Reg{cpu.RDI, cpu.RSI, cpu.RDX, cpu.RCX, cpu.R8, cpu.R9}
	for i, arg := range signatures(o.version)[name] {
		if i < len(regs) {
			x[regs[i]] = args[arg]
		} else {
			g.Poke64(x[cpu.RSP]+8*uint64(i-5), args[arg])
		}
	}
	x[cpu.RIP] = map[string]uint64{"kcsan_report": g.info, "kcsan_report_set_info": g.info,
		"kcsan_report_known_origin": g.report, "kcsan_report_unknown_origin": g.unknown}[name]
}

// producing is the CPU of a producer that stands at the entry of the function
// that fills its slot.
func (g *raceGuest) producing(o guestOptions) cpu.Values {
	s := g.Heap(8192)
	x := cpu.Values{cpu.RSP: s, cpu.RBP: s + 0x100}
	raw, err := o.version.EncodeType(kcsan.AccessAtomic)
	if err != nil {
		panic(err)
	}
	g.arguments(o, x, "kcsan_report_set_info", map[string]uint64{argPtr: guestAddr, argSize: 8, argType: uint64(raw),
		argIndex: guestSlot, argReport: uint64(kcsan.ReportConsumed)})
	g.Poke64(s, g.found+8)
	for i, ret := range []uint64{g.tsan + 8, g.alpha + 8, g.thread + 8} {
		at := s + 0x100*uint64(i+1)
		g.Poke64(at, at+0x100)
		g.Poke64(at+8, ret)
	}
	return x
}

// access lays out a struct access_info.
func (g *raceGuest) access(o guestOptions, addr uint64, size uint64, t kcsan.AccessType, pid, cpu int) []byte {
	raw, err := o.version.EncodeType(t)
	if err != nil {
		panic(err)
	}
	le := binary.LittleEndian
	p := make([]byte, g.layout.stack)
	le.PutUint64(p[aiPtr:], addr)
	le.PutUint64(p[aiSize:], size)
	le.PutUint32(p[aiType:], raw)
	le.PutUint32(p[aiPID:], uint32(pid))
	le.PutUint32(p[aiCPU:], uint32(cpu))
	return p
}

// fill puts the race into memory.
func (g *raceGuest) fill(o guestOptions) {
	slot := g.infos + uint64(guestSlot*g.layout.entry)
	if o.filling {
		g.Poke64(g.points+8*guestSlot, kcsan.ConsumedWatchpoint)
	} else if !o.noSlot {
		g.Poke(slot, g.access(o, guestAddr, 8, kcsan.AccessAtomic, 3, 0))
		g.Poke64(slot+uint64(g.layout.numStack), 3)
		for i, a := range []uint64{g.tsan + 8, g.alpha + 8, g.thread + 8} {
			g.Poke64(slot+uint64(g.layout.stack+8*i), a)
		}
		g.Poke64(g.points+8*guestSlot, kcsan.ConsumedWatchpoint)
	}
	g.Poke64(g.counts+8, 7)
	g.Poke64(g.counts, 1)

	// CPU 1's stack, the innermost part first.
	s := g.Heap(8192)
	g.stack = s
	ai := s + 0x60
	g.Poke(ai, g.access(o, guestAddr+4, 4, kcsan.AccessWrite, 4, 1))
	caller := g.report
	if o.noSlot {
		caller = g.unknown
	}
	g.Poke64(s, caller+8) // print_report's return address
	frame := func(at, next, ret uint64) { g.Poke64(at, next); g.Poke64(at+8, ret) }
	frame(s+0x100, s+0x200, g.setup+0x20) // of the caller
	frame(s+0x200, s+0x300, g.tsan+8)
	frame(s+0x300, s+0x400, g.beta+0x10)
	if o.work {
		frame(s+0x400, s+0x480, g.Func("process_one_work", code())+8)
		frame(s+0x480, s+0x500, g.Func("worker_thread", code())+8)
		g.Poke64(s+0x448, g.worker(o))
	} else {
		frame(s+0x400, s+0x500, g.thread+8)
	}
	frame(s+0x500, 0, 0)

	x := cpu.Values{cpu.RIP: g.print, cpu.RSP: s, cpu.RBP: s + 0x100, cpu.RDI: o.change}
	switch {
	case o.at != "":
		raw, err := o.version.EncodeType(kcsan.AccessWrite)
		if err != nil {
			panic(err)
		}
		x[cpu.RSP], x[cpu.RBP] = s+0x108, s+0x200
		report := kcsan.ReportSignal
		if o.noSlot {
			report = kcsan.ReportUnknownOrigin
		}
		g.arguments(o, x, o.at, map[string]uint64{argPtr: guestAddr + 4, argSize: 4, argType: uint64(raw), argChange: o.change,
			argIndex: guestSlot, argOld: 0x11, argNew: 0x22, argReport: uint64(report)})
	case o.delays && o.kept:
		x[cpu.RIP], x[cpu.RSP], x[cpu.RBP] = g.setup+0x28, s+0x110, s+0x200
		x[cpu.R12], x[cpu.RBX] = guestAddr+4, 4
		g.Poke64(s+0x120, 1)
	case o.delays: // as if still in the delay; the address is in a register it saved
		x[cpu.RIP], x[cpu.RSP], x[cpu.RBP] = g.setup+0x28, s+0x110, s+0x200
		g.Poke64(s+0x1f0, guestAddr)
	case o.stage == waiting:
		x[cpu.RIP], x[cpu.RSP] = g.report+8, s+8
	case o.inside:
		x[cpu.RIP], x[cpu.RSP], x[cpu.RBP] = g.print+8, s-0x40, s-8
		g.Poke64(s-8, s+0x100)
	}
	other := slot
	if o.noSlot {
		other = 0
	}
	if o.at != "" || o.delays && o.kept {
	} else if o.version.Features().ValueChange {
		x[cpu.RSI], x[cpu.RDX], x[cpu.RCX], x[cpu.R8] = ai, other, 0x11, 0x22
	} else {
		x[cpu.RDX], x[cpu.RCX] = ai, other
		if o.noSlot {
			x[cpu.RSI] = uint64(kcsan.ReportUnknownOrigin)
		}
	}
	for n, task := range []uint64{g.tasks[2], g.tasks[3]} {
		state := cpu.Values{}
		if n == 1 {
			state = x
		} else if o.filling {
			state = g.producing(o)
		}
		perCPU := g.CPU(state)
		g.Poke64(perCPU+0x40, task) // current_task
	}
	if o.limited {
		g.Poke64(g.times+rtTime, guestNow-guestOnce+1)
		g.Poke64(g.times+rtFrame1, g.alpha+8)
		g.Poke64(g.times+rtFrame2, g.beta+0x10)
	}
}

// worker makes a kworker's struct worker, its queue and work, and gives its
// address.
func (g *raceGuest) worker(o guestOptions) uint64 {
	w, pool, queue := g.Heap(4096), g.Heap(4096), g.Heap(4096)
	g.Poke64(w+16, g.Heap(64))
	g.Poke64(w+24, g.beta)
	g.Poke64(w+32, pool)
	g.Poke64(pool+8, queue)
	g.Poke(queue+0x150, []byte("my_queue\x00"))
	if o.desc == "" {
		g.Poke(w+0xa4, []byte("my_queue\x00"))
		return w
	}
	g.Poke(w+0xa4, append([]byte(o.desc), 0))
	events := g.Heap(4096)
	g.Poke(events+0x150, []byte("events\x00"))
	g.Poke64(g.Data("system_percpu_wq", 8), events)
	return w
}

// recoverGuest runs the recovery on a guest.
func recoverGuest(t *testing.T, g *raceGuest) *Result {
	t.Helper()
	return recoverMachine(t, g.Machine())
}

func recoverMachine(t *testing.T, m *machine.Machine) *Result {
	t.Helper()
	k, err := linux.Locate(context.Background(), m, linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Recover(context.Background(), k, progress.Sink{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
