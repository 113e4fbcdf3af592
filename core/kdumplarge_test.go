package core

import (
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"coredrop/core/source"
	"coredrop/core/synth"
)

// TestLargeKdump converts a kdump core of more than 4 GiB, plain and flattened,
// whose file is longer than that, too. What it holds of memory at any time is far
// below what a browser gives a page; natively each processor has its own buffers.
func TestLargeKdump(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 8 GiB")
	}
	const most = 96 << 20 // the collector lets a heap of half of that grow up to it
	large := synth.NewLargeKDump(synth.Guest(synth.Options{Encoded: true}).ELF, 4<<30)
	for name, file := range map[string]interface {
		io.ReaderAt
		Size() int64
	}{"plain": large, "flattened": large.Flat()} {
		t.Run(name, func(t *testing.T) {
			if file.Size() < 4<<30 {
				t.Fatalf("only %d bytes", file.Size())
			}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			before, peak := m.HeapAlloc, uint64(0)
			look := func() {
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc-min(before, m.HeapAlloc))
			}
			im, sum, err := Convert(context.Background(), source.Source{ReaderAt: file, Size: file.Size(), Name: "vm.kdump"}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			look()
			if !sum.Dump.Verified || im.Size() < large.Memory() {
				t.Errorf("%d bytes of dump for %d of memory, %v", im.Size(), large.Memory(), sum.Warnings)
			}
			at, seen := int64(0), uint64(0)
			blocks, word := large.Far()
			far := im.Size() - int64(blocks)*4096
			err = im.Scan(context.Background(), 0, im.Size(), make([]byte, 1<<20), func(p []byte) error {
				if at>>26 != (at+int64(len(p)))>>26 {
					look()
				}
				for i := (far - at) & 4095; i < int64(len(p)); i += 4096 {
					if n := (at + i - far) / 4096; at+i >= far && binary.LittleEndian.Uint64(p[i:]) == word(uint64(n)) {
						seen++
					}
				}
				at += int64(len(p))
				return nil
			})
			if err != nil || at != im.Size() || seen != blocks {
				t.Errorf("%d of %d bytes, %d of %d blocks are right: %v", at, im.Size(), seen, blocks, err)
			}
			if peak > most {
				t.Errorf("%d bytes were held", peak)
			}
			t.Logf("a file of %d bytes, a dump of %d: %d bytes of heap at most, %d of memory from the system", file.Size(), im.Size(), peak, m.Sys)
		})
	}
}
