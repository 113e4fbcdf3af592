package dmp_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/windows"
	"coredrop/server/corpustest"
)

// hex is a number written as "0x…".
type hex uint64

func (h *hex) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(b), `"`), 0, 64)
	*h = hex(n)
	return err
}

// crashTruth is the part of a crashed guest's truth.json that is compared.
type crashTruth struct {
	Crasher int `json:"crasher"`
	Expect  struct {
		SystemCR3 hex `json:"system_cr3"`
		BugCheck  []hex
		Context   []struct {
			VA                                                                                hex
			Flags                                                                             hex `json:"context_flags"`
			RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, RIP hex
			RFLAGS                                                                            hex
		}
		Processors []struct {
			Special struct{ CR0, CR2, CR3, CR4 hex } `json:"saved_special"`
		}
	}
	CPUs []struct{ RIP hex }
}

// TestBugCheckCorpus: crashed guests of the corpus open on the crasher, with
// every register as Windows recorded it.
func TestBugCheckCorpus(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "bugcheck"), "bugcheck")
	cases, err := os.ReadDir(dir)
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			w := corpustest.ReadJSON[crashTruth](t, filepath.Join(dir, c.Name(), "truth.json"))
			core, err := os.ReadFile(corpustest.File(t, filepath.Join(dir, c.Name(), "core.elf.zst")).Name())
			if err != nil {
				t.Fatal(err)
			}
			k, im, d := convert(t, core, nil, dmp.Options{})
			wantWarnings(t, append(k.Warnings, im.Warnings...), nil)
			if k.Opens.Choice != windows.ChoiceRecord || k.Opens.Index != w.Crasher {
				t.Errorf("%q", im.Opens)
			}
			for i, e := range w.Expect.Context {
				va, got := d.Context(i)
				if va != uint64(e.VA) {
					t.Errorf("processor %d: context at %#x", i, va)
				}
				records := map[string][]byte{"record": got}
				if i == w.Crasher {
					records["header"] = d.Header[0x348:]
				}
				for name, p := range records {
					if flags := binary.LittleEndian.Uint32(p[0x30:]); flags != uint32(e.Flags) || binary.LittleEndian.Uint32(p[0x44:]) != uint32(e.RFLAGS) {
						t.Errorf("processor %d, %s: flags %#x", i, name, flags)
					}
					for j, want := range []hex{e.RAX, e.RCX, e.RDX, e.RBX, e.RSP, e.RBP, e.RSI, e.RDI, e.R8, e.R9, e.R10, e.R11, e.R12, e.R13, e.R14, e.R15, e.RIP} {
						if v := binary.LittleEndian.Uint64(p[0x78+8*j:]); v != uint64(want) {
							t.Errorf("processor %d, %s: register %d is %#x, want %#x", i, name, j, v, uint64(want))
						}
					}
				}
				special := d.Bytes(d.Prcb(i)+uint64(k.KDBG.SpecialRegisters()), 0x20)
				s := w.Expect.Processors[i].Special
				for j, want := range []hex{s.CR0, s.CR2, s.CR3, s.CR4} {
					if v := binary.LittleEndian.Uint64(special[8*j:]); v != uint64(want) {
						t.Errorf("processor %d: control register %d of four is %#x, want %#x", i, j, v, uint64(want))
					}
				}
			}
			if rip := binary.LittleEndian.Uint64(d.Header[0x348+0xf8:]); rip == uint64(w.CPUs[w.Crasher].RIP) {
				t.Error("the header has the live registers")
			}
			if base := w.Expect.Processors[w.Crasher].Special.CR3; d.U64(0x10) != uint64(base) {
				t.Errorf("the header's base is %#x, want %#x", d.U64(0x10), uint64(base))
			}
		})
	}
}
