//go:build !unix

package main

import "syscall"

// raise leaves the end to the exit code: there are no signals to die by.
func raise(syscall.Signal) {}

// syncDirectory has nothing to do: directories cannot be synced here.
func syncDirectory(string) {}
