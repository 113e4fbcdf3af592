package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"

	"coredrop/server/filelock"
)

// A temporary file has a name of one length, whatever the output is called, so
// that every name the file system allows can be written.
func tempName() string { return fmt.Sprintf(".coredrop-%016x.tmp", rand.Uint64()) }

var tempPattern = regexp.MustCompile(`^\.coredrop-[0-9a-f]{16}\.tmp$`)

// createNew makes a file that must not exist yet, with the permissions that the
// umask leaves of mode, and holds its lock as long as it is open.
func createNew(path string, mode fs.FileMode) (outFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	filelock.Try(f) // without a lock the file is only never swept
	return f, nil
}

// What permissions there are for the group and for others.
const (
	groupMode fs.FileMode = 0o070
	otherMode fs.FileMode = 0o007
)

// createFor makes the temporary file for a dump of in, nil where there is none.
// A group permission is one of the file's own group: where a new file gets
// another group than the core has, it may do no more than others may.
func createFor(in fs.FileInfo) func(path string, mode fs.FileMode) (outFile, error) {
	return func(path string, mode fs.FileMode) (outFile, error) {
		narrow := mode&^groupMode | mode&otherMode<<3&mode
		f, err := createNew(path, narrow)
		if err != nil || narrow == mode || in != nil && !sameGroup(path, in) {
			return f, err
		}
		f.Close() // nothing is in it
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		return createNew(path, mode)
	}
}

// sweep removes what killed runs left in a directory. Who writes a temporary
// file holds its lock, and the system lets go of it when the process ends: a
// file whose lock can be had is dead.
func sweep(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return // writing there will say why
	}
	for _, e := range list {
		if !tempPattern.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // another user's
		}
		// A file is locked a moment after it is made: one that is empty may be
		// at that moment.
		info, err := f.Stat()
		dead := err == nil && info.Size() > 0 && filelock.Try(f)
		f.Close() // Windows removes no file that is open
		if dead {
			os.Remove(path)
		}
	}
}
