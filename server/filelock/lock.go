//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

// Package filelock tells the temporary files of programs that run from those of
// programs that died: who writes one holds its lock, and the system lets go of
// it when the process ends. It waits for nothing and shares no lock.
package filelock

import (
	"os"
	"syscall"
)

// Works says whether this system has such locks.
const Works = true

// Try takes a file's lock, which ends with the file or the process; false:
// another has it, or the file system has no locks.
func Try(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
