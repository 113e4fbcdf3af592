// Package synth builds small guests, cores and PDBs for tests, always the same
// bytes for the same options. Its layouts are written down a second time here,
// from the documents and not from the parsers, so that a slip in one of them
// shows. Only tests import it; it panics on options that make no sense.
package synth

import (
	"bytes"
	"encoding/binary"

	"coredrop/core/source"
)

var le = binary.LittleEndian

// Source makes an input file of bytes.
func Source(data []byte) source.Source {
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: "synthetic"}
}

// noise is a stream of numbers that looks random and is the same everywhere
// (splitmix64).
type noise uint64

func (n *noise) next() uint64 {
	*n += 0x9e3779b97f4a7c15
	z := uint64(*n)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Noise gives n bytes that look random; equal seeds give equal bytes.
func Noise(seed uint64, n int) []byte {
	s, out := noise(seed), make([]byte, 0, n+8)
	for len(out) < n {
		out = le.AppendUint64(out, s.next())
	}
	return out[:n]
}

// image is a byte slice with little-endian writes at offsets.
type image []byte

func (b image) u16(off int, v uint16)  { le.PutUint16(b[off:], v) }
func (b image) u32(off int, v uint32)  { le.PutUint32(b[off:], v) }
func (b image) u64(off int, v uint64)  { le.PutUint64(b[off:], v) }
func (b image) put(off int, p []byte)  { copy(b[off:off+len(p)], p) }
func (b image) text(off int, s string) { copy(b[off:off+len(s)], s) }
