//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// openTerminal gives the user's side of a new terminal (pty(7)).
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	var locked, number uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(arg))); e != 0 {
			t.Skip(e)
		}
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { user.Close() })
	return user
}

// A dump is not poured over a terminal; what only looks like one takes it.
func TestADumpIsNotWrittenToATerminal(t *testing.T) {
	core := demoCoreFile(t)
	var errs strings.Builder
	code := run(t.Context(), []string{"convert", "-symbols", "none", core, "-"}, nil, openTerminal(t), &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "[output-terminal]") || !strings.Contains(errs.String(), "| gzip >") {
		t.Errorf("exit %d: %s", code, &errs)
	}
	errs.Reset()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if code := run(t.Context(), []string{"convert", "-symbols", "none", core, "-"}, nil, null, &errs); code != exitDone {
		t.Errorf("%s: exit %d: %s", filepath.Base(null.Name()), code, &errs)
	}
}
