package pdb

import (
	"fmt"
	"io"

	"coredrop/core/fault"
)

// chunkBytes is how much of the file one miss reads. It holds at least one whole
// block of any size allowed, so that a block never straddles two chunks.
const chunkBytes = 64 << 10

// cacheChunks bounds the cache: 1 MiB.
const cacheChunks = 16

// cache reads the file by chunks and keeps the ones used last.
type cache struct {
	r      io.ReaderAt
	size   int64
	chunks []chunk // unordered
	clock  uint64
}

type chunk struct {
	number int64
	used   uint64
	data   []byte
}

// view gives n bytes at off, which must not cross a chunk's end; they are valid
// until the next call.
func (c *cache) view(off int64, n int) ([]byte, error) {
	number, within := off/chunkBytes, int(off%chunkBytes)
	ch, err := c.chunk(number)
	if err != nil {
		return nil, err
	}
	if within+n > len(ch.data) {
		return nil, fault.New(fault.PDBDamaged, "the PDB ends at offset %#x", c.size)
	}
	return ch.data[within : within+n], nil
}

func (c *cache) chunk(number int64) (*chunk, error) {
	c.clock++
	oldest := -1
	for i := range c.chunks {
		if c.chunks[i].number == number {
			c.chunks[i].used = c.clock
			return &c.chunks[i], nil
		}
		if oldest < 0 || c.chunks[i].used < c.chunks[oldest].used {
			oldest = i
		}
	}
	off := number * chunkBytes
	if number < 0 || off >= c.size {
		return nil, fault.New(fault.PDBDamaged, "the PDB ends at offset %#x", c.size)
	}
	if len(c.chunks) < cacheChunks {
		c.chunks = append(c.chunks, chunk{data: make([]byte, min(chunkBytes, c.size))})
		oldest = len(c.chunks) - 1
	}
	ch := &c.chunks[oldest]
	ch.number, ch.used = -1, c.clock // not valid until it is read
	ch.data = ch.data[:min(chunkBytes, c.size-off, int64(cap(ch.data)))]
	if n, err := c.r.ReadAt(ch.data, off); n < len(ch.data) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fault.Wrap(err, fault.SymbolsUnreadable, "the PDB could not be read at offset %#x: %v", off+int64(n), err)
	}
	ch.number = number
	return ch, nil
}

// ends is the failure of a stream that has less than is asked for.
func ends(stream uint32, what string) error {
	return fault.New(fault.PDBDamaged, "the PDB is damaged (stream %d ends early: %s)", stream, what)
}

func damaged(format string, args ...any) error {
	return fault.New(fault.PDBDamaged, "the PDB is damaged (%s)", fmt.Sprintf(format, args...))
}
