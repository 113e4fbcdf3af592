package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock takes a file's lock, which ends with the process; false: another has it.
// What is locked is one byte far behind any content, since Windows keeps others
// from what is locked.
func lock(f *os.File) bool {
	at := windows.Overlapped{OffsetHigh: 1<<31 - 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at) == nil
}
