package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"

	"github.com/anchore/go-lzo"
)

// An lzop file is a header and blocks, each packed alone; several files may follow
// one another. All numbers are big endian. Source: lzop 1.04, src/lzop.c
// (read_header, x_decompress) and src/conf.h.
const (
	lzopMagic = "\x89LZO\x00\r\n\x1a\n"

	lzopAdlerData   = 0x0001 // a checksum of the unpacked block
	lzopAdlerPacked = 0x0002 // of the packed one, where it is shorter
	lzopExtra       = 0x0040
	lzopCRCData     = 0x0100
	lzopCRCPacked   = 0x0200
	lzopFilter      = 0x0800

	lzopNewVersion = 0x0940 // has a level, and the high half of the time
	// lzopMaxBlock is what lzop itself takes; it writes 256 KiB.
	lzopMaxBlock = 64 << 20
)

// lzopReader reads an lzop file.
type lzopReader struct {
	r     io.Reader
	flags uint32
	raw   []byte
	block []byte
	left  []byte // of the block
}

func openLzop(r io.Reader) (io.Reader, error) {
	z := &lzopReader{r: r}
	return z, z.header(false)
}

// number reads a number of so many bytes.
func (z *lzopReader) number(bytes int) (uint32, error) {
	var p [4]byte
	if _, err := io.ReadFull(z.r, p[4-bytes:]); err != nil {
		return 0, unexpected(err)
	}
	return binary.BigEndian.Uint32(p[:]), nil
}

// unexpected makes an end inside something an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// header reads a file's header; io.EOF: there is none any more, which is no error
// behind a first one.
func (z *lzopReader) header(again bool) error {
	magic := make([]byte, len(lzopMagic))
	switch _, err := io.ReadFull(z.r, magic); {
	case again && (err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && string(magic) != lzopMagic):
		return io.EOF // what follows is none of ours
	case err != nil:
		return unexpected(err)
	}
	var bad error
	get := func(bytes int) (v uint32) {
		if bad == nil {
			v, bad = z.number(bytes)
		}
		return v
	}
	version := get(2)
	get(2) // of the library
	isNew := version >= lzopNewVersion
	if isNew {
		get(2) // version needed
	}
	method := get(1)
	if isNew {
		get(1) // level
	}
	z.flags = get(4)
	if z.flags&lzopFilter != 0 {
		get(4)
	}
	get(4) // mode
	get(4) // time
	if isNew {
		get(4)
	}
	for range get(1) { // the name
		get(1)
	}
	get(4) // checksum of the header
	if z.flags&lzopExtra != 0 {
		for range get(4) {
			if get(1); bad != nil {
				break
			}
		}
		get(4)
	}
	switch {
	case bad != nil:
		return bad
	case method < 1 || method > 3: // LZO1X at three levels
		return fmt.Errorf("a method that is not known (%d)", method)
	case z.flags&lzopFilter != 0:
		return errors.New("a filter, which is not undone")
	}
	return nil
}

// Read gives the unpacked bytes.
func (z *lzopReader) Read(p []byte) (int, error) {
	for len(z.left) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.left)
	z.left = z.left[n:]
	return n, nil
}

// next unpacks a block.
func (z *lzopReader) next() error {
	size, err := z.number(4)
	if err != nil {
		return err
	}
	if size == 0 {
		return z.header(true)
	}
	packed, err := z.number(4)
	switch {
	case err != nil:
		return err
	case size > lzopMaxBlock || packed > size:
		return fmt.Errorf("a block of %d bytes in %d", size, packed)
	}
	type check struct {
		flag uint32
		of   func([]byte) uint32
		want uint32
	}
	data := []check{{lzopAdlerData, adler32.Checksum, 0}, {lzopCRCData, crc32.ChecksumIEEE, 0}}
	raw := []check{{lzopAdlerPacked, adler32.Checksum, 0}, {lzopCRCPacked, crc32.ChecksumIEEE, 0}}
	lists := [][]check{data, raw}
	if packed == size {
		lists = lists[:1] // stored: one sum is enough
	}
	for _, list := range lists {
		for i := range list {
			if z.flags&list[i].flag == 0 {
				list[i].of = nil
			} else if list[i].want, err = z.number(4); err != nil {
				return err
			}
		}
	}
	if z.raw, err = fill(z.r, z.raw, int(packed)); err != nil {
		return err
	}
	out := z.raw
	if packed < size {
		if cap(z.block) < int(size) {
			z.block = make([]byte, size)
		}
		out = z.block[:size]
		if n, err := lzo.Decompress(z.raw, out); err != nil || n != int(size) {
			return fmt.Errorf("a block cannot be unpacked: %d of %d bytes, %v", n, size, err)
		}
	}
	for i, list := range lists {
		for _, c := range list {
			if c.of != nil && c.of([][]byte{out, z.raw}[i]) != c.want {
				return errors.New("the checksum of a block is wrong")
			}
		}
	}
	z.left = out
	return nil
}

// fill reads n bytes into p, which grows with what there is, not with what is said.
func fill(r io.Reader, p []byte, n int) ([]byte, error) {
	p = p[:0]
	for len(p) < n {
		step := min(n-len(p), max(1<<20, len(p)))
		at := len(p)
		p = append(p, make([]byte, step)...)
		if _, err := io.ReadFull(r, p[at:]); err != nil {
			return p, unexpected(err)
		}
	}
	return p, nil
}
