package sharedstore

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/bucket"
)

const (
	// partBytes is what one request carries: a larger file goes in parts of so many
	// bytes, so that what breaks off costs no more than a part.
	partBytes = 64 << 20
	// abortWithin is how long the parts of a file that is not stored may take to go. Those
	// that stay are removed when the file is stored the next time.
	abortWithin = 10 * time.Second
)

// Put stores what r gives, if there is no such file; that there is one, or that another
// writer was faster, is no failure. What cannot be read once more, as another attempt
// has to, goes to a temporary file first; nothing is held in memory. Errors: of r;
// store-denied, output-failed, cancelled.
func (s *Store) Put(ctx context.Context, k symstore.Key, r io.Reader) error {
	data, ok := rest(r)
	if !ok {
		f, err := spool(ctx, r)
		if err != nil {
			return err
		}
		defer f.Close()
		data = io.NewSectionReader(f, 0, f.size)
	}
	var err error
	if to := s.name(k); data.Size() <= partBytes {
		_, err = s.objects.Create(ctx, to, data.Size(), part(data, 0, data.Size()), false)
	} else {
		err = s.inParts(ctx, to, data)
	}
	if fault.Is(err, fault.OutputExists) {
		return nil
	}
	if fault.Is(err, fault.Cancelled) && ctx.Err() != nil {
		return cancelled(ctx)
	}
	return err
}

// rest gives what a reader still has to give, if that can be read by ranges.
func rest(r io.Reader) (*io.SectionReader, bool) {
	data, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return nil, false
	}
	at, err := data.Seek(0, io.SeekCurrent)
	end, endErr := data.Seek(0, io.SeekEnd)
	return io.NewSectionReader(data, at, end-at), err == nil && endErr == nil
}

// part gives bytes as often as they are asked for.
func part(data io.ReaderAt, off, n int64) func() io.Reader {
	return func() io.Reader { return io.NewSectionReader(data, off, n) }
}

// inParts stores what one request should not carry.
func (s *Store) inParts(ctx context.Context, to bucket.Name, data *io.SectionReader) error {
	u, err := s.objects.Begin(ctx, to, false)
	if err != nil {
		return err
	}
	number := 1
	for off := int64(0); err == nil && off < data.Size(); off += partBytes {
		n := min(partBytes, data.Size()-off)
		err = u.Put(ctx, number, n, part(data, off, n))
		number++
	}
	if err == nil {
		_, err = u.Complete(ctx)
	}
	if err != nil {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
		defer cancel()
		u.Abort(within) // see abortWithin
	}
	return err
}

// spooled is a temporary file of so many bytes.
type spooled struct {
	*os.File
	size int64
}

// Close removes the file.
func (f *spooled) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

// spool puts what r gives into a temporary file.
func spool(ctx context.Context, r io.Reader) (*spooled, error) {
	f, err := os.CreateTemp("", "coredrop-symbols-")
	if err != nil {
		return nil, fault.Wrap(err, fault.OutputFailed, "there is no room for a temporary file: %v", err)
	}
	s := &spooled{File: f}
	buf := make([]byte, 128<<10)
	for err == nil {
		if ctx.Err() != nil {
			err = cancelled(ctx)
			break
		}
		var n int
		n, err = r.Read(buf)
		if _, writeErr := f.Write(buf[:n]); writeErr != nil {
			err = fault.Wrap(writeErr, fault.OutputFailed, "the temporary file could not be written: %v", writeErr)
		}
		s.size += int64(n)
	}
	if err == io.EOF {
		return s, nil
	}
	s.Close() // what failed says more
	return nil, err
}
