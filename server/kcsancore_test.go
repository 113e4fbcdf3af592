package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/summary"
)

// TestKCSANCore runs the subcommand on real cores: the text is a log with exactly
// the reports that the JSON has, and -log is the kernel's log.
func TestKCSANCore(t *testing.T) {
	for name, want := range map[string]summary.KCSAN{
		"a-panic":                  {Printed: 1},
		"a-inflight-pending":       {Pending: 1},
		"b-inflight-filtered-la57": {Suppressed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			file := unpackCore(t, "kcsan/"+name+"/core.elf.zst")
			code, out, errs := kcsanRun(t, "", "-json", file)
			var sum summary.Summary
			if err := json.Unmarshal([]byte(out), &sum); err != nil || code != exitDone {
				t.Fatalf("exit %d, %v, %s", code, err, errs)
			}
			got := *sum.Linux.KCSAN
			got.Residue = 0
			if got != want {
				t.Errorf("counts %+v, want %+v", got, want)
			}
			code, out, _ = kcsanRun(t, "", file)
			found := logtext.Parse(out)
			if code != exitDone || len(found) != 1 || found[0].Report == nil || found[0].Text() != sum.Reports[0].Text {
				t.Errorf("exit %d, %d reports in\n%s", code, len(found), out)
			}
			code, out, _ = kcsanRun(t, "", "-log", file)
			if n := strings.Count(out, "\n["); code != exitDone || n+1 < 80 || !strings.HasPrefix(out, "[    0.000000] Linux version 6.1.192") {
				t.Errorf("-log: exit %d, %d records, %.100q", code, n, out)
			}
		})
	}
}

// TestKCSANCoreOfWindows: the command says what the file is and what to do.
func TestKCSANCoreOfWindows(t *testing.T) {
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "core.elf")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := kcsanRun(t, "", file)
	if code != exitFailed || out != "" || !strings.Contains(errs, "[is-windows]") || !strings.Contains(errs, "coredrop convert") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31m\tb\u009b\nc"); got != "a?[31m\tb?\nc" {
		t.Errorf("%q", got)
	}
}
