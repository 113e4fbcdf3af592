package elfcore_test

import (
	"context"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// head is the beginning of a packed core: headers and notes are there, and
// nothing else is to be read.
func head(t *testing.T, path string, bytes int64) []byte {
	t.Helper()
	data, err := io.ReadAll(io.LimitReader(corpustest.Open(t, path), bytes))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type segment struct {
	Selector, Limit uint32
	Flags, Base     hex
}

// hex is a number that truth.json writes as "0x…".
type hex uint64

func (h *hex) UnmarshalJSON(p []byte) error {
	v, err := strconv.ParseUint(strings.Trim(string(p), `"`), 0, 64)
	*h = hex(v)
	return err
}

type truth struct {
	ELF struct {
		Size     int64
		Phnum    int
		LoadList [][5]hex `json:"pt_load"`
		Loads    int      `json:"pt_load_count"`
		Notes    [][3]any
	}
	CPUs []struct {
		RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP hex
		R8, R9, R10, R11, R12, R13, R14, R15   hex
		RIP, RFLAGS                            hex
		CS, DS, ES, FS, GS, SS                 segment
		LDT, TR, GDT, IDT                      segment
		CR                                     [5]hex
		KernelGSBase                           hex `json:"kernel_gs_base"`
	}
	Expect struct {
		Runs  [][2]hex `json:"union_runs"`
		Count int      `json:"union_run_count"`
		Pages uint64   `json:"union_pages"`
	}
}

func TestRealCores(t *testing.T) {
	dir := corpustest.Dir(t, "")
	paths, _ := filepath.Glob(filepath.Join(dir, "windows", "*", "core.elf.zst"))
	if len(paths) < 15 {
		t.Fatalf("only %d cores in %s", len(paths), dir)
	}
	for _, path := range paths {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			want := corpustest.ReadJSON[truth](t, filepath.Join(filepath.Dir(path), "truth.json"))
			s := synth.Source(head(t, path, 8<<20))
			s.ReaderAt, s.Size = ended{s.ReaderAt, want.ELF.Size}, want.ELF.Size
			m, err := elfcore.Open(context.Background(), s, machine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, m, want)
		})
	}
}

// TestRegistersOfOtherProcessors: the registers of ARM64 and of 32-bit x86, against
// what stopped the guests wrote down.
func TestRegistersOfOtherProcessors(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, ""), "arch")
	for name, count := range map[string]int{"arm-tiny": 2, "arm-4cpu-encoded": 4, "x86-tiny-bugcheck": 2, "x86-elf32": 2} {
		want := corpustest.ReadJSON[struct {
			CPUs []struct {
				X                                           []hex
				SP, PC, PState                              hex
				EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP, EIP hex
				EFlags, CS, SS, CR3                         hex
			}
		}](t, filepath.Join(dir, name, "truth.json"))
		s := synth.Source(head(t, filepath.Join(dir, name, "core.elf.zst"), 64<<20))
		m, err := elfcore.Open(context.Background(), s, machine.Options{})
		if m == nil || len(m.CPUs) != count || len(want.CPUs) != count {
			t.Errorf("%s: %+v %v", name, m, err)
			continue
		}
		for i, c := range want.CPUs {
			values := map[cpu.Reg]hex{}
			for n, v := range c.X {
				values[cpu.X0+cpu.Reg(n)] = v
			}
			if len(c.X) > 0 {
				values[cpu.ArmSP], values[cpu.ArmPC], values[cpu.PSTATE] = c.SP, c.PC, c.PState
			} else {
				values = map[cpu.Reg]hex{cpu.RAX: c.EAX, cpu.RBX: c.EBX, cpu.RCX: c.ECX, cpu.RDX: c.EDX, cpu.RSI: c.ESI, cpu.RDI: c.EDI,
					cpu.RBP: c.EBP, cpu.RSP: c.ESP, cpu.RIP: c.EIP, cpu.RFLAGS: c.EFlags, cpu.CS: c.CS, cpu.SS: c.SS, cpu.CR3: c.CR3}
			}
			for r, v := range values {
				if x := m.CPUs[i].State; !x.Known(r) || x.Get(r) != uint64(v) {
					t.Errorf("%s: CPU %d: %s is %#x, want %#x", name, i, x.Arch.RegName(r), x.Get(r), v)
				}
			}
		}
	}
}

// ended is the beginning of a core of QEMU 7.2, zeros, and its end.
type ended struct {
	io.ReaderAt
	size int64
}

func (e ended) ReadAt(p []byte, off int64) (int, error) {
	const names = "\x00.shstrtab\x00"
	n, err := e.ReaderAt.ReadAt(p, off)
	if err == nil || off+int64(len(p)) > e.size {
		return n, err
	}
	clear(p[n:])
	if at := e.size - int64(len(names)); off+int64(len(p)) > at {
		copy(p[max(0, at-off):], names[max(0, off-at):])
	}
	return len(p), nil
}

func compare(t *testing.T, m *machine.Machine, want *truth) {
	warned := ""
	if want.Expect.Pages*mem.PageSize < uint64(want.ELF.Size)/100*99 {
		warned = "paging-core"
	}
	if m.ELF.Headers != want.ELF.Phnum || len(m.ELF.Loads) != want.ELF.Loads || m.MissingEnd != 0 || codes(m) != warned {
		t.Errorf("%d headers, %d blocks, %d missing, %s", m.ELF.Headers, len(m.ELF.Loads), m.MissingEnd, codes(m))
	}
	for i, l := range want.ELF.LoadList {
		if got, load := m.ELF.Loads[i], (mem.Extent{Start: mem.PA(l[2]), Bytes: uint64(l[3]), Offset: int64(l[0])}); got != load {
			t.Fatalf("load %d is %v, want %v", i, got, load)
		}
	}
	var states, guest int
	for _, n := range want.ELF.Notes {
		switch n[0] {
		case "QEMU":
			states++
		case "CORE":
		default:
			if g := m.Guest[guest]; g.Name != n[0] || float64(g.Type) != n[1] || float64(len(g.Desc)) != n[2] {
				t.Errorf("guest note %s %d of %d bytes, want %v", g.Name, g.Type, len(g.Desc), n)
			}
			guest++
		}
	}
	if len(m.CPUs) != states || states != len(want.CPUs) || len(m.Guest) != guest {
		t.Fatalf("%d CPUs, %d guest notes; want %d and %d", len(m.CPUs), len(m.Guest), states, guest)
	}
	for i, c := range want.CPUs {
		state := cpu.Of(cpu.X64, cpu.Values{
			cpu.RAX: uint64(c.RAX), cpu.RBX: uint64(c.RBX), cpu.RCX: uint64(c.RCX), cpu.RDX: uint64(c.RDX),
			cpu.RSI: uint64(c.RSI), cpu.RDI: uint64(c.RDI), cpu.RSP: uint64(c.RSP), cpu.RBP: uint64(c.RBP),
			cpu.R8: uint64(c.R8), cpu.R9: uint64(c.R9), cpu.R10: uint64(c.R10), cpu.R11: uint64(c.R11),
			cpu.R12: uint64(c.R12), cpu.R13: uint64(c.R13), cpu.R14: uint64(c.R14), cpu.R15: uint64(c.R15),
			cpu.RIP: uint64(c.RIP), cpu.RFLAGS: uint64(c.RFLAGS),
			cpu.CR0: uint64(c.CR[0]), cpu.CR2: uint64(c.CR[2]), cpu.CR3: uint64(c.CR[3]), cpu.CR4: uint64(c.CR[4]),
			cpu.KernelGSBase: uint64(c.KernelGSBase)})
		for r, s := range map[cpu.Reg]segment{cpu.CS: c.CS, cpu.DS: c.DS, cpu.ES: c.ES, cpu.FS: c.FS, cpu.GS: c.GS, cpu.SS: c.SS,
			cpu.LDT: c.LDT, cpu.TR: c.TR, cpu.GDT: c.GDT, cpu.IDT: c.IDT} {
			state.SetSegment(r, cpu.Segment{Selector: s.Selector, Limit: s.Limit, Flags: uint32(s.Flags), Base: uint64(s.Base)})
		}
		got := *m.CPUs[i].State
		got.Forget(cpu.OrigAX) // the truth does not have it
		if got != *state {
			t.Errorf("CPU %d: %+v\nwant %+v", i, got, state)
		}
		if m.CPUs[i].PID != uint32(i+1) || m.CPUs[i].Index != i {
			t.Errorf("CPU %d: pid %d", i, m.CPUs[i].PID)
		}
	}
	runs, partial := mem.Runs(m.Mem.Extents())
	var pages uint64
	for _, r := range runs {
		pages += r.Pages
	}
	if len(runs) != want.Expect.Count || pages != want.Expect.Pages || len(partial) != 0 {
		t.Errorf("%d runs, %d pages, partial %v", len(runs), pages, partial)
	}
	for i, r := range want.Expect.Runs {
		if runs[i] != (mem.Run{Start: mem.PA(r[0]) * mem.PageSize, Pages: uint64(r[1])}) {
			t.Errorf("run %d is %v, want %#x", i, runs[i], r)
		}
	}
}

// Cores that are no x86-64 ones by their header: ARM64 is refused by name, of
// x86 it is doubtful until a kernel is found.
func TestRealCoresOfOtherProcessors(t *testing.T) {
	dir := corpustest.Dir(t, "")
	paths, _ := filepath.Glob(filepath.Join(dir, "arch", "*", "core.elf.zst"))
	if len(paths) == 0 {
		t.Fatal("no cores")
	}
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path))
		data := head(t, path, 1<<40)
		if len(data) > 1<<30 {
			t.Fatalf("%s: %d bytes", name, len(data))
		}
		m, err := open(data)
		if !strings.HasPrefix(name, "x86") {
			if !fault.Is(err, fault.UnsupportedCPU) || !strings.Contains(err.Error(), "ARM64") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || m.Doubt == nil || codes(m) != "" || len(m.CPUs) == 0 || m.Mem == nil {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}
