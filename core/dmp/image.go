package dmp

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

// Patch says which guest memory differs from the core's, and why.
type Patch struct {
	What  string // "KDBG decoded", "context of CPU 0", …
	PA    mem.PA
	Bytes int64
}

// The kinds of Image.Type.
const (
	TypeFull   = "full"
	TypeBitmap = "bitmap"
	TypeKernel = "kernel" // a bitmap dump of what kernel halves reach
	TypeTriage = "triage" // a minidump: pieces of memory by virtual address
)

// Image is a crash dump that was described, not written.
type Image struct {
	Type     string // one of the constants above
	Runs     []mem.Run
	Patches  []Patch
	Contexts map[int]mem.VA // by machine CPU: where its context record was written
	Shown    []Shown        // whose registers the dump has, by processor
	Opens    string         // the sentence: whose registers it opens with, and why; "" for elf2dmp's profile
	Warnings []fault.Warning
	// LeftOut is how many bytes of memory a kernel-only or a triage dump leaves out.
	LeftOut int64

	context []byte // in the header; nil: zeros
	pieces  []piece
	size    int64
	memory  mem.Physical // the core's memory, without the patches
}

// Size is the dump's length in bytes.
func (im *Image) Size() int64 { return im.size }

// ReadAt fills p with the dump's bytes from off on. It returns io.EOF with what
// is left when p reaches beyond the end; a core that gives fewer bytes than it
// announced is an error. Several goroutines may read at once.
func (im *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d in the dump", off)
	}
	done := 0
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].off+im.pieces[i].bytes > off })
	for ; done < len(p) && i < len(im.pieces); i++ {
		pc := im.pieces[i]
		within := off + int64(done) - pc.off
		n := int(min(int64(len(p)-done), pc.bytes-within))
		if err := im.readPiece(p[done:done+n], pc, within); err != nil {
			return done, err
		}
		done += n
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

func (im *Image) readPiece(p []byte, pc piece, within int64) error {
	switch {
	case pc.literal != nil:
		copy(p, pc.literal[within:])
		return nil
	case pc.partial:
		page, _, err := mem.ReadPage(im.memory, pc.pa)
		if err != nil {
			return unreadable(err, pc.pa)
		}
		copy(p, page[within:])
		return nil
	case pc.from.Origin == mem.Zero:
		clear(p)
		return nil
	}
	pa := pc.pa + mem.PA(within)
	if err := im.memory.ReadAt(p, pa); err != nil {
		return unreadable(err, pa)
	}
	return nil
}

// unreadable names a read of the core's memory that failed, unless the error
// has a code already.
func unreadable(err error, pa mem.PA) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Wrap(err, fault.FileChanged, "the file became shorter while it was being read: guest memory at %v is gone", pa)
	}
	return fault.Wrap(err, fault.InputUnreadable, "guest memory at %v could not be read: %v", pa, err)
}
