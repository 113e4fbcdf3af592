package paging_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// place is an address and where in memory it is, as the guest itself said.
type place struct {
	what string
	va   mem.VA
	pa   mem.PA
}

// walks holds the translations of a core through each of its roots.
func walks(t *testing.T, path string, mode *paging.Mode, roots []uint64, places []place) {
	t.Helper()
	f := corpustest.File(t, path)
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// A core of a processor that cannot be converted is opened all the same.
	m, err := elfcore.Open(context.Background(), source.Source{ReaderAt: f, Size: st.Size()}, machine.Options{})
	if m == nil {
		t.Fatal(err)
	}
	if len(places) < 3 {
		t.Fatal("too few addresses: ", places)
	}
	for _, root := range roots {
		s := paging.New(m.Mem, root, mode)
		for _, p := range places {
			if pa, left, err := s.Translate(p.va); err != nil || pa != p.pa || left == 0 {
				t.Errorf("root %#x: %s at %v: %v %#x %v, want %v", root, p.what, p.va, pa, left, err, p.pa)
			}
		}
	}
}

// TestOtherProcessors walks the tables of an ARM64 guest and of a 32-bit one.
func TestOtherProcessors(t *testing.T) {
	walks(t, "testdata/arm64.elf.zst", paging.ARM64,
		// The root without and with the upper half's place in it, an ASID.
		[]uint64{0x40430000, 0x40430800, 0x4040b000, 0x2c00004040b800}, []place{
			{"KUSER_SHARED_DATA", 0xfffff78000000000, 0x40437000},
			{"debugger block", 0xfffff80267406e20, 0x40422e20}, {"its end", 0xfffff80267406e20 + 0x37f, 0x4040719f},
			{"context 0", 0xfffff802efd00ce0, 0x404b6ce0}, {"context 1", 0xffffd5812d3e0ce0, 0x404bfce0},
		})
	walks(t, "testdata/x86-pae.elf.zst", paging.X86PAE,
		[]uint64{0x185000, 0x185080}, []place{ // on a boundary of 32 bytes
			{"KUSER_SHARED_DATA", 0xffdf0000, 0x22b000},
			{"debugger block", 0x82616e20, 0x222e20}, {"its end", 0x82616e20 + 0x33f, 0x20715f},
			{"context 0", 0x82abdd38, 0x25bd38}, {"context 1", 0x85200e00, 0x235e00},
		})
}

// hex is a number as the truth has it.
type hex uint64

func (h *hex) UnmarshalText(p []byte) error {
	v, err := strconv.ParseUint(string(p), 0, 64)
	*h = hex(v)
	return err
}

// TestOtherProcessorsCorpus walks every core of the corpus's other processors to
// what its truth says.
func TestOtherProcessorsCorpus(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "arch"), "arch")
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	walked := 0
	for _, e := range list {
		path := filepath.Join(dir, e.Name(), "truth.json")
		if _, err := os.Stat(path); err != nil {
			continue // the symbol store
		}
		t.Run(e.Name(), func(t *testing.T) {
			truth := corpustest.ReadJSON[struct {
				Arch  string
				Roots map[string]hex
				VA    hex `json:"kusd_va"`
				PA    hex `json:"kusd_pa"`
				KDBG  struct {
					VA    hex
					Size  uint64
					First hex `json:"pa_first"`
					Last  hex `json:"pa_last"`
				}
				Context []struct{ VA, PA hex }
			}](t, path)
			places := []place{
				{"KUSER_SHARED_DATA", mem.VA(truth.VA), mem.PA(truth.PA)},
				{"debugger block", mem.VA(truth.KDBG.VA), mem.PA(truth.KDBG.First)},
				{"its end", mem.VA(truth.KDBG.VA) + mem.VA(truth.KDBG.Size-1), mem.PA(truth.KDBG.Last)},
			}
			for _, c := range truth.Context {
				places = append(places, place{"context", mem.VA(c.VA), mem.PA(c.PA)})
			}
			var roots []uint64
			for _, r := range truth.Roots {
				roots = append(roots, uint64(r))
			}
			mode := map[string]*paging.Mode{"arm64": paging.ARM64, "x86-pae": paging.X86PAE}[truth.Arch]
			if mode == nil || len(roots) == 0 {
				t.Fatalf("no mode for %q, or no roots: %v", truth.Arch, roots)
			}
			core := filepath.Join(dir, e.Name(), "core.elf.zst")
			walks(t, core, mode, roots, places)
		})
		walked++
	}
	if walked == 0 {
		t.Error("no core was walked")
	}
}
