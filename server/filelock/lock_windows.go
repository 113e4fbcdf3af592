// Package filelock tells the temporary files of programs that run from those of
// programs that died.
package filelock

import (
	"os"

	"golang.org/x/sys/windows"
)

// Works says whether this system has such locks.
const Works = true

// Try takes a file's lock, which ends with the file or the process; false: another
// has it. What is locked is one byte far behind any content, since Windows keeps
// others from what is locked.
func Try(f *os.File) bool {
	at := windows.Overlapped{OffsetHigh: 1<<31 - 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at) == nil
}
