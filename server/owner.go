//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// sameGroup reports whether a file belongs to the group that another one does.
func sameGroup(path string, as fs.FileInfo) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	mine, ok := info.Sys().(*syscall.Stat_t)
	other, same := as.Sys().(*syscall.Stat_t)
	return ok && same && mine.Gid == other.Gid
}
