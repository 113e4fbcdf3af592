package corpustest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// block is the size of the holes that unpacking leaves.
const block = 64 << 10

// Open reads what a .zst file holds, until the test ends.
func Open(t testing.TB, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// unpack writes the blocks of a .zst file that are not zero, and gives the size
// of the whole.
func unpack(t testing.TB, path string, out io.WriterAt) int64 {
	t.Helper()
	in, size := Open(t, path), int64(0)
	buf, zero := make([]byte, block), make([]byte, block)
	for {
		n, err := io.ReadFull(in, buf)
		if !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				t.Fatal(err)
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return size
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// File unpacks a .zst file to a temporary one, with holes for zeros: 4.8 GB of
// them cost nothing. The file is open until the test ends.
func File(t testing.TB, path string) *os.File {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "core.elf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	if err := out.Truncate(unpack(t, path, out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// sparse is a file in memory of which only the blocks that are not zero are held.
type sparse struct {
	blocks map[int64][]byte
	size   int64
}

// WriteAt takes a block.
func (s *sparse) WriteAt(p []byte, off int64) (int, error) {
	b := make([]byte, block)
	s.blocks[off/block] = b
	return copy(b, p), nil
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < s.size {
		step := int(min(int64(len(p)-n), block-off%block, s.size-off))
		if b, ok := s.blocks[off/block]; ok {
			copy(p[n:n+step], b[off%block:])
		} else {
			clear(p[n : n+step])
		}
		n += step
		off += int64(step)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
