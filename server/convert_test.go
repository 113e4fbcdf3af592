package main

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
)

// watchedWriter calls seen with everything that is written.
type watchedWriter struct {
	bytes.Buffer
	seen func(string)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.seen(string(p))
	return w.Buffer.Write(p)
}

func demoCoreFile(t *testing.T) string {
	t.Helper()
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "demo.elf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCtrlCAtEachStepLeavesNothing(t *testing.T) {
	core := demoCoreFile(t)
	// The steps are the lines of -v: as many runs as there are lines.
	steps := 0
	all := &watchedWriter{seen: func(string) { steps++ }}
	if code := run(t.Context(), []string{"convert", "-v", "-symbols", "none", core, filepath.Join(t.TempDir(), "out.dmp")}, nil, io.Discard, all); code != exitDone {
		t.Fatalf("exit code %d: %s", code, all)
	}
	if steps < 8 {
		t.Fatalf("only %d steps", steps)
	}
	for _, stop := range []int{1, steps / 3, steps / 2, steps - 2, steps - 1} {
		dir := t.TempDir()
		out := filepath.Join(dir, "out.dmp")
		if err := os.WriteFile(out, []byte(oldDump), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		errs := &watchedWriter{seen: func(string) {
			if n++; n == stop {
				cancel()
			}
		}}
		code := run(ctx, []string{"convert", "-v", "-symbols", "none", core, out}, nil, io.Discard, errs)
		cancel()
		if code != exitFailed || !strings.Contains(errs.String(), "coredrop: error: cancelled; nothing was saved or sent [cancelled]") {
			t.Errorf("cancelled at line %d of %d: exit code %d\n%s", stop, steps, code, errs)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != oldDump {
			t.Errorf("the old output holds %d bytes: %v", len(got), err)
		}
		if list := names(t, dir); len(list) != 1 {
			t.Errorf("left behind: %v", list)
		}
	}
}

func TestCoreThatChangesIsRefused(t *testing.T) {
	core := demoCoreFile(t)
	dir := t.TempDir()
	once := false
	errs := &watchedWriter{seen: func(line string) {
		if strings.Contains(line, "of the core from") && !once {
			once = true
			f, err := os.OpenFile(core, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.WriteString("more"); err != nil {
				t.Error(err)
			}
		}
	}}
	code := run(t.Context(), []string{"convert", "-v", "-symbols", "none", core, filepath.Join(dir, "out.dmp")}, nil, io.Discard, errs)
	if code != exitFailed || !strings.Contains(errs.String(), "[file-changed]") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	if list := names(t, dir); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestPermissionHasACodeOfItsOwn(t *testing.T) {
	err := inputError("core", &fs.PathError{Op: "open", Path: "core", Err: fs.ErrPermission})
	if !fault.Is(err, fault.NoPermission) {
		t.Errorf("got %v", err)
	}
	if hints := strings.Join(fault.As(err).Remedy(), " "); !strings.Contains(hints, "chmod") {
		t.Errorf("no way out: %s", hints)
	}
}

func TestMessagesCannotSteerTheTerminal(t *testing.T) {
	var out strings.Builder
	fail(&out, fault.New(fault.SymbolsMismatch, "belongs to \x1b[2J\u009b31m\nnt").Hint("a\rb"))
	if strings.ContainsAny(out.String(), "\x1b\r\u009b") || strings.Count(out.String(), "\n") != strings.Count(out.String(), "coredrop: ") {
		t.Errorf("%q", out.String())
	}
}

func TestTerminalShowsCountsRateAndTimeLeft(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	term := &terminal{w: &out, log: &out, now: func() time.Time { return now }}
	sink := term.sink()
	sink.Report("writing", 0, 4_800_000_000)
	now = now.Add(50 * time.Millisecond)
	sink.Report("writing", 1, 4_800_000_000) // too soon: not drawn
	now = now.Add(1950 * time.Millisecond)
	sink.Report("writing", 1_200_000_000, 4_800_000_000)
	sink.Logf("a line")
	const longest = "writing  25%  1.2 GB of 4.8 GB  600 MB/s  6s left"
	want := "\rwriting   0%  0 bytes of 4.8 GB" +
		"\r" + longest +
		"\r" + strings.Repeat(" ", len(longest)) + "\ra line\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
	out.Reset()
	term = newTerminal(&out, false)
	if term.sink().Report("writing", 1, 2); out.Len() > 0 {
		t.Errorf("drawn where there is no terminal: %q", out.String())
	}
}
