package bugcheck_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/windows/bugcheck"
	"coredrop/server/corpustest"
)

// rows reads a table's rows, by code.
func rows(t *testing.T, path string) map[uint32][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint32][]string{}
	for _, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		code, err := strconv.ParseUint(f[0], 0, 32)
		if err != nil || len(f) != 8 || out[uint32(code)] != nil {
			t.Fatalf("row %q: %v", line, err)
		}
		out[uint32(code)] = f
	}
	return out
}

// TestComplete looks up every code of the table, and of the corpus's where it
// is: names, kinds and parameters.
func TestComplete(t *testing.T) {
	tables := []string{"codes.tsv"}
	if dir, ok := corpustest.Find(t, "unwind/bugchecks.tsv"); ok {
		tables = append(tables, filepath.Join(dir, "unwind", "bugchecks.tsv"))
	}
	for _, path := range tables {
		list := rows(t, path)
		if len(list) < 427 {
			t.Errorf("%s has %d codes", path, len(list))
		}
		for code, f := range list {
			c, ok := bugcheck.Lookup(code)
			if !ok || c.Name != f[1] || c.Live != (f[2] == "live") {
				t.Errorf("%#x: %+v, want %q", code, c, f)
			}
			for i, p := range c.Parameters {
				want := f[4+i]
				switch {
				case strings.Join(f[4:], "") == "" && code>>28 == 1:
					continue // those of the code without the bit of small dumps
				case want == "" || want == "-":
					want = ""
				case p.Varies:
					p.Meaning = "?" + p.Meaning
				}
				if p.Meaning != want {
					t.Errorf("%#x parameter %d: %q, want %q", code, i+1, p.Meaning, want)
				}
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for code, name := range map[uint32]string{0x1000007e: "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED_M", 0x1000000a: "IRQL_NOT_LESS_OR_EQUAL"} {
		if c, ok := bugcheck.Lookup(code); !ok || c.Name != name || c.Parameters[1].Meaning == "" {
			t.Errorf("small dump's code %#x: %+v", code, c)
		}
	}
	if c, ok := bugcheck.Lookup(0xd1); !ok || !c.Parameters[3].Instruction() || c.Parameters[0].Instruction() {
		t.Errorf("0xd1: %+v", c)
	}
	for _, code := range []uint32{0, 0x12345678} {
		if c, ok := bugcheck.Lookup(code); ok {
			t.Errorf("%#x is %+v", code, c)
		}
	}
	if c, ok := bugcheck.Lookup(0x7f); !ok || !c.Parameters[1].Varies || c.Parameters[0].Varies {
		t.Errorf("0x7f: %+v", c)
	}
}
