//go:build unix

package main

import (
	"math"
	"syscall"
)

// descriptors gives how many files and connections this process may have open.
// Go has raised the limit to the hard one by now.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
