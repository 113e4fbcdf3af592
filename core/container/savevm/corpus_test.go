package savevm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

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
				if len(m.Warnings) > 0 || m.Format != "savevm" || m.Arch != machine.X64 || m.MissingEnd != 0 {
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
		segment := func(s segmentTruth) machine.Segment {
			return machine.Segment{Selector: uint32(s.Selector), Limit: uint32(s.Limit), Flags: uint32(s.Flags), Base: uint64(s.Base)}
		}
		u := func(n number) uint64 { return uint64(n) }
		want := machine.X64State{System: true,
			RAX: u(w.RAX), RBX: u(w.RBX), RCX: u(w.RCX), RDX: u(w.RDX), RSI: u(w.RSI), RDI: u(w.RDI), RSP: u(w.RSP), RBP: u(w.RBP),
			R8: u(w.R8), R9: u(w.R9), R10: u(w.R10), R11: u(w.R11), R12: u(w.R12), R13: u(w.R13), R14: u(w.R14), R15: u(w.R15), RIP: u(w.RIP), RFLAGS: u(w.RFLAGS),
			CS: segment(w.CS), DS: segment(w.DS), ES: segment(w.ES), FS: segment(w.FS), GS: segment(w.GS), SS: segment(w.SS),
			LDT: segment(w.LDT), TR: segment(w.TR), GDT: segment(w.GDT), IDT: segment(w.IDT),
			CR0: u(w.CR[0]), CR2: u(w.CR[2]), CR3: u(w.CR[3]), CR4: u(w.CR[4]), KernelGSBase: u(w.KernelGSBase), HasKernelGSBase: true}
		if got := m.CPUs[i]; got.Index != i || got.X64 == nil || *got.X64 != want {
			t.Errorf("CPU %d: %+v\nwant %+v", i, got.X64, want)
		}
	}
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
