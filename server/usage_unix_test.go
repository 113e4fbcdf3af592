//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// used gives how many bytes of disk a file takes.
func used(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512 // stat(2) counts so everywhere
}

// peakOf is a program that runs another one and ends its standard error with the largest
// resident size that it had, in bytes. It stands between because a process begins with
// the largest size of the one that starts it, and the tests are large.
func peakOf() {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	if c.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	size := int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // which counts bytes; Linux KiB: getrusage(2)
		size <<= 10
	}
	fmt.Fprintf(os.Stderr, "\n%d", size)
	os.Exit(c.ProcessState.ExitCode())
}

// measured runs a program, and gives the largest resident size that it had, in bytes.
func measured(t testing.TB, name string, args ...string) (stdout []byte, size int64) {
	t.Helper()
	c := exec.Command("peak", append([]string{name}, args...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	stdout, err := c.Output()
	said := errs.Bytes()
	i := bytes.LastIndexByte(said, '\n')
	if _, scanErr := fmt.Sscan(string(said[i+1:]), &size); err != nil || scanErr != nil {
		t.Fatalf("%v, %v\n%s", err, scanErr, said)
	}
	return stdout, size
}
