//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// raise ends the process by a signal.
func raise(s syscall.Signal) {
	signal.Reset(s)
	if syscall.Kill(os.Getpid(), s) == nil {
		select {} // it is on its way
	}
}

// syncDirectory makes the name of a new file survive a power failure; the file
// is whole in either case, so an error is none of the user's.
func syncDirectory(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
