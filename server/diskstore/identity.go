//go:build unix

package diskstore

import (
	"io/fs"
	"syscall"
)

// identity gives a file's device and inode.
func identity(info fs.FileInfo) (device, inode uint64, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(s.Dev), uint64(s.Ino), true // the width of both is the system's
}
