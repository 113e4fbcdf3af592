package find_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
	"coredrop/server/corpustest"
)

// hexNumber is a number written as "0x…".
type hexNumber uint64

func (h *hexNumber) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(b), `"`), 0, 64)
	*h = hexNumber(n)
	return err
}

// truth is the part of truth.json that is compared.
type truth struct {
	Expect struct {
		KernelBase    hexNumber `json:"kernel_base"`
		DTB           hexNumber `json:"dtb"`
		DTBFrom       string    `json:"dtb_from"`
		ProductType   uint32    `json:"nt_product_type"`
		SuiteMask     hexNumber `json:"suite_mask"`
		SystemTime    hexNumber `json:"system_time"`
		InterruptTime hexNumber `json:"interrupt_time"`
		Build         uint32    `json:"nt_build"`
		SizeOfImage   uint32    `json:"size_of_image"`
		PDB           struct {
			Name string `json:"name"`
			Key  string `json:"symbol_key"`
		} `json:"pdb"`
		Symbols map[string]hexNumber `json:"symbols"`
		KDBG    struct {
			Encoded bool   `json:"encoded"`
			Size    uint32 `json:"size"`
			Plain   string `json:"plain_hex"`
		} `json:"kdbg"`
		Version string      `json:"kd_version_block_hex"`
		PRCB    []hexNumber `json:"prcb"`
		Context []struct {
			VA hexNumber `json:"va"`
		} `json:"context"`
		Modules []struct {
			Name string    `json:"name"`
			Base hexNumber `json:"base"`
			Size uint32    `json:"size"`
		} `json:"modules"`
		Processes []struct {
			Name string    `json:"name"`
			PID  hexNumber `json:"pid"`
			DTB  hexNumber `json:"dtb"`
		} `json:"processes"`
		BugCheck []hexNumber `json:"bugcheck"`
	} `json:"expect"`
	CPUs []struct {
		Mode string `json:"mode"`
	} `json:"cpus"`
	Upstream struct {
		Exit int `json:"exit"`
	} `json:"upstream"`
}

// unpack writes a case's core sparsely to a temporary file and opens it. read
// counts the bytes read of it.
func unpack(t *testing.T, dir string) (src source.Source, read *int64) {
	out := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
	info, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{r: out}
	return source.Source{ReaderAt: c, Size: info.Size(), Name: filepath.Base(dir)}, &c.bytes
}

// counted counts the bytes read.
type counted struct {
	r     io.ReaderAt
	bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

// storeOf is a symbol store in a directory.
type storeOf struct {
	dir   string
	t     testing.TB
	asked int
}

func (s *storeOf) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	s.asked++
	name := filepath.Join(s.dir, cv.Name, cv.Key(), cv.Name)
	f, err := os.Open(name)
	if err != nil {
		return nil, pdb.Origin{}, fault.Wrap(err, fault.SymbolsNotFound, "no symbol store has %s", cv.Key())
	}
	s.t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	file, err := pdb.Open(f, info.Size())
	return file, pdb.Origin{Kind: pdb.FromStore, Name: name}, err
}

func TestCorpus(t *testing.T) {
	dir := corpustest.Dir(t, "windows")
	entries, err := os.ReadDir(filepath.Join(dir, "windows"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			caseDir := filepath.Join(dir, "windows", e.Name())
			if _, err := os.Stat(filepath.Join(caseDir, "core.elf.zst")); err != nil {
				t.Skip("not an ELF core")
			}
			if testing.Short() && strings.HasPrefix(e.Name(), "05") {
				t.Skip("4.8 GB to unpack")
			}
			want := corpustest.ReadJSON[truth](t, filepath.Join(caseDir, "truth.json"))
			src, read := unpack(t, caseDir)
			store := &storeOf{dir: filepath.Join(dir, "symbols"), t: t}
			for _, o := range []struct {
				name string
				find.Options
			}{
				{"with the PDB", find.Options{Symbols: store}},
				{"without symbols", find.Options{}},
				{"compat", find.Options{Symbols: store, Compat: true}},
			} {
				t.Run(o.name, func(t *testing.T) {
					m, err := elfcore.Open(context.Background(), src, machine.Options{})
					if err != nil {
						t.Fatal(err)
					}
					*read = 0
					var lines []string
					o.Sink = progress.Sink{OnLine: func(l string) { lines = append(lines, l) }}
					k, err := find.Locate(context.Background(), m, o.Options)
					if o.Compat && want.Upstream.Exit != 0 {
						if err == nil {
							t.Errorf("found, but upstream finds nothing")
						}
						return
					}
					if err != nil {
						t.Fatalf("%v\n%s\n%q", err, strings.Join(lines, "\n"), fault.As(err).Remedy())
					}
					compareTruth(t, k, want, o.Options)
					wantLines(t, strings.Join(lines, "\n"), k, o.Options)
					t.Logf("%d bytes read, warnings %v", *read, k.Warnings)
					if *read > 32<<20 {
						t.Errorf("%d bytes of the file read, more than 32 MiB", *read)
					}
				})
			}
		})
	}
}

// wantLines demands the steps and their values in the log.
func wantLines(t *testing.T, log string, k *windows.Kernel, o find.Options) {
	t.Helper()
	x := k.Machine.CPUs[0].State
	want := []string{
		fmt.Sprintf("cr3 %#x", x.Get(cpu.CR3)), fmt.Sprintf("idt %#x", x.Get(cpu.IDTBase)), "gate 0 leads to 0xfffff80",
		fmt.Sprintf("page-table base %#x from %s", uint64(k.DTB), k.DTBFrom), "kernel base " + k.Image.Base.String(),
		"debug directory 0xfffff80", "RSDS", k.PDB.Name, k.PDB.Key(), "debugger block at " + k.KDBG.VA.String(),
	}
	if o.Symbols != nil {
		want = append(want, "KdDebuggerDataBlock = 0x", "KdVersionBlock = 0x")
		if k.KDBG.Encoded {
			want = append(want, "KiWaitNever at 0x", "KiWaitAlways at 0x")
		}
	}
	for _, w := range want {
		if !strings.Contains(log, w) {
			t.Errorf("%q is not in the log:\n%s", w, log)
		}
	}
}

func compareTruth(t *testing.T, k *windows.Kernel, w *truth, o find.Options) {
	t.Helper()
	e := &w.Expect
	equal := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s: got %s, want %s", what, g, w)
		}
	}
	equal("kernel base", k.Image.Base, mem.VA(e.KernelBase))
	equal("size of image", k.Image.SizeOfImage, e.SizeOfImage)
	equal("dtb", k.DTB, mem.PA(e.DTB))
	equal("header dtb", k.HeaderDTB, mem.PA(e.DTB))
	equal("dtb from", k.DTBFrom.String(), e.DTBFrom)
	equal("pdb", k.PDB.Name+" "+k.PDB.Key(), e.PDB.Name+" "+e.PDB.Key)
	equal("kdbg", k.KDBG.VA, mem.VA(e.Symbols["KdDebuggerDataBlock"]))
	equal("kdbg size", k.KDBG.Size, e.KDBG.Size)
	equal("kdbg encoded", k.KDBG.Encoded, e.KDBG.Encoded)
	equal("kdbg plain", hex.EncodeToString(k.KDBG.Plain), e.KDBG.Plain)
	equal("product", k.Shared.ProductType, e.ProductType)
	equal("suite", k.Shared.SuiteMask, uint32(e.SuiteMask))
	equal("build", k.Shared.Build, e.Build)
	equal("system time", k.Shared.SystemTime, uint64(e.SystemTime))
	equal("interrupt time", k.Shared.InterruptTime, uint64(e.InterruptTime))
	equal("version block", k.Version.VA, mem.VA(e.Symbols["KdVersionBlock"]))
	v := k.Version
	equal("version", fmt.Sprintf("%04x %04x %02x %02x %04x %04x %x %x %x", v.Major, v.Minor, v.Protocol, v.KdSecondaryVersion, v.Flags, v.MachineType, v.KernBase, v.PsLoadedModuleList, v.DebuggerDataList), versionText(t, e.Version))
	found, from, status := windows.FoundByPDB, "pdb", windows.SymbolsFound
	if o.Symbols == nil {
		status, found = windows.SymbolsNoneNeeded, windows.FoundByPlain
		if e.KDBG.Encoded {
			found = windows.FoundByKnownPlaintext
		}
		equal("encoded flag", k.EncodedFlag, mem.VA(0))
	} else {
		equal("encoded flag", k.EncodedFlag, mem.VA(e.Symbols["KdpDataBlockEncoded"]))
		if !strings.Contains(k.SymbolsFrom.Name, from) {
			t.Errorf("symbols from %q", k.SymbolsFrom)
		}
	}
	equal("found by", k.KDBG.FoundBy, found)
	equal("symbols", k.SymbolsStatus, status)

	equal("number of processors", len(k.Processors), len(e.PRCB))
	for i, p := range k.Processors {
		equal("prcb", p.PRCB, mem.VA(e.PRCB[i]))
		equal("context", p.Context, mem.VA(e.Context[i].VA))
		equal("cpu", p.CPU, i)
		equal("context error", p.Err, nil)
	}
	equal("number of modules", len(k.Modules), len(e.Modules))
	for i, m := range k.Modules {
		w := e.Modules[i]
		m.Exceptions, m.ExceptionBytes = 0, 0 // the truth has nothing about them
		equal("module", m, windows.Module{Name: w.Name, Base: mem.VA(w.Base), Size: w.Size})
	}
	equal("number of processes", len(k.Processes), len(e.Processes))
	for i, p := range k.Processes {
		w := e.Processes[i]
		equal("process", p, windows.Process{Name: w.Name, PID: uint64(w.PID), DTB: mem.PA(w.DTB), Links: p.Links, EPROCESS: p.EPROCESS})
		equal("process's links", p.Links-p.EPROCESS, mem.VA(0x448)) // as all guests of the corpus have them
	}
	if e.BugCheck[0] == 0 {
		equal("bug check", k.BugCheck, (*windows.BugCheck)(nil))
	} else if b := k.BugCheck; b == nil || uint64(b.Code) != uint64(e.BugCheck[0]) {
		t.Errorf("bug check %v, want %v", b, e.BugCheck)
	} else {
		for i, p := range b.Parameters {
			equal("bug check parameter", p, uint64(e.BugCheck[i+1]))
		}
		if !o.Compat {
			equal("bug checking cpu", w.CPUs[k.OpensCPU()].Mode, "bug")
		}
	}
	if !o.Compat {
		for _, w := range k.Warnings {
			t.Errorf("unexpected warning: %v", w)
		}
	}
	equal("root", k.Space.Root, k.DTB)
	equal("memory", k.Space.Phys, k.Machine.Mem)
}

// versionText reads the truth's version block by literal offsets.
func versionText(t *testing.T, text string) string {
	p, err := hex.DecodeString(text)
	if err != nil || len(p) != 40 {
		t.Fatalf("version block %q", text)
	}
	le := func(off, n int) (v uint64) {
		for i := n - 1; i >= 0; i-- {
			v = v<<8 | uint64(p[off+i])
		}
		return v
	}
	return fmt.Sprintf("%04x %04x %02x %02x %04x %04x %x %x %x", le(0, 2), le(2, 2), p[4], p[5], le(6, 2), le(8, 2), le(16, 8), le(24, 8), le(32, 8))
}
