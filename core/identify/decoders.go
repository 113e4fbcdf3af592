//go:build !lean

package identify

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

func init() {
	decoders["zstd"], decoders["xz"], decoders["lzma"] = openZstd, openXz, openLzma
	decoders["bzip2"] = func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }
	decoders["gzip"] = func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	firsts["tar"], firsts["zip"] = firstOfTar, firstOfZip
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

func firstOfTar(v *view) (string, int64, io.Reader) {
	r := tar.NewReader(v.stream())
	for range 16 { // directories come first
		h, err := r.Next()
		if err != nil {
			return "", 0, nil
		}
		if h.Typeflag == tar.TypeReg {
			return h.Name, h.Size, r
		}
	}
	return "", 0, nil
}

// firstOfZip reads the first local file header; central directories are at the
// end, which need not be at hand.
func firstOfZip(v *view) (string, int64, io.Reader) {
	const (
		flagsAt, methodAt, nameLenAt, extraLenAt, header = 6, 8, 26, 28, 30
		encrypted                                        = 1
		stored, deflated                                 = 0, 8
	)
	if len(v.head) < header {
		return "", 0, nil
	}
	flags, method := u16(v.head[flagsAt:]), u16(v.head[methodAt:])
	nameLen, extraLen := int(u16(v.head[nameLenAt:])), int(u16(v.head[extraLenAt:]))
	if header+nameLen > len(v.head) {
		return "", 0, nil
	}
	name := string(v.head[header : header+nameLen])
	if flags&encrypted != 0 || strings.HasSuffix(name, "/") {
		return strings.TrimSuffix(name, "/"), -1, nil
	}
	r := v.stream()
	if _, err := io.CopyN(io.Discard, r, int64(header+nameLen+extraLen)); err != nil {
		return name, -1, nil
	}
	switch method {
	case stored:
		return name, -1, r
	case deflated:
		return name, -1, flate.NewReader(r)
	}
	return name, -1, nil
}
