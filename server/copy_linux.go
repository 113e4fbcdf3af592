package main

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lseek's whence for sparse files (linux/fs.h).
const (
	seekData = 3
	seekHole = 4
)

// dataRange gives the first range of data at or behind off, cut at end: from
// off to data there is a hole. Where the file system knows no holes, all is data.
func dataRange(f *os.File, off, end int64) (data, hole int64) {
	data, err := syscall.Seek(int(f.Fd()), off, seekData)
	if err == syscall.ENXIO {
		return end, end // only a hole up to the end of the file
	}
	if err != nil {
		return off, end
	}
	hole, err = syscall.Seek(int(f.Fd()), data, seekHole)
	if err != nil || hole <= data {
		hole = end
	}
	return min(data, end), min(hole, end)
}

// noRoom reports whether writing failed for want of room, which no other way of
// copying helps.
func noRoom(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && (number == syscall.ENOSPC || number == syscall.EDQUOT || number == syscall.EFBIG)
}

// kernelCopy copies n bytes without bringing them here: File.ReadFrom uses
// copy_file_range. It gives how much it did; a *writeError is final, after any
// other error the rest may be copied another way.
func kernelCopy(out *os.File, to int64, in *os.File, from, n int64) (int64, error) {
	if _, err := in.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	if _, err := out.Seek(to, io.SeekStart); err != nil {
		return 0, err
	}
	done, err := out.ReadFrom(&io.LimitedReader{R: in, N: n})
	if err != nil {
		if noRoom(err) {
			return done, &writeError{err}
		}
		return done, err
	}
	if done < n {
		return done, io.ErrUnexpectedEOF
	}
	return done, nil
}
