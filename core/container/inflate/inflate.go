// Package inflate unpacks pages that containers pack with zlib.
package inflate

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"
)

// ErrSize says that what was unpacked has another length than a page: a bomb, or
// damage.
var ErrSize = errors.New("it has not the length of a block")

// Zlib unpacks one page after another, keeping what can be kept. The zero value is
// ready; it is for one goroutine.
type Zlib struct {
	r interface {
		io.ReadCloser
		zlib.Resetter
	}
}

// Unpack fills p with what packed holds; another length than p's is an error, and
// nothing beyond it is made.
func (z *Zlib) Unpack(p, packed []byte) error {
	r := bytes.NewReader(packed)
	if z.r == nil {
		made, err := zlib.NewReader(r)
		if err != nil {
			return err
		}
		z.r = made.(interface {
			io.ReadCloser
			zlib.Resetter
		})
	} else if err := z.r.Reset(r, nil); err != nil {
		return err
	}
	if _, err := io.ReadFull(z.r, p); err != nil {
		return err
	}
	// The end of the stream has the checksum.
	var more [1]byte
	switch n, err := z.r.Read(more[:]); {
	case n > 0:
		return ErrSize
	case err != io.EOF:
		return err
	}
	return nil
}
