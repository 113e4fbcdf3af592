package main

import (
	"os"
	"syscall"
)

// inMemory are the file systems whose files are in memory, by their magic
// (linux/magic.h).
var inMemory = map[int64]string{0x01021994: "tmpfs", 0x858458f6: "ramfs"}

// volumeOf gives the file system that a file is on; false: it cannot be told.
func volumeOf(f *os.File) (volume, bool) {
	var s syscall.Statfs_t
	if syscall.Fstatfs(int(f.Fd()), &s) != nil {
		return volume{}, false
	}
	// The types of the fields differ between processors.
	block := int64(s.Bsize)
	return volume{free: int64(s.Bavail) * block, size: int64(s.Blocks) * block, memory: inMemory[int64(s.Type)&0xffffffff]}, true
}
