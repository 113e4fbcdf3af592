package core

import (
	"context"
	"errors"
	"slices"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// demoLoad and demoStart say where the built-in core's memory begins: in the
// file, and in the guest (its one load).
const (
	demoLoad  = 0x790
	demoStart = 0x100000
	demoRoot  = 0x1ad000 // System's page tables
)

// withoutStates is a core whose CPU notes were lost: their name is another.
func withoutStates(t testing.TB, core []byte) []byte {
	t.Helper()
	out := slices.Clone(core)
	lost := 0
	for i := 0; i+16 < 64<<10 && i+16 < len(out); i++ {
		if string(out[i:i+5]) == "QEMU\x00" {
			copy(out[i:], "LOST\x00")
			lost++
		}
	}
	if lost == 0 {
		t.Fatal("the core has no CPU notes")
	}
	return out
}

// streaming is a source with a stream, as a browser's file has one; it counts
// what is read either way.
func streaming(s source.Source, streamed, read *int64) source.Source {
	plain := s
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		*streamed += n
		return plain.Scan(off, n, buf, visit)
	}
	s.ReaderAt = &counting{plain, read}
	return s
}

type counting struct {
	source.Source
	read *int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Source.ReadAt(p, off)
	*c.read += int64(n)
	return n, err
}

var errDisk = errors.New("the disk is broken")

// broken fails to read one page of the guest, as a disk does.
type broken struct {
	source.Source
	from int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off < b.from+4096 && off+int64(len(p)) > b.from {
		return 0, errDisk
	}
	return b.Source.ReadAt(p, off)
}

// TestBrokenFile: the guest is not blamed for a file that cannot be read.
func TestBrokenFile(t *testing.T) {
	s := demoSource(t)
	s.ReaderAt = broken{s, demoLoad + demoRoot - demoStart}
	sum, err := Inspect(context.Background(), s, Options{})
	if !fault.Is(err, fault.InputUnreadable) || !errors.Is(err, errDisk) || sum.Error == nil || sum.Error.Code != fault.InputUnreadable {
		t.Error(err)
	}
}
