//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

// Package filelock has no way to prove here that a process is dead: nothing is
// ever locked.
package filelock

import "os"

// Works says whether this system has such locks.
const Works = false

// Try takes no lock.
func Try(*os.File) bool { return false }
