//go:build unix

package main

import (
	"os"
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

// peakMemory gives the largest resident size of a process that has ended, in
// bytes. Linux counts in KiB (getrusage(2)), macOS in bytes.
func peakMemory(t testing.TB, p *os.ProcessState) int64 {
	t.Helper()
	peak := int64(p.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" {
		peak <<= 10
	}
	return peak
}
