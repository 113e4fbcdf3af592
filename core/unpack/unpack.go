// Package unpack undoes the compression of a file that was packed as a whole, as
// one stream: gzip, zstd, xz, lzma, bzip2, lz4 and lzop, one inside another, and
// the saved states that libvirt packs behind a header of its own. It keeps nothing:
// who wants the bytes at random puts them somewhere. Archives of several files are
// not unpacked.
package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/identify"
)

// maxLayers is how often a file may be packed.
const maxLayers = 4

// Stream is what comes out of a packed file. Its errors are a *fault.Error:
// truncated where the packed file ends too early, damaged-copy where it is
// damaged; what came before is right as far as the form can tell.
type Stream struct {
	Forms []string // how it was packed, the outermost form first: "gzip"

	r      io.Reader
	layers []*failing
}

// Open looks how a file is packed, by the bytes it begins with. Forms is empty for
// one that is not, or whose form cannot be undone here; it comes as it is. The error, a *fault.Error, refuses what is packed so deep, or with so
// much memory, that it is not unpacked; and a packed file that holds neither a
// machine's memory nor a text, before anything is unpacked in vain.
func Open(r io.Reader, name string) (*Stream, error) {
	s := &Stream{}
	if err := s.open(r, name); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open puts a decoder over another as long as what comes out is packed.
func (s *Stream) open(r io.Reader, name string) error {
	b := bufio.NewReaderSize(r, identify.HeadBytes)
	for range maxLayers + 1 {
		f := look(b, name)
		if strings.HasPrefix(f.ID, "libvirt-") {
			packed, err := s.libvirt(&b)
			if packed || err != nil {
				return err
			}
		}
		d, ok := decoders[f.ID]
		if !ok {
			if len(s.Forms) > 0 && inVain(f) {
				return fault.New(fault.Packed, "this is a file compressed with %s; inside it is %s", s.Forms[0], f.Noun).Instead(f.Steps...)
			}
			s.r = b
			return nil
		}
		if err := s.layer(b, f.ID, d); err != nil {
			return err
		}
		b = bufio.NewReaderSize(s.r, identify.HeadBytes)
	}
	return fault.New(fault.Packed, "this file is packed more than %d times over", maxLayers)
}

// endings are those of the names of files in a form.
var endings = map[string][]string{
	"gzip": {".gz"}, "zstd": {".zst"}, "xz": {".xz"}, "lzma": {".lzma"}, "bzip2": {".bz2", ".bz"},
	"lz4": {".lz4"}, "lz4-legacy": {".lz4"}, "lzop": {".lzo"},
}

// Name gives the name of what is in a file that is packed in some forms.
func Name(name string, forms []string) string {
	for _, form := range forms {
		for _, e := range endings[form] {
			if short, ok := strings.CutSuffix(name, e); ok && short != "" {
				name = short
				break
			}
		}
	}
	return name
}

// look identifies what a reader begins with.
func look(b *bufio.Reader, name string) *identify.File {
	head, _ := b.Peek(identify.HeadBytes) // what is shorter ends early
	size := int64(-1)
	if len(head) < identify.HeadBytes {
		size = int64(len(head))
	}
	return identify.Head(head, size, name)
}

// inVain reports whether nothing here reads what is inside.
func inVain(f *identify.File) bool {
	switch f.Class {
	case identify.Core, identify.Dump, identify.Log:
		return false
	}
	return f.Code != "" && f.Code != fault.UnknownFormat && f.Code != fault.EmptyFile
}

// layer puts a decoder over the stream.
func (s *Stream) layer(r io.Reader, form string, d decoder) error {
	out, err := d(r)
	if err != nil {
		return s.fail(form, err)
	}
	f := &failing{r: out, words: func(err error) error { return s.fail(form, err) }}
	s.r, s.Forms, s.layers = f, append(s.Forms, form), append(s.layers, f)
	return nil
}

// The header of libvirt's saved states. Source: libvirt 11.3
// src/qemu/qemu_saveimage.h, struct _virQEMUSaveHeader.
const (
	headerBytes  = 92
	versionAt    = 16 // u32, in the byte order of the host that wrote it
	dataLenAt    = 20 // u32: what is between header and stream
	formatAt     = 28 // u32: 0 is raw
	maxVersion   = 2
	maxDescribed = 16 << 20 // bytes between header and stream; 64 KiB in current ones
)

// libvirt unpacks the stream behind libvirt's header, and puts the header in front
// again, with the format raw; false: it is not packed, and nothing was taken of b,
// which may be another reader then.
func (s *Stream) libvirt(b **bufio.Reader) (bool, error) {
	head, err := (*b).Peek(headerBytes)
	if err != nil {
		return false, nil // too short: its opener says so
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(head[versionAt:]) > maxVersion {
		order = binary.BigEndian
	}
	between := order.Uint32(head[dataLenAt:])
	if between > maxDescribed || order.Uint32(head[formatAt:]) == 0 {
		return false, nil
	}
	front := int(headerBytes + between)
	*b = bufio.NewReaderSize(*b, front+identify.HeadBytes)
	all, _ := (*b).Peek(front + identify.HeadBytes)
	if len(all) <= front {
		return false, nil
	}
	// The magic says how it is packed: libvirt's number for it changed its meaning.
	// In the form sparse it is not packed.
	form := identify.Head(all[front:], -1, "").ID
	d, ok := decoders[form]
	if !ok {
		return false, nil
	}
	header := append([]byte(nil), all[:front]...)
	order.PutUint32(header[formatAt:], 0)
	if _, err := (*b).Discard(front); err != nil {
		return true, s.fail(form, err)
	}
	if err := s.layer(*b, form, d); err != nil {
		return true, err
	}
	s.r = io.MultiReader(bytes.NewReader(header), s.r)
	return true, nil
}

// Read gives the unpacked bytes.
func (s *Stream) Read(p []byte) (int, error) { return s.r.Read(p) }

// Close lets go of the decoders.
func (s *Stream) Close() {
	for _, f := range slices.Backward(s.layers) {
		f.Close() // they only read
	}
}

// failing gives the errors of a reader words. The first one stays: who peeks takes
// it away from who reads.
type failing struct {
	r     io.Reader
	words func(error) error
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		err = f.words(err)
	}
	f.err = err
	return n, err
}

// Close lets go of the reader.
func (f *failing) Close() error {
	if c, ok := f.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// fail words a decoder's error; one that has a code, of reading the packed file or
// of the form around this one, keeps it.
func (s *Stream) fail(form string, err error) error {
	switch known := (*fault.Error)(nil); {
	case errors.As(err, &known):
		return known
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Truncated, "the packed file (%s) ends too early", form)
	}
	return fault.Wrap(err, fault.DamagedCopy, "the packed file (%s) is damaged: %v", form, err)
}
