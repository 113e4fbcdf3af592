package kdump

import (
	"fmt"

	"github.com/anchore/go-lzo"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"coredrop/core/container/inflate"
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

// codec unpacks blocks, keeping what can be kept from one to the next.
type codec struct {
	zlib inflate.Zlib
	zstd *zstd.Decoder
}

// unpack fills p with the block that packed holds, by the codec its flags name;
// another length than p's is an error, and nothing beyond it is made.
func (c *codec) unpack(p, packed []byte, flags uint32) error {
	switch flags & flagCodecs {
	case 0:
		if len(packed) != len(p) {
			return inflate.ErrSize
		}
		copy(p, packed)
		return nil
	case flagZlib:
		return c.zlib.Unpack(p, packed)
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
		return inflate.ErrSize
	}
	return err
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
