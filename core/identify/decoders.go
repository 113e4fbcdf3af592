//go:build !lean

package identify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

func init() {
	decoders["zstd"], decoders["xz"], decoders["lzma"] = openZstd, openXz, openLzma
}

// Windows and dictionaries of what is looked at: 64 KiB are wanted, so no byte
// can come from farther back than that, whatever the file announces.
const (
	maxWindow = 8 << 20
	lookDict  = 1 << 20
)

func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.IgnoreChecksum(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// openXz reads the first block of an xz stream by its LZMA2 filter alone; what
// a filter before it changed (branch addresses) does not matter for a look.
// Source: the .xz file format 1.2.0, sections 2.1.1 and 3.1.
func openXz(r io.Reader) (io.Reader, error) {
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := (int64(head[12]) + 1) * 4 // of the block header, its own byte included
	if head[12] == 0 {
		return nil, errors.New("the stream has no block")
	}
	if _, err := io.CopyN(io.Discard, r, size-1); err != nil {
		return nil, err
	}
	return lzma.Reader2Config{DictCap: lookDict}.NewReader2(r)
}

func openLzma(r io.Reader) (io.Reader, error) {
	head := make([]byte, lzmaHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(head[1:], lookDict)
	return lzma.ReaderConfig{DictCap: lookDict}.NewReader(io.MultiReader(bytes.NewReader(head), r))
}
