package savevm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// number is a quantity of truth.json: "0x…" or a JSON number.
type number uint64

func (n *number) UnmarshalJSON(p []byte) error {
	text := string(p)
	if text[0] == '"' {
		if err := json.Unmarshal(p, &text); err != nil {
			return err
		}
	}
	v, err := strconv.ParseUint(text, 0, 64)
	*n = number(v)
	return err
}

type segmentTruth struct{ Selector, Limit, Flags, Base number }

// truth is what a case's truth.json says.
type truth struct {
	CPUs []struct {
		RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, RFLAGS number
		CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT                                                 segmentTruth
		CR                                                                                        []number
		KernelGSBase                                                                              number `json:"kernel_gs_base"`

		X              []number
		V              [][2]number
		SP, PC, PState number
		SPEL0          number `json:"sp_el0"`
		SPEL1          number `json:"sp_el1"`
		FPCR, FPSR     number
		TTBR0          number `json:"ttbr0_el1"`
		TTBR1          number `json:"ttbr1_el1"`
		TCR            number `json:"tcr_el1"`
		MAIR           number `json:"mair_el1"`
		VBAR           number `json:"vbar_el1"`
		SCTLR          number `json:"sctlr_el1"`
		CPACR          number `json:"cpacr_el1"`
		TPIDREL0       number `json:"tpidr_el0"`
		TPIDRRO        number `json:"tpidrro_el0"`
		TPIDR          number `json:"tpidr_el1"`
	}
	ELF struct {
		RAM [][3]string
	}
}

func fileSource(t testing.TB, f *os.File) source.Source {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return source.Source{ReaderAt: f, Size: info.Size(), Name: "state"}
}

// streamed is the same source with a stream, as a browser has one.
func streamed(s source.Source) source.Source {
	plain := s
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		return plain.Scan(off, n, buf, visit)
	}
	return s
}

// hashOf is the SHA-256 of a range of the memory, read by a pass, or page by page.
func hashOf(t testing.TB, m mem.Physical, start mem.PA, bytes uint64, pass bool) string {
	t.Helper()
	h := sha256.New()
	e := mem.Extent{Start: start, Bytes: bytes}
	buf := make([]byte, 1<<20)
	visit := func(_ mem.PA, p []byte) error { h.Write(p); return nil }
	var err error
	if i, ok := mem.Find(m.Extents(), start); pass && ok {
		// Range by range: a place ends at each border of the first MiB.
		for ; i < len(m.Extents()) && m.Extents()[i].Start < e.End() && err == nil; i++ {
			from, to := max(start, m.Extents()[i].Start), min(e.End(), m.Extents()[i].End())
			err = m.Scan(context.Background(), mem.Extent{Start: from, Bytes: uint64(to - from)}, buf, visit)
		}
	} else {
		err = mem.ScanByReads(context.Background(), m, e, make([]byte, 3*mem.PageSize), visit)
	}
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestFixture: the state in the repository, of which memory and registers are
// known.
func TestFixture(t *testing.T) {
	tr := corpustest.ReadJSON[struct {
		truth
		Memory string `json:"memory_sha256"`
	}](t, filepath.Join("testdata", "fixture.truth.json"))
	m, err := Open(context.Background(), fileSource(t, corpustest.File(t, filepath.Join("testdata", "fixture.qevm.zst"))), machine.Options{})
	if err != nil || len(m.Warnings) > 0 {
		t.Fatal(err, m.Warnings)
	}
	if got := hashOf(t, m.Mem, 0, 64<<20, true); got != tr.Memory {
		t.Errorf("memory %s, want %s", got, tr.Memory)
	}
	checkX64(t, m, &tr.truth)
}

// TestCorpus: memory and registers of every state are those of the core that was
// taken of the same stopped guest.
func TestCorpus(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm")
	for _, name := range []string{"q35-cpu4/state.qevm", "below-1g/state.qevm", "live/state.qevm", "libvirt-sparse/mini.save"} {
		t.Run(name, func(t *testing.T) {
			tr := corpustest.ReadJSON[truth](t, filepath.Join(dir, filepath.Dir(name), "truth.json"))
			s := fileSource(t, corpustest.File(t, filepath.Join(dir, name+".zst")))
			for way, s := range map[string]source.Source{"reads": s, "stream": streamed(s)} {
				m, err := Open(context.Background(), s, machine.Options{})
				if err != nil {
					t.Fatal(way, err)
				}
				if len(m.Warnings) > 0 || m.Format != "savevm" || m.Arch != cpu.X64 || m.MissingEnd != 0 {
					t.Errorf("%s: %s, %s, warnings %v", way, m.Format, m.Arch, m.Warnings)
				}
				for _, r := range tr.ELF.RAM {
					start, _ := strconv.ParseUint(r[0], 0, 64)
					bytes, _ := strconv.ParseUint(r[1], 0, 64)
					for _, pass := range []bool{true, false} {
						if !pass && bytes > 128<<20 {
							continue
						}
						if got := hashOf(t, m.Mem, mem.PA(start), bytes, pass); got != r[2] {
							t.Errorf("%s: memory at %s: %s, want %s (pass %v)", way, r[0], got, r[2], pass)
						}
					}
				}
				checkX64(t, m, tr)
			}
		})
	}
}

func checkX64(t *testing.T, m *machine.Machine, tr *truth) {
	t.Helper()
	if len(m.CPUs) != len(tr.CPUs) {
		t.Fatalf("%d CPUs, want %d", len(m.CPUs), len(tr.CPUs))
	}
	for i, w := range tr.CPUs {
		got := m.CPUs[i].State
		if got == nil || m.CPUs[i].Index != i {
			t.Fatalf("CPU %d is not there", i)
		}
		want := cpu.Values{cpu.RAX: uint64(w.RAX), cpu.RBX: uint64(w.RBX), cpu.RCX: uint64(w.RCX), cpu.RDX: uint64(w.RDX),
			cpu.RSI: uint64(w.RSI), cpu.RDI: uint64(w.RDI), cpu.RSP: uint64(w.RSP), cpu.RBP: uint64(w.RBP),
			cpu.R8: uint64(w.R8), cpu.R9: uint64(w.R9), cpu.R10: uint64(w.R10), cpu.R11: uint64(w.R11),
			cpu.R12: uint64(w.R12), cpu.R13: uint64(w.R13), cpu.R14: uint64(w.R14), cpu.R15: uint64(w.R15),
			cpu.RIP: uint64(w.RIP), cpu.RFLAGS: uint64(w.RFLAGS),
			cpu.CR0: uint64(w.CR[0]), cpu.CR2: uint64(w.CR[2]), cpu.CR3: uint64(w.CR[3]), cpu.CR4: uint64(w.CR[4]), cpu.KernelGSBase: uint64(w.KernelGSBase)}
		for r, v := range want {
			if !got.Known(r) || got.Get(r) != v {
				t.Errorf("CPU %d: %s is %#x, want %#x", i, cpu.X64.RegName(r), got.Get(r), v)
			}
		}
		for r, s := range map[cpu.Reg]segmentTruth{cpu.CS: w.CS, cpu.DS: w.DS, cpu.ES: w.ES, cpu.FS: w.FS, cpu.GS: w.GS, cpu.SS: w.SS, cpu.LDT: w.LDT, cpu.TR: w.TR, cpu.GDT: w.GDT, cpu.IDT: w.IDT} {
			if g := got.Segment(r); g != (cpu.Segment{Selector: uint32(s.Selector), Limit: uint32(s.Limit), Flags: uint32(s.Flags), Base: uint64(s.Base)}) {
				t.Errorf("CPU %d: %s is %+v, want %+v", i, cpu.X64.RegName(r), g, s)
			}
		}
		// What a core does not carry is there too.
		for _, r := range []cpu.Reg{cpu.EFER, cpu.LSTAR, cpu.DR7, cpu.MXCSR, cpu.FCW, cpu.XMM0, cpu.ST0} {
			if !got.Known(r) {
				t.Errorf("CPU %d: %s is not known", i, cpu.X64.RegName(r))
			}
		}
		if got.Get(cpu.EFER)&longMode == 0 || got.Get(cpu.MXCSR)&^0xffff != 0 {
			t.Errorf("CPU %d: EFER %#x, MXCSR %#x", i, got.Get(cpu.EFER), got.Get(cpu.MXCSR))
		}
	}
}

// TestCorpusPacked: libvirt's header with a packed stream is refused by what it is
// packed with; unpacked in place it is the same guest.
func TestCorpusPacked(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm", "libvirt-zstd")
	tr := corpustest.ReadJSON[truth](t, filepath.Join(dir, "truth.json"))
	s := fileSource(t, corpustest.File(t, filepath.Join(dir, "mini.save.zst")))
	if _, err := Open(context.Background(), s, machine.Options{}); !fault.Is(err, fault.Packed) {
		t.Fatal(err)
	}
	w, err := Unwrap(s)
	if err != nil || w.Packing != "zstd" || !strings.Contains(w.XML, "<name>mini</name>") {
		t.Fatal(err, w.Packing)
	}
	head := make([]byte, w.Stream)
	if err := s.Full(head, 0); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(io.NewSectionReader(s, w.Stream, s.Size-w.Stream), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	stream, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openBytes(append(head, stream...))
	if err != nil || len(m.Warnings) > 0 {
		t.Fatal(err, m.Warnings)
	}
	for _, r := range tr.ELF.RAM {
		start, _ := strconv.ParseUint(r[0], 0, 64)
		bytes, _ := strconv.ParseUint(r[1], 0, 64)
		if got := hashOf(t, m.Mem, mem.PA(start), bytes, true); got != r[2] {
			t.Errorf("memory at %s: %s, want %s", r[0], got, r[2])
		}
	}
	checkX64(t, m, tr)
}

// TestCorpusARM64: memory and registers of an ARM64 guest's state, of which no
// dump is made yet.
func TestCorpusARM64(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm", "arm64-cpu4")
	tr := corpustest.ReadJSON[truth](t, filepath.Join(dir, "truth.json"))
	s := fileSource(t, corpustest.File(t, filepath.Join(dir, "state.qevm.zst")))
	st := &state{source: s, machine: &machine.Machine{}}
	if err := st.read(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := st.open(context.Background()); err != nil && !fault.Is(err, fault.UnsupportedCPU) {
		t.Fatal(err)
	}
	// The core's memory, whose processor is not read either, page by page.
	core, _ := elfcore.Open(context.Background(), fileSource(t, corpustest.File(t, filepath.Join(dir, "core.elf.zst"))), machine.Options{})
	if core == nil || core.Mem == nil || st.machine.Mem == nil {
		t.Fatal("no memory")
	}
	const base, bytes = 1 << 30, 64 << 20
	if a, b := hashOf(t, st.machine.Mem, base, bytes, true), hashOf(t, core.Mem, base, bytes, true); a != b {
		t.Errorf("memory %s, the core's %s", a, b)
	}
	for i, w := range tr.CPUs {
		v := cpu.Values{cpu.ArmSP: uint64(w.SP), cpu.ArmPC: uint64(w.PC), cpu.PSTATE: uint64(w.PState), cpu.SPEL0: uint64(w.SPEL0), cpu.SPEL1: uint64(w.SPEL1),
			cpu.TTBR0: uint64(w.TTBR0), cpu.TTBR1: uint64(w.TTBR1), cpu.TCR: uint64(w.TCR), cpu.MAIR: uint64(w.MAIR), cpu.VBAR: uint64(w.VBAR),
			cpu.SCTLR: uint64(w.SCTLR), cpu.CPACR: uint64(w.CPACR), cpu.TPIDREL0: uint64(w.TPIDREL0), cpu.TPIDRROEL0: uint64(w.TPIDRRO), cpu.TPIDR: uint64(w.TPIDR),
			cpu.FPCR: uint64(w.FPCR), cpu.FPSR: uint64(w.FPSR)}
		for k, x := range w.X {
			v[cpu.X0+cpu.Reg(k)] = uint64(x)
		}
		for k, x := range w.V {
			v[cpu.V0+cpu.Reg(2*k)], v[cpu.V0+cpu.Reg(2*k)+1] = uint64(x[0]), uint64(x[1])
		}
		got := st.states[uint32(i)]
		if got == nil {
			t.Fatalf("CPU %d is not there", i)
		}
		for r, want := range v {
			if !got.Known(r) || got.Get(r) != want {
				t.Errorf("CPU %d: %s is %#x (known %v), want %#x", i, cpu.ARM64.RegName(r), got.Get(r), got.Known(r), want)
			}
		}
	}
}
