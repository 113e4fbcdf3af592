//go:build js && wasm

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"syscall/js"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/summary"
)

const (
	sentinelBytes = 4096
	maxSentinels  = 600 // each costs a read of about a millisecond
)

// sentinels are pages of the file as they were when they were first seen, and
// the mark behind its end (see withMark in blobtree.js). They are read again
// before a dump is offered and on request: Firefox does not say that a file
// changed under it.
type sentinels struct {
	pages map[place][sha256.Size]byte
}

type place struct {
	in  *blobReader // the file, or the file with the mark
	off int64
}

// take remembers the pages at the offsets, as long as there is room.
func (s *sentinels) take(r *blobReader, offsets []int64) error {
	if s.pages == nil {
		s.pages = map[place][sha256.Size]byte{}
	}
	for _, off := range offsets {
		if _, ok := s.pages[place{r, off}]; ok || off < 0 || off >= r.size {
			continue
		}
		if len(s.pages) >= maxSentinels {
			return nil
		}
		sum, err := pageSum(r, off)
		if err != nil {
			return err
		}
		s.pages[place{r, off}] = sum
	}
	return nil
}

// check reads all of them again; file is where a change is noted.
func (s *sentinels) check(ctx context.Context, file *blobReader) error {
	for at, was := range s.pages {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		is, err := pageSum(at.in, at.off)
		if err == nil && is != was {
			err = fault.New(fault.FileChanged, "the file changed while it was being read: at %#x it is not what it was", at.off)
		}
		if err != nil {
			if fault.Is(err, fault.FileChanged) {
				file.changed = err
			}
			return err
		}
	}
	return nil
}

// What a line of a proof begins with: where its sentinel is.
const (
	inFile   = "file"
	inMarked = "marked" // the file with the mark behind its end
)

// proof gives the sentinels, one a line: where, offset, SHA-256. With them a worker
// that opens the file later can tell whether it is still what it was.
func (s *session) proof([]js.Value) (any, error) {
	return s.work(func(context.Context) (any, error) {
		var list []string
		for at, sum := range s.sentinels.pages {
			where := inFile
			if at.in == s.marked {
				where = inMarked
			}
			list = append(list, where+" "+strconv.FormatInt(at.off, 10)+" "+hex.EncodeToString(sum[:]))
		}
		return strings.Join(list, "\n"), nil
	})
}

// recall takes what proof gave, in place of what was just read of the open file.
// unchanged compares with it.
func (s *session) recall(args []js.Value) (any, error) {
	return s.work(func(context.Context) (any, error) {
		list := strings.Split(args[0].String(), "\n")
		if len(list) > maxSentinels {
			return nil, fault.New(fault.BadOption, "these are too many sentinels: %d", len(list))
		}
		for _, line := range list {
			where, rest, _ := strings.Cut(line, " ")
			offset, digits, _ := strings.Cut(rest, " ")
			in := map[string]*blobReader{inFile: s.file, inMarked: s.marked}[where]
			off, err := strconv.ParseInt(offset, 10, 64)
			sum, noHex := hex.DecodeString(digits)
			if in == nil || err != nil || noHex != nil || len(sum) != sha256.Size {
				return nil, fault.New(fault.BadOption, "these are no sentinels")
			}
			s.sentinels.pages[place{in, off}] = [sha256.Size]byte(sum)
		}
		return nil, nil
	})
}

func pageSum(r *blobReader, off int64) ([sha256.Size]byte, error) {
	page := make([]byte, min(sentinelBytes, r.size-off))
	if _, err := r.ReadAt(page, off); err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(page), nil
}

// fileEnds are the file's first and last page: a dump that still runs moves its
// end.
func fileEnds(size int64) []int64 {
	if size == 0 {
		return nil
	}
	return []int64{0, max(0, size-sentinelBytes)}
}

// runStarts are the first pages of the runs, evenly chosen where there are many.
func runStarts(sum *summary.Summary) []int64 {
	step := 1 + len(sum.Memory.Runs)/(maxSentinels/2)
	var list []int64
	for i := 0; i < len(sum.Memory.Runs); i += step {
		if at := sum.Memory.Runs[i].FileOffset; at != nil {
			list = append(list, *at)
		}
	}
	return list
}

// patchedPages are the originals of the pages the dump has changed: the pages
// that a wrong dump would come from first.
func patchedPages(im *dmp.Image, sum *summary.Summary) []int64 {
	var list []int64
	for _, p := range im.Patches {
		page := uint64(p.PA) &^ (sentinelBytes - 1)
		for _, run := range sum.Memory.Runs {
			start, err := strconv.ParseUint(run.Start, 0, 64)
			if err == nil && run.FileOffset != nil && page >= start && page-start < uint64(run.Bytes) {
				list = append(list, *run.FileOffset+int64(page-start))
				break
			}
		}
	}
	return list
}
