package stacks_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
	"coredrop/core/windows/stacks"
)

var le = binary.LittleEndian

// Where the synthetic guests of these tests have what they add.
const (
	driver     = 0xfffff80314a00000 // base of driver.sys
	driverSize = 0x5000
	headerNT   = 0x80
	dirEntry   = headerNT + 0x88 + 3*8 // the exception directory's

	thread     = 0xffff8d1000001000
	idleThread = 0xffff8d1000002000
	stackLimit = 0xffff8d2000000000
	stackBase  = stackLimit + 0x6000
)

// function is a function of an image with the slots of its prolog.
type function struct {
	begin, end uint32
	prolog     byte
	slots      []uint16
}

// The operations that the functions use, as slots. All take effect at offset
// at of the prolog.
func alloc(at byte, bytes int) uint16   { return uint16(at) | uint16(2|(bytes/8-1)<<4)<<8 }
func push(at byte, register int) uint16 { return uint16(at) | uint16(register<<4)<<8 }
func allocLarge(at byte, bytes int) []uint16 {
	return []uint16{uint16(at) | 1<<8, uint16(bytes / 8)}
}
func machineFrame(at byte, code int) uint16 { return uint16(at) | uint16(10|code<<4)<<8 }

// exceptionData lays out a function table at table and unwind information
// behind it.
func exceptionData(table uint32, list []function) (pdata []byte) {
	info := table + uint32(12*len(list))
	var records []byte
	for _, f := range list {
		pdata = le.AppendUint32(le.AppendUint32(le.AppendUint32(pdata, f.begin), f.end), info+uint32(len(records)))
		records = append(records, 1, f.prolog, byte(len(f.slots)), 0)
		for _, s := range f.slots {
			records = le.AppendUint16(records, s)
		}
		if len(f.slots)%2 != 0 {
			records = append(records, 0, 0)
		}
	}
	return append(pdata, records...)
}

// The functions: of the kernel, in its section of code, and of the driver. Each
// has a frame of 0x28 bytes, but for the handler of page faults.
var (
	pageFault = function{0x1600, 0x1700, 0x10, append(allocLarge(0x10, 0x158), push(8, 5), machineFrame(0, 1))}
	bugCheck  = function{0x1300, 0x1380, 4, []uint16{alloc(4, 0x28)}}
	start     = function{0x1800, 0x1880, 4, []uint16{alloc(4, 0x28)}}
	switching = function{0x1400, 0x1480, 4, []uint16{alloc(4, 0x28)}}

	touch = function{0x1000, 0x1080, 4, []uint16{alloc(4, 0x28)}}
	work  = function{0x1100, 0x1180, 4, []uint16{alloc(4, 0x28)}}
	entry = function{0x3000, 0x3080, 4, []uint16{alloc(4, 0x28)}} // in INIT
)

const kernelPdata, driverPdata = 0x3600, 0x2000

// scene is a guest with one thread on processor 0.
type scene struct {
	*synth.Editor
	kernel uint64
	sp     uint64 // where the next frame goes, downwards from the stack's end
}

// build makes a guest and finds its kernel.
func build(t testing.TB, o synth.Options, dress func(s *scene)) *windows.Kernel {
	t.Helper()
	return kernelOf(t, sceneSource(o, dress))
}

// sceneSource makes a guest: the exception data of kernel and driver, a thread that
// processor 0 runs, its stack. dress adds what the test is about.
func sceneSource(o synth.Options, dress func(s *scene)) source.Source {
	o.Edit = func(g *synth.Editor) {
		s := &scene{Editor: g, kernel: g.Truth.KernelBase, sp: stackBase - 0x100}
		s.image(s.kernel, kernelPdata, []function{bugCheck, switching, pageFault, start})
		s.driverImage()
		for page := uint64(stackLimit); page < stackBase; page += 0x1000 {
			s.Map(page)
		}
		s.thread(thread, s.Truth.Processes[0].VA, 2, stackLimit, stackBase, stackBase-0x800)
		s.thread(idleThread, s.Truth.Processes[0].VA, 2, stackLimit-0x10000, stackLimit-0xa000, stackLimit-0xa800)
		prcb := g.Truth.PRCB[0]
		s.Write64(prcb+0x08, thread)
		s.Write64(prcb+0x18, idleThread)
		if dress != nil {
			dress(s)
		}
	}
	return synth.Guest(o).Source()
}

// kernelOf finds the kernel in a core.
func kernelOf(t testing.TB, s source.Source) *windows.Kernel {
	t.Helper()
	m, err := elfcore.Open(context.Background(), s, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// image gives an image its exception data.
func (s *scene) image(base uint64, table uint32, list []function) {
	s.Write(base+uint64(table), exceptionData(table, list))
	s.Write(base+dirEntry, le.AppendUint32(le.AppendUint32(nil, table), uint32(12*len(list))))
}

// driverImage puts driver.sys where the module list has it.
func (s *scene) driverImage() {
	h := make([]byte, driverSize)
	copy(h, "MZ")
	le.PutUint32(h[0x3c:], headerNT)
	copy(h[headerNT:], "PE\x00\x00")
	le.PutUint16(h[headerNT+4:], 0x8664)
	le.PutUint16(h[headerNT+6:], 3)
	le.PutUint16(h[headerNT+0x14:], 0xf0)
	le.PutUint16(h[headerNT+0x18:], 0x20b)
	le.PutUint32(h[headerNT+0x50:], driverSize)
	le.PutUint32(h[headerNT+0x84:], 16)
	for i, sec := range []struct {
		name       string
		rva, flags uint32
	}{{".text", 0x1000, 0x60000020}, {".pdata", 0x2000, 0x40000040}, {"INIT", 0x3000, 0x62000020}} {
		at := headerNT + 0x18 + 0xf0 + 40*i
		copy(h[at:], sec.name)
		le.PutUint32(h[at+8:], 0x1000)
		le.PutUint32(h[at+12:], sec.rva)
		le.PutUint32(h[at+36:], sec.flags)
	}
	s.Write(driver, h)
	s.image(driver, driverPdata, []function{touch, work, entry})
}

// thread writes a KTHREAD as build 19041 has it.
func (s *scene) thread(at, process uint64, state byte, limit, base, saved uint64) {
	s.Write(at, make([]byte, 0x500))
	s.Write(at, []byte{6})
	s.Write64(at+0x28, base-0x370)
	s.Write64(at+0x30, limit)
	s.Write64(at+0x38, base)
	s.Write64(at+0x58, saved)
	s.Write64(at+0xb8, process)
	s.Write(at+0x184, []byte{state})
}

// frames lays out the stack of a function, which stands at s.sp then, below
// callers that go on at rips, the innermost first. All have frames of 0x28
// bytes; the outermost returns to 0.
func (s *scene) frames(rips ...uint64) {
	s.sp = stackBase - 0x100 - uint64(0x30*(len(rips)+1))
	for i, rip := range append(rips, 0) {
		s.Write64(s.sp+0x28+uint64(0x30*i), rip)
	}
}

// fault lays out what the handler of page faults has on its stack, below sp:
// rip was interrupted with the stack pointer at sp.
func (s *scene) fault(rip, sp, cs uint64) {
	at := s.sp - 0x190
	s.Write(at, make([]byte, 0x190))
	s.Write64(at+0x158, 0x1122334455667788)
	s.Write64(at+0x168, rip)
	s.Write64(at+0x170, cs)
	s.Write64(at+0x180, sp)
	s.sp = at
}

// stand makes processor 0 stand at rip, with the stack pointer at sp.
func (s *scene) stand(rip, sp uint64) {
	x := s.CPUs()[0].State
	x.SetAll(cpu.Values{cpu.RIP: rip, cpu.RSP: sp})
}

// addresses words a stack for comparison.
func addresses(s *stacks.Stack) string {
	var out []string
	for _, f := range s.Frames {
		text := f.Name.String()
		if text == "" {
			text = fmt.Sprintf("%#x", f.Address)
		}
		if f.Kind == stacks.KindMachineFrame {
			text = "!" + text
		}
		if f.Weak {
			text += "??"
		} else if f.Guessed {
			text += "?"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ") + " | " + string(s.End)
}

func stackOf(t testing.TB, k *windows.Kernel) (*stacks.Stack, *stacks.Reader) {
	t.Helper()
	r := stacks.New(context.Background(), k, nil)
	p := r.Processors()
	if len(p) == 0 || p[0].Stack == nil {
		t.Fatalf("no stack: %+v", p)
	}
	return p[0].Stack, r
}

// TestScenes reads stacks that go through what stacks go through.
func TestScenes(t *testing.T) {
	const inTouch, inWork, inStart, inInit = driver + 0x1020, driver + 0x1130, 0x1820, driver + 0x3020
	faulting := func(s *scene) {
		s.frames(inWork, s.kernel+inStart)
		s.fault(inTouch, s.sp, 0x10)
		s.stand(s.kernel+0x1640, s.sp)
	}
	for _, c := range []struct {
		name  string
		dress func(s *scene)
		want  string
		why   string
	}{
		{"page fault", faulting, "nt+0x1640 !driver+0x1020 driver+0x1130 nt+0x1820 | thread-start", ""},
		{"guard page", func(s *scene) { // the stack has overflowed: the fault's stack pointer is below it
			faulting(s)
			s.fault(inTouch, stackLimit-0x800, 0x10)
			s.stand(s.kernel+0x1640, s.sp)
		}, "nt+0x1640 !driver+0x1020 | unreadable", "not present"},
		{"stack pointer out of the stack", func(s *scene) {
			s.stand(inTouch, stackLimit-0x800)
		}, "driver+0x1020 | unreadable", "not present"},
		{"paged-out exception directory", func(s *scene) {
			s.frames(inWork, s.kernel+inStart)
			s.Write(inWork-5, []byte{0xff, 0xd0, 0x41, 0xff, 0xd3})                            // call r11
			s.Write(s.kernel+inStart-5, append([]byte{0xe8}, le.AppendUint32(nil, 0x1000)...)) // call near
			s.stand(inTouch, s.sp)
			s.Unmap(driver + driverPdata)
		}, "driver+0x1020 driver+0x1130? nt+0x1820? | thread-start", ""},
		{"paged-out exception directory and code", func(s *scene) {
			s.frames(inWork, s.kernel+inStart)
			s.stand(inTouch, s.sp)
			s.Unmap(driver + driverPdata)
			s.Unmap(driver + 0x1000)
		}, "driver+0x1020 driver+0x1130?? | unreadable", "not present"},
		{"discarded INIT", func(s *scene) {
			s.frames(inTouch, inInit, s.kernel+inStart)
			s.stand(s.kernel+0x1320, s.sp)
			s.Unmap(driver + 0x3000)
		}, "nt!KeBugCheckEx+0x20 driver+0x1020 driver+0x3020 nt+0x1820 | thread-start", ""},
		{"interrupted in discarded code", func(s *scene) { // an epilog cannot be told from the body
			s.frames(s.kernel + inStart)
			s.stand(inInit, s.sp)
			s.Unmap(driver + 0x3000)
		}, "driver+0x3020 nt+0x1820? | thread-start", ""},
		{"a fault in user mode", func(s *scene) {
			s.sp = stackBase - 0x100
			s.fault(0x7ff6000010f0, 0xa45d200f00, 0x33)
			s.stand(s.kernel+0x1640, s.sp)
		}, "nt+0x1640 !0x7ff6000010f0 | user-mode", "user mode"},
		{"the stack runs off its end", func(s *scene) {
			s.stand(s.kernel+0x1320, stackBase-0x20)
		}, "nt!KeBugCheckEx+0x20 | unreadable", "not present"},
		{"an address in no module", func(s *scene) {
			s.frames(0xffffc00012345678)
			s.stand(inTouch, s.sp)
		}, "driver+0x1020 0xffffc00012345678 | outside", "outside every module"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := build(t, synth.Options{}, c.dress)
			s, _ := stackOf(t, k)
			if got := addresses(s); got != c.want {
				t.Errorf("%s (%s)\nwant %s", got, s.Why, c.want)
			}
			if !strings.Contains(s.Why, c.why) {
				t.Errorf("%q does not say %q", s.Why, c.why)
			}
			if i := slices.IndexFunc(s.Frames, func(f stacks.Frame) bool { return f.TrapFrame != 0 }); strings.Contains(c.want, "!driver") &&
				(i < 0 || uint64(s.Frames[i].TrapFrame) != s.Frames[i].StackPointer) {
				t.Errorf("no trap frame: %v", s.Frames)
			}

		})
	}
}

// TestStrangers has CPUs that are not Windows': they have no stack, and it is
// said so.
func TestStrangers(t *testing.T) {
	k := build(t, synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.Reset, synth.Kernel}}, func(s *scene) {
		s.frames()
		s.stand(s.kernel+0x1820, s.sp)
		hypervisor := s.CPUs()[2].State // of its own, at what is kernel code elsewhere
		hypervisor.SetAll(cpu.Values{cpu.GSBase: 0xfffffe0000000000, cpu.CR3: 0x7000000, cpu.RIP: 0xfffff8000dead000, cpu.GDTBase: 0xfffffe0000010000, cpu.IDTBase: 0xfffffe0000020000})
	})
	p := stacks.New(context.Background(), k, nil).Processors()
	said := 0
	for _, q := range p {
		if q.CPU == 0 {
			if q.Stack == nil || !q.Stack.Whole() {
				t.Errorf("processor 0: %+v", q)
			}
			continue
		}
		if q.Stack != nil {
			t.Errorf("CPU %d has a stack: %v", q.CPU, q.Stack)
		}
		if strings.Contains(q.Line(), "no stack: ") {
			said++
		}
	}
	if said < 2 {
		t.Errorf("%d lines say that there is no stack: %+v", said, p)
	}
}

// TestUserMode goes on in user mode, where the process's memory is there.
func TestUserMode(t *testing.T) {
	const exe, peb, ldr, entries, stack = 0x7ff600000000, 0xa45d0f0000, 0x1b0000000000, 0x1b0000000100, 0xa45d300000

	k := build(t, synth.Options{CPUs: []synth.Mode{synth.Process}}, func(s *scene) {

		process := s.Truth.Processes[2].VA // smss.exe
		s.thread(thread, process, 2, stackLimit, stackBase, stackBase-0x800)
		s.Write(s.Truth.KDBG+0x2aa, []byte{0x50, 0x05}) // OffsetEprocessPeb
		s.Write64(process+0x550, peb)
		s.WriteUser(peb, le.AppendUint64(make([]byte, 0x18), ldr))
		s.WriteUser(ldr, le.AppendUint64(make([]byte, 0x10), entries))
		e := make([]byte, 0x68)
		le.PutUint64(e, ldr+0x10)
		le.PutUint64(e[0x30:], exe)
		le.PutUint32(e[0x40:], driverSize)
		le.PutUint16(e[0x58:], 16)
		le.PutUint64(e[0x60:], entries+0x80)
		s.WriteUser(entries, e)
		s.WriteUser(entries+0x80, []byte("s\x00m\x00s\x00s\x00.\x00e\x00x\x00e\x00"))
		s.WriteUser(exe, s.Read(driver, driverSize)) // the same image does
		s.WriteUser(stack, make([]byte, 0x100))
		s.WriteUser(stack+0x28, le.AppendUint64(nil, exe+0x1130))
		s.sp = stackBase - 0x100
		s.fault(exe+0x1020, stack, 0x33)
		s.stand(s.kernel+0x1640, s.sp)
	})
	s, _ := stackOf(t, k)
	if got, want := addresses(s), "nt+0x1640 !smss+0x1020 smss+0x1130 | thread-start"; got != want {
		t.Errorf("%s (%s)\nwant %s", got, s.Why, want)
	}

}

// sleepers lays out threads of Registry that were switched out, and gives the
// address of each one's list entry.
func (s *scene) sleepers(count int) (link func(i int) uint64) {
	const first, stackAt = 0xffffb30000000000, 0xffffb40000000000
	process := s.Truth.Processes[1].VA
	head := process + 0x30
	link = func(i int) uint64 {
		if i < 0 || i == count {
			return head
		}
		return first + uint64(i)*0x500 + 0x2f8
	}
	for i := range count {
		limit := stackAt + uint64(i)*0x8000
		base := limit + 0x6000
		saved := base - 0x100
		s.thread(first+uint64(i)*0x500, process, 5, limit, base, saved)
		s.Write64(saved+0x30, uint64(i))
		s.Write64(saved+0x38, s.kernel+0x1420)
		s.Write64(saved+0x40+0x28, s.kernel+0x1820)
		s.Write64(saved+0x40+0x58, 0)
		s.Write64(link(i), link(i+1))
		s.Write64(link(i)+8, link(i-1))
		s.Write64(first+uint64(i)*0x500+0x478, 0x6c)
		s.Write64(first+uint64(i)*0x500+0x480, uint64(8+4*i))
	}
	s.Write(s.kernel+0x1420-5, append([]byte{0xe8}, le.AppendUint32(nil, 0x200)...))
	s.Write64(head, link(0))
	s.Write64(head+8, link(count-1))
	s.frames()
	s.stand(s.kernel+0x1820, s.sp)
	return link
}

// TestManyThreads lists 2,000 threads of a process, and lists that are damaged.
func TestManyThreads(t *testing.T) {
	const count = 2000
	dress := func(damage func(s *scene, link func(i int) uint64)) func(s *scene) {
		return func(s *scene) {
			if link := s.sleepers(count); damage != nil {
				damage(s, link)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(s *scene, link func(i int) uint64)
		want   int // threads of the process
		says   string
	}{
		{"whole", nil, count, ""},
		{"an entry links to itself", func(s *scene, link func(int) uint64) { s.Write64(link(1000), link(1000)) }, count, "comes twice"},
		{"an entry links to nothing", func(s *scene, link func(int) uint64) { s.Write64(link(1000), 0xffffb50000000000) }, count, "no thread of the process"},
		{"an entry is no thread", func(s *scene, link func(int) uint64) { s.Write(link(1000)-0x2f8, []byte{3}) }, count - 1, "no thread of the process"},
		{"a stack that is not around its pointer", func(s *scene, link func(int) uint64) { s.Write64(link(5)-0x2f8+0x58, 0xffff8d2000001000) }, count - 1, "no thread of the process"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := build(t, synth.Options{}, dress(c.damage))
			r := stacks.New(context.Background(), k, nil)
			r.Processors()
			list, err := r.Threads()
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			n, ids := 0, map[uint64]bool{}
			for _, th := range list {
				if th.ProcessName != "Registry" {
					continue
				}
				n++
				ids[th.TID] = true
				if got, want := addresses(&th.Stack), "nt!KiSwapContext+0x20 nt+0x1820 | thread-start"; got != want || th.PID != 0x6c || !th.HasID {
					t.Fatalf("thread %d: %s (%s), want %s", th.TID, got, th.Stack.Why, want)
				}
			}
			if n != c.want || len(ids) != c.want {
				t.Errorf("%d threads, %d ids, want %d", n, len(ids), c.want)
			}
		})
	}
}
