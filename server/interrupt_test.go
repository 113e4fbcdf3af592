//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program gives a command that runs this test's binary as coredrop.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "coredrop")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, args...)
}

// After it has cleaned up, a command dies by the signal that ended it, so that a
// shell's loop ends too.
func TestTheSignalIsRaisedAgain(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // the tests run under nohup, and so would the program
		}
		c := program(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// It says so when it listens: the signal is caught by then.
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "serving on") {
			t.Fatal(line, err)
		}
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != s {
			t.Errorf("%v: ended with %v", s, c.ProcessState)
		}
	}
}

// What nohup ignores stays ignored.
func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	c := program(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none")
	sh := exec.Command("sh", "-c", `trap "" HUP; exec "$0" "$@"`)
	sh.Args = append(sh.Args, c.Args...)
	out, err := sh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		t.Skip(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "serving on") {
		t.Fatal(line, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := sh.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	sh.Wait()
	if status := sh.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", sh.ProcessState)
	}
}

// A FIFO that nobody writes to, a standard input that gives nothing and a reader
// that takes nothing do not hold what the first signal cancels.
func TestStuckInputsDoNotHoldTheFirstSignal(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, _ := io.Pipe()
	for _, args := range [][]string{{"kcsan", fifo}, {"kcsan", "-"}} {
		var out, errs strings.Builder
		if code := run(ctx, args, silent, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "[cancelled]") {
			t.Errorf("%v: exit %d: %s", args, code, &errs)
		}
	}
}

// While a reader takes nothing, convert to a pipe ends at once.
func TestAStuckReaderDoesNotHoldTheFirstSignal(t *testing.T) {
	_, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	stuck := &cancelling{writer, cancel}
	var errs strings.Builder
	code := run(ctx, []string{"convert", "-symbols", "none", demoCoreFile(t), "-"}, nil, stuck, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "[cancelled]") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

// cancelling cancels when it is written to, and then hangs.
type cancelling struct {
	io.Writer
	cancel func()
}

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return c.Writer.Write(p)
}

// A file size limit is an error with a code, and not a signal that kills.
func TestAFileSizeLimitIsAnError(t *testing.T) {
	dir := t.TempDir()
	c := program(t, "convert", "-symbols", "none", demoCoreFile(t), filepath.Join(dir, "out.dmp"))
	sh := exec.Command("sh", "-c", `ulimit -f 200 && exec "$0" "$@"`)
	sh.Args = append(sh.Args, c.Args...)
	out, err := sh.CombinedOutput()
	if sh.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "FAT32") || !strings.Contains(string(out), "[output-failed]") {
		t.Errorf("%v: %s", err, out)
	}
	if list := names(t, dir); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

// The device that is always full, as Linux has it.
func TestDevFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	core := demoCoreFile(t)
	for _, args := range [][]string{{"info", core}, {"info", "-json", core}, {"convert", "-symbols", "none", core, "-"}} {
		c := program(t, args...)
		c.Stdout = full
		var errs strings.Builder
		c.Stderr = &errs
		if c.Run(); c.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%v: %v %s", args, c.ProcessState, &errs)
		}
	}
}
