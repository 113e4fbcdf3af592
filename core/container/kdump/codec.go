package kdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/anchore/go-lzo"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// The codecs, by the bit that a page's flags have; 0: stored. Source:
// makedumpfile 1.7 diskdump_mod.h (DUMP_DH_COMPRESSED_*).
const (
	flagZlib   = 0x01
	flagLZO    = 0x02
	flagSnappy = 0x04
	flagZstd   = 0x20
	flagCodecs = flagZlib | flagLZO | flagSnappy | flagZstd
)

// errSize says that a block is not as long as a block must be: a bomb, or damage.
var errSize = errors.New("it has not the length of a block")

// codec unpacks blocks, keeping what can be kept from one to the next.
type codec struct {
	zlib interface {
		io.ReadCloser
		zlib.Resetter
	}
	zstd *zstd.Decoder
}

// unpack fills p with the block that packed holds, by the codec its flags name;
// another length than p's is an error, and nothing beyond it is made.
func (c *codec) unpack(p, packed []byte, flags uint32) error {
	switch flags & flagCodecs {
	case 0:
		if len(packed) != len(p) {
			return errSize
		}
		copy(p, packed)
		return nil
	case flagZlib:
		return c.inflate(p, packed)
	case flagLZO:
		if n, err := lzo.Decompress(packed, p); err != nil || n != len(p) {
			return whole(n, p, err)
		}
		return nil
	case flagSnappy:
		if n, err := snappy.DecodedLen(packed); err != nil || n != len(p) {
			return whole(n, p, err)
		}
		_, err := snappy.Decode(p, packed)
		return err
	case flagZstd:
		return c.unzstd(p, packed)
	}
	return fmt.Errorf("its flags name several codecs: %#x", flags)
}

// whole words a block of n bytes.
func whole(n int, p []byte, err error) error {
	if err == nil && n != len(p) {
		return errSize
	}
	return err
}

func (c *codec) inflate(p, packed []byte) error {
	r := bytes.NewReader(packed)
	if c.zlib == nil {
		z, err := zlib.NewReader(r)
		if err != nil {
			return err
		}
		c.zlib = z.(interface {
			io.ReadCloser
			zlib.Resetter
		})
	} else if err := c.zlib.Reset(r, nil); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.zlib, p); err != nil {
		return err
	}
	// The end of the stream has the checksum.
	var more [1]byte
	switch n, err := c.zlib.Read(more[:]); {
	case n > 0:
		return errSize
	case err != io.EOF:
		return err
	}
	return nil
}

func (c *codec) unzstd(p, packed []byte) error {
	if c.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlock))
		if err != nil {
			return err
		}
		c.zstd = z
	}
	out, err := c.zstd.DecodeAll(packed, p[:0:len(p)])
	if err != nil || len(out) != len(p) {
		return whole(len(out), p, err)
	}
	if &out[0] != &p[0] {
		copy(p, out)
	}
	return nil
}
