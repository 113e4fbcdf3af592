package linux

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"coredrop/core/elfcore"
	"coredrop/core/machine"

	"github.com/klauspost/compress/zstd"
)

// corpus returns the folder of KCSAN cases, which lies beside the repository
// unless COREDROP_CORPUS says otherwise, or skips the test.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("COREDROP_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	dir = filepath.Join(dir, "kcsan")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus is not here (set COREDROP_CORPUS): %v", err)
	}
	return dir
}

// sparse is a file of which only the blocks that are not zero are held.
type sparse struct {
	blocks map[int64][]byte
	size   int64
}

const sparseBlock = 64 << 10

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < s.size {
		step := int(min(int64(len(p)-n), sparseBlock-off%sparseBlock, s.size-off))
		if b, ok := s.blocks[off/sparseBlock]; ok {
			copy(p[n:n+step], b[off%sparseBlock:])
		} else {
			clear(p[n : n+step])
		}
		n += step
		off += int64(step)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// unpack reads a case's core.
func unpack(t testing.TB, name string) *sparse {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus(t), name, "core.elf.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	s := &sparse{blocks: map[int64][]byte{}}
	buf := make([]byte, sparseBlock)
	for {
		n, err := io.ReadFull(z, buf)
		if n > 0 && len(bytes.TrimLeft(buf[:n], "\x00")) > 0 {
			s.blocks[s.size/sparseBlock] = append(bytes.Clone(buf[:n]), make([]byte, sparseBlock-n)...)
		}
		s.size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return s
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openMachine(t testing.TB, s *sparse) *machine.Machine {
	t.Helper()
	m, err := elfcore.Open(context.Background(), machine.Source{ReaderAt: s, Size: s.size, Name: "core.elf"}, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// allCases are the cores of the corpus.
var allCases = []string{
	"a-live", "b-live-la57", "c-live", "d-live", "a-novmci", "a-panic",
	"a-inflight-signal", "a-inflight-pending", "a-inflight-unknown",
	"b-inflight-verbose-la57", "b-inflight-filtered-la57", "d-inflight-signal",
}

var (
	coresMu sync.Mutex
	cores   = map[string]*sparse{}
)

// core unpacks a case once for all tests of the package.
func core(t testing.TB, name string) *machine.Machine {
	t.Helper()
	coresMu.Lock()
	defer coresMu.Unlock()
	if cores[name] == nil {
		cores[name] = unpack(t, name)
	}
	return openMachine(t, cores[name])
}

var kernels = map[string]*Kernel{}

// locate finds the kernel of a case; with the default options once for all tests.
func locate(t testing.TB, name string, o Options) *Kernel {
	t.Helper()
	standard := !o.IgnoreNote && !o.IgnoreInfo && !o.IgnoreKeys
	if k := kernels[name]; k != nil && standard {
		return k
	}
	k, err := Locate(context.Background(), core(t, name), o)
	if err != nil {
		t.Fatalf("Locate: %v", err)
	}
	if standard {
		kernels[name] = k
	}
	return k
}

// truth is what crash, drgn and gdb read from a case.
type truth struct {
	VMCoreInfoNote   map[string]string `json:"vmcoreinfo_note"`
	VMCoreInfoMemory map[string]string `json:"vmcoreinfo_in_memory"`
	KASLROffset      string            `json:"kaslr_offset"`
	PhysBase         string            `json:"phys_base"`
	Banner           string            `json:"banner"`
	UTSName          struct{ Release, Version string }
	Symbols          map[string]string
	Kallsyms         struct {
		NumSyms int    `json:"num_syms"`
		MD5     string `json:"md5_proc_format"`
	}
	Modules []struct {
		Name, Base string
		Size       uint64
	}
	StructLayout struct {
		Task struct{ Members map[string]float64 } `json:"task_struct"`
	} `json:"struct_layout"`
	CPUs []struct {
		CPU    int
		PID    int
		Comm   string
		Task   string
		RIPSym string `json:"rip_sym"`
	}
	Tasks  [][]any
	Printk struct {
		PRB      string
		Records  int
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
	}
	Capture *struct {
		CPUs []struct {
			FPWalk []string `json:"fp_walk"`
		}
	}
}

func readTruth(t testing.TB, name string) *truth {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpus(t), name, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v truth
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}
