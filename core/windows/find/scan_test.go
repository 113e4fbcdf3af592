package find

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/windows"
)

func TestCancel(t *testing.T) {
	g := newGuest(t)
	g.lose()
	for i := mem.PA(256); i < 512; i++ {
		g.phys64(demoDTB+8*i, 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	o := Options{Sink: progress.Sink{OnProgress: func(stage string, done, total int64) {
		if done < 0 || done > total || stage == "" {
			t.Errorf("%s %d of %d", stage, done, total)
		}
		if calls++; calls == 3 {
			cancel()
		}
	}}}
	if _, err := Locate(ctx, g.m, o); !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("%v after %d reports", err, calls)
	}
	if _, err := Locate(ctx, g.m, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// emptyMemory is a lot of memory with nothing in it.
type emptyMemory struct{ bytes uint64 }

func (m emptyMemory) ReadAt(p []byte, _ mem.PA) error { clear(p); return nil }
func (m emptyMemory) Extents() []mem.Extent           { return []mem.Extent{{Bytes: m.bytes}} }
func (m emptyMemory) Prefetch() *mem.Fetch            { return nil }

func (m emptyMemory) Scan(ctx context.Context, e mem.Extent, buf []byte, visit func(mem.PA, []byte) error) error {
	return mem.ScanByReads(ctx, m, e, buf, visit)
}

func TestNothingThere(t *testing.T) {
	m := &machine.Machine{Mem: emptyMemory{512 << 20}, CPUs: []machine.CPU{{State: reset()}}}
	_, err := Locate(context.Background(), m, Options{})
	if !fault.Is(err, fault.KernelPagedState) || !strings.Contains(err.Error(), "no CPU has paging on") {
		t.Errorf("empty memory: %v", err)
	}
	if hints := strings.Join(fault.As(err).Remedy(), "\n"); !strings.Contains(hints, "self-map scan") || !strings.Contains(hints, "low stub") {
		t.Errorf("the strategies are not named: %s", hints)
	}
}

// circular is memory in which every table entry leads to the same page: the
// whole space is mapped, and the sweep has no end of its own.
type circular struct{ emptyMemory }

func (m circular) ReadAt(p []byte, pa mem.PA) error {
	for i := range p {
		p[i] = []byte{0x63, 0x10, 0, 0, 0, 0, 0, 0}[(int(pa)+i)%8]
	}
	return nil
}

func (m circular) Scan(ctx context.Context, e mem.Extent, buf []byte, visit func(mem.PA, []byte) error) error {
	return mem.ScanByReads(ctx, m, e, buf, visit)
}

func TestTablesThatLeadToThemselves(t *testing.T) {
	x := reset()
	x.SetAll(cpu.Values{cpu.CR0: 0x80050033, cpu.CR3: 0x1000, cpu.IDTBase: 0xfffff80000000000, cpu.RIP: 0xfffff90000000000, cpu.GSBase: 0xffff800000000000})
	m := &machine.Machine{Mem: circular{emptyMemory{16 << 20}}, CPUs: []machine.CPU{{State: x}}}
	if _, err := Locate(context.Background(), m, Options{}); err == nil {
		t.Error("a kernel was found")
	}
}

// TestEndlessKernels: tables that map one page nearly everywhere, and that page
// is the header of an image that looks like the kernel, with a large section to
// search. The search gives up after so many.
func TestEndlessKernels(t *testing.T) {
	data := make([]byte, 64<<10)
	p := data[0x1000:0x2000]
	copy(p, le64(0x5a4d)) // "MZ", and a table entry that leads to 0x5000
	for off := 0x800; off < 0x1000; off += 8 {
		copy(p[off:], le64(0x1063))
	}
	const nt = 0x80
	p[0x3c] = nt
	copy(p[nt:], "PE\x00\x00\x64\x86\x01")
	p[nt+0x14] = 0xf0
	copy(p[nt+0x18:], []byte{0x0b, 2})
	copy(p[nt+0x50:], le32(0x08000000))
	p[nt+0x84] = 16
	section := p[nt+0x18+0xf0:]
	copy(section, "POOLCODE")
	copy(section[8:], le32(0x07000000))
	copy(section[12:], le32(0x1000))
	copy(section[36:], le32(0xc0000040))
	copy(data[0x5000:], le64(0x6063))
	copy(data[0x6000:], le64(0x7063))
	copy(data[0x7800:], []byte{0, 0xf0, 0x10, 0, 0, 0x8e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	file, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}, []mem.Extent{{Bytes: uint64(len(data))}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := reset()
	x.SetAll(cpu.Values{cpu.CR0: 0x80050033, cpu.CR3: 0x1000, cpu.IDTBase: uint64(windows.SharedVA) + 0x800})
	var kernels int
	o := Options{Sink: progress.Sink{OnLine: func(l string) {
		if strings.HasPrefix(l, "kernel image at") {
			kernels++
		}
	}}}
	k, err := Locate(context.Background(), &machine.Machine{Mem: file, CPUs: []machine.CPU{{State: x}}}, o)
	if !fault.Is(err, fault.KDBGMissing) || k == nil || kernels < 2 || kernels > maxKernels {
		t.Errorf("%d kernels, %v", kernels, err)
	}
}

func TestEncryptedLooks(t *testing.T) {
	random := rand.New(rand.NewSource(5))
	noise := make([]byte, 4<<20)
	random.Read(noise)
	text := bytes.Repeat([]byte("a guest's memory is not random at all"), 4<<20/37)
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{"noise": {noise, true}, "text": {text, false}, "zeros": {make([]byte, 4<<20), false}} {
		n := int64(len(c.data)) &^ (mem.PageSize - 1)
		file, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(c.data), Size: int64(len(c.data))}, []mem.Extent{{Bytes: uint64(n / 2)}, {Start: 1 << 30, Bytes: uint64(n / 2), Offset: n / 2}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine.Machine{Mem: file, CPUs: []machine.CPU{{State: reset()}}}
		m.CPUs[0].State.Set(cpu.CR0, m.CPUs[0].State.Get(cpu.CR0)|cpu.CR0Paging)
		if _, err := Locate(context.Background(), m, Options{}); fault.Is(err, fault.EncryptedGuest) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
