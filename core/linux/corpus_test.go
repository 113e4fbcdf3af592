package linux

import (
	"context"
	"path/filepath"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// core opens a case's core.
func core(t testing.TB, name string) *machine.Machine {
	t.Helper()
	r, size := corpustest.KCSANCore(t, name)
	m, err := elfcore.Open(context.Background(), source.Source{ReaderAt: r, Size: size, Name: "core.elf"}, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
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
	return corpustest.ReadJSON[truth](t, filepath.Join(corpustest.KCSAN(t), name, "truth.json"))
}
