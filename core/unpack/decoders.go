package unpack

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"coredrop/core/fault"
)

// decoder gives what is packed in r. An end that comes too early is
// io.ErrUnexpectedEOF, behind all that could be unpacked.
type decoder func(r io.Reader) (io.Reader, error)

// decoders undo the forms, by the id that package identify gives them.
var decoders = map[string]decoder{
	"gzip": openGzip,
	"zstd": openZstd,
	"xz":   openXz,
	"lzma": openLzma,
	"lzop": openLzop,
	"lz4":  openLz4, "lz4-legacy": openLz4,
	"bzip2": openBzip2,
}

// maxWindow bounds the memory of a decoder: what it may look back. The encoders'
// highest levels use 128 MiB and less (zstd --ultra -22, xz -9); more must be asked
// for (zstd --long=31).
const maxWindow = 512 << 20

// tooMuch refuses a window.
func tooMuch(form string, command string) error {
	return fault.New(fault.Packed, "this file is packed with %s so that unpacking it takes more than %d MiB of memory", form, maxWindow>>20).
		Instead(fault.Step{Text: "unpack it, then open {file}.unpacked", Command: command})
}

// members reads the members of a gzip file one after another. What follows the
// last one is left alone, as gzip(1) does: writers of whole blocks leave zeros.
type members struct {
	b *bufio.Reader
	z *gzip.Reader
}

func openGzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &members{b, z}, nil
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		switch {
		case err != io.EOF:
			return n, err
		case n > 0:
			return n, nil // the end comes again
		}
		if head, _ := m.b.Peek(2); string(head) != "\x1f\x8b" {
			return 0, io.EOF
		}
		if err := m.z.Reset(m.b); err != nil {
			return 0, err
		}
		m.z.Multistream(false)
	}
}

// openBzip2 ends behind the last file, as bzip2(1) does, whatever follows it.
func openBzip2(r io.Reader) (io.Reader, error) {
	return &failing{r: bzip2.NewReader(r), words: func(err error) error {
		if err == bzip2.StructuralError("bad magic value in continuation file") {
			return io.EOF
		}
		return err
	}}, nil
}

func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1<<62), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &failing{r: d.IOReadCloser(), words: func(err error) error {
		if errors.Is(err, zstd.ErrWindowSizeExceeded) {
			return tooMuch("zstd", "zstd -dc --long=31 {file} > {file}.unpacked")
		}
		return err
	}}, nil
}

// openXz looks at the dictionary that the first block asks for; those of one
// encoder's blocks are the same. Source: the .xz file format 1.2.0, sections 3.1
// and 5.3.1.
func openXz(r io.Reader) (io.Reader, error) {
	const streamHeader, lzma2 = 12, 0x21
	b := bufio.NewReaderSize(r, 64<<10)
	head, _ := b.Peek(streamHeader + 1024)
	if len(head) > streamHeader+2 && head[streamHeader] != 0 {
		size := (int(head[streamHeader]) + 1) * 4
		block := head[streamHeader:min(len(head), streamHeader+size)]
		// The filter: its id, the length of its properties (1), the dictionary.
		if i := bytes.Index(block[2:], []byte{lzma2, 1}); i >= 0 && i+4 < len(block) && dictionary(block[i+4]) > maxWindow {
			return nil, tooMuch("xz", "xz -dc {file} > {file}.unpacked")
		}
	}
	t := &tail{r: b}
	x, err := xz.NewReader(t)
	if err != nil {
		return nil, err
	}
	return &whole{x, t}, nil
}

// whole makes an end that is not behind the footer an error: the library takes a
// file that is cut inside the header of a block for one that ends there.
type whole struct {
	r io.Reader
	t *tail
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err == io.EOF && string(w.t.last) != "YZ" {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// tail remembers the last two bytes that were read, but for zeros, which may follow
// the footer.
type tail struct {
	r    io.Reader
	last []byte
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if some := bytes.TrimRight(p[:n], "\x00"); len(some) > 0 {
		t.last = append(t.last, some[max(0, len(some)-2):]...)
		t.last = t.last[max(0, len(t.last)-2):]
	}
	return n, err
}

// dictionary is the size that an LZMA2 filter's byte stands for.
func dictionary(code byte) int64 {
	if code >= 40 {
		return 1 << 32
	}
	return int64(2|code&1) << (code/2 + 11)
}

func openLzma(r io.Reader) (io.Reader, error) {
	const dictAt, header = 1, 13
	b := bufio.NewReaderSize(r, 64<<10)
	if head, _ := b.Peek(header); len(head) == header && binary.LittleEndian.Uint32(head[dictAt:]) > maxWindow {
		return nil, tooMuch("lzma", "xz -dc --format=lzma {file} > {file}.unpacked")
	}
	return lzma.NewReader(b)
}

func openLz4(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }
