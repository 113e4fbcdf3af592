package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/linux/linuxtest"
	"coredrop/core/summary"
)

// plainLinux writes a core of a Linux guest without KCSAN to a file.
func plainLinux(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain.core")
	if err := os.WriteFile(path, linuxtest.PlainCores()["qemu"], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInfoOfLinux: coredrop info says what went wrong in a Linux guest and what
// each CPU was doing, in words and as JSON.
func TestInfoOfLinux(t *testing.T) {
	path := plainLinux(t)
	var out, errs bytes.Buffer
	if code := runInfo(context.Background(), []string{path}, nil, &out, &errs); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for _, want := range []string{
		"guest: Linux 6.8.0-plain, ",
		"\nup: at least 7.25s, by the newest line of the log\n",
		"\npanic: Fatal exception\n",
		"\noops: BUG: kernel NULL pointer dereference, address: 0000000000000000, sysrq_handle_crash+0x8/0x50, at 7.000000 s by T3\n",
		"\ncpu 0: kernel mode, bash (3), default_idle+0x8/0x50\n",
		"\ncpu 1: kernel mode, sleep (4), panic+0x20/0x50\n",
		"\nlists: 1 module, 4 tasks\n",
		"\nkernel log: 4 records, printed by coredrop kcsan -log\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if code := runInfo(context.Background(), []string{"-json", path}, nil, &out, &errs); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var s summary.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Linux == nil || s.Linux.Panic != "Fatal exception" || len(s.CPUs) != 2 || len(s.CPUs[1].Stack) != 3 || s.Error == nil || s.Error.Code != "is-linux" {
		t.Errorf("%+v", s.Linux)
	}
}

// TestLogOfLinux: the log of a kernel without KCSAN is printed, and that it has no
// reports is no error.
func TestLogOfLinux(t *testing.T) {
	path := plainLinux(t)
	var out, errs bytes.Buffer
	if code := runKCSAN(context.Background(), []string{"-log", path}, nil, &out, &errs); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 5 || lines[3] != "[    7.250000] Kernel panic - not syncing: Fatal exception" {
		t.Errorf("%q", lines)
	}
	out.Reset()
	if code := runKCSAN(context.Background(), []string{path}, nil, &out, &errs); code != exitDone || !strings.Contains(out.String(), "reports: 0 printed") || !strings.Contains(errs.String(), "[no-kcsan]") {
		t.Errorf("exit %d\n%s\n%s", code, out.String(), errs.String())
	}
}

// TestVMLinuxFlag: -vmlinux is for cores; a file that does not belong to the core
// is named and not used, and the reports are printed all the same.
func TestVMLinuxFlag(t *testing.T) {
	path := plainLinux(t)
	notes := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(notes, []byte("a text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{[]string{"-vmlinux", notes, path}, exitDone, "warning: the file notes.txt is no vmlinux and no module"},
		{[]string{"-vmlinux", notes + ".missing", path}, exitFailed, "[input-unreadable]"},
		{[]string{"-vmlinux", path, notes}, exitDone, "[no-debug-info]"},
		{[]string{"-vmlinux", path, "-"}, exitUsage, "-vmlinux is for a core"},
	} {
		var out, errs bytes.Buffer
		if code := runKCSAN(context.Background(), c.args, strings.NewReader(""), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%q: exit %d, %s", c.args, code, errs.String())
		}
	}
}

// TestPlaceText writes frames: what was inlined has no offset of its own.
func TestPlaceText(t *testing.T) {
	for want, f := range map[string]summary.Frame{
		"0x10":           {Address: "0x10"},
		"f+0x2/0x8 [m]":  {Symbol: "f", Offset: 2, Size: 8, Module: "m"},
		"f+0x0/0x8":      {Symbol: "f", Size: 8},
		"g":              {Symbol: "g", Inline: true},
		"deep/inside(x)": {Symbol: "deep/inside(x)", Inline: true},
	} {
		if got := placeText(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
