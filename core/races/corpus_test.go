package races

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/linux"
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

// locate finds the kernel of a case.
func locate(t testing.TB, name string, o linux.Options) *linux.Kernel {
	t.Helper()
	k, err := linux.Locate(context.Background(), core(t, name), o)
	if err != nil {
		t.Fatalf("Locate: %v", err)
	}
	return k
}

// hex64 is a number that the truth spells as a string.
type hex64 uint64

func (h *hex64) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 0, 64)
	*h = hex64(n)
	return err
}

// truth is what crash, drgn and gdb read from a case.
type truth struct {
	Symbols  map[string]hex64
	SlotsLen int   `json:"other_infos_len"`
	TimesLen int   `json:"report_times_len"`
	Jiffies  hex64 `json:"jiffies_64"`
	Config   map[string]string
	Slots    []struct {
		Index    int
		Live     bool
		Ptr      hex64
		Size     uint64
		Type     uint32 `json:"access_type"`
		PID      int    `json:"task_pid"`
		CPU      int    `json:"cpu_id"`
		IP       *hex64
		NumStack int `json:"num_stack_entries"`
		Task     hex64
		Stack    []hex64
		StackSym []string `json:"stack_sym"`
	} `json:"other_infos_nonempty"`
	Times []struct {
		Index          int
		Time           hex64
		Frame1, Frame2 hex64
	} `json:"report_times_used"`
	Watchpoints []struct {
		Index   int
		Raw     hex64
		State   string
		IsWrite bool `json:"is_write"`
		Size    uint64
		Masked  hex64  `json:"addr_masked"`
		Full    *hex64 `json:"addr_sign_extended"`
	} `json:"watchpoints_nonzero"`
	Counters map[string]int64 `json:"kcsan_counters"`
}

func readTruth(t testing.TB, name string) *truth {
	t.Helper()
	return corpustest.ReadJSON[truth](t, filepath.Join(corpustest.KCSAN(t), name, "truth.json"))
}
