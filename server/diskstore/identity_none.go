//go:build !unix

package diskstore

import "io/fs"

// identity has nothing to tell files apart by: they are verified each time.
func identity(fs.FileInfo) (device, inode uint64, ok bool) { return 0, 0, false }
