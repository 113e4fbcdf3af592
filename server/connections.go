//go:build unix

package main

import "syscall"

const (
	mostConnections = 1024
	// ownFiles is how many descriptors the program needs besides its clients':
	// those of its upstreams, of its stores and of itself.
	ownFiles = 64
)

// maxConnections is how many clients are served at a time: each may have a file
// open too.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections / 4
	}
	return max(16, min(mostConnections, (int(min(limit.Cur, 1<<20))-ownFiles)/2))
}
