//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
)

// dataRange says that all is data: only Linux's way of asking is used.
func dataRange(_ *os.File, off, end int64) (data, hole int64) { return off, end }

// direct is not there: only Linux's way past the page cache is used.
type direct struct{}

func openDirect(outFile) *direct { return nil }

func (*direct) copy(io.ReaderAt, int64, int64, int64) error { return errors.ErrUnsupported }

func (*direct) close() {}

// kernelCopy leaves the copying to the caller.
func kernelCopy(*os.File, int64, *os.File, int64, int64) (int64, error) {
	return 0, errors.ErrUnsupported
}
