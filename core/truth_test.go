package core

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"coredrop/server/corpustest"
)

// number is a 64-bit quantity of truth.json: "0x…" or a JSON number.
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

// segment is a segment register in truth.json.
type segment struct {
	Selector, Limit, Flags, Base number
}

// truth is what the corpus knows of a case.
type truth struct {
	CPUs []struct {
		Mode                                                                              string
		RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP number
		RFLAGS                                                                            number
		CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT                                         segment
		CR                                                                                []number
	}
	Expect struct {
		KernelBase    number `json:"kernel_base"`
		PagingLevels  int    `json:"paging_levels"`
		DTB           number
		DTBFrom       string `json:"dtb_from"`
		ProductType   number `json:"nt_product_type"`
		SuiteMask     number `json:"suite_mask"`
		SystemTime    number `json:"system_time"`
		InterruptTime number `json:"interrupt_time"`
		Build         number `json:"nt_build"`
		PDB           struct {
			Name, GUID string
			Age        uint32
			SymbolKey  string `json:"symbol_key"`
		}
		Symbols map[string]number
		KDBG    struct {
			Encoded bool
			Size    uint32
			Plain   string `json:"plain_hex"`
		}
		Version []uint32
		Machine number
		PRCB    []number
		Context []struct{ VA, PA number }
		Modules []struct {
			Name string
			Base number
			Size uint32
		}
		Processes []struct {
			Name     string
			PID, DTB number
		}
		BugCheck  []number
		PFN       number      `json:"mm_pfn_database"`
		UnionRuns [][2]number `json:"union_runs"`
	}
	Upstream struct {
		Exit   int
		SHA256 string `json:"dmp_sha256"`
		Size   int64  `json:"dmp_size"`
	}
}

func readTruth(t testing.TB, dir string) *truth {
	t.Helper()
	return corpustest.ReadJSON[truth](t, filepath.Join(dir, "truth.json"))
}
