package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/summary"
	"coredrop/core/unpack"
	"coredrop/core/words"
	"coredrop/server/filelock"
)

// spooled is what was unpacked: a temporary file that has no name any more where
// the system allows that, so that nobody else opens it and it ends with the process,
// however that ends.
type spooled struct {
	file     *os.File
	size     int64
	name     string // of the file that was packed
	remove   string // its path, where it still has one; else ""
	packed   *summary.Packed
	warnings []fault.Warning
}

func (s *spooled) close() {
	s.file.Close() // nothing in it is wanted any more
	if s.remove != "" {
		os.Remove(s.remove)
	}
}

// volume is the file system that a file is on.
type volume struct {
	free, size int64  // bytes
	memory     string // its kind, where files on it are in memory; else ""
}

// reserve is what is left free of it for others.
func (v volume) reserve() int64 { return min(1<<30, v.size/20) }

// What bounds an unpacked file besides the room on the disk.
const (
	maxUnpacked = 16 << 40 // bytes; more is no machine's memory
	lookEvery   = 64 << 20 // bytes written between two looks at the room
	holeBytes   = 64 << 10 // of zeros are left out of the file
)

// spooler unpacks inputs.
type spooler struct {
	places []string // directories, the best one first
	volume func(*os.File) (volume, bool)
	sink   progress.Sink
}

// spool unpacks an input that is packed as a whole; another one stays as it is.
func (s *spooler) spool(ctx context.Context, in *input) error {
	name := in.name()
	whole := inOrder(in.from)
	defer whole.Close()
	from := &counted{r: whole}
	stream, err := unpack.Open(from, name)
	if err != nil {
		return err
	}
	defer stream.Close()
	if len(stream.Forms) == 0 {
		return nil
	}
	to, err := s.create()
	if err != nil {
		return err
	}
	to.name = unpack.Name(name, stream.Forms)
	to.packed = &summary.Packed{Name: name, Bytes: in.from.Size, Forms: stream.Forms}
	w := &spoolWriter{spooler: s, to: to, name: name, from: from, packed: in.from.Size}
	switch err = w.all(ctx, stream); {
	case fault.Is(err, fault.Truncated) && to.size > 0:
		to.warnings = append(to.warnings, fault.Warn(fault.Truncated, "%s; what is before that, %s, is used", err, words.Bytes(to.size)))
		err = nil
	case err == nil:
		err = in.unchanged()
	}
	if err != nil {
		to.close()
		return err
	}
	s.sink.Logf("unpacked %s: %d bytes, %d of them in the temporary file", name, to.size, w.written)
	in.spooled = to
	return nil
}

// create makes the temporary file: in the first place that is on a disk, else in the
// first one at all, and then it is said.
func (s *spooler) create() (*spooled, error) {
	var inMemory *spooled
	var failed error
	for _, dir := range s.places {
		to, v, err := s.createIn(dir)
		if err != nil {
			if failed == nil {
				failed = outputFailed(dir, err)
			}
			continue
		}
		if v.memory == "" {
			if inMemory != nil {
				inMemory.close()
			}
			return to, nil
		}
		if inMemory != nil {
			to.close()
			continue
		}
		inMemory = to
		to.warnings = append(to.warnings, fault.Warn(fault.UnpackedInMemory, "the unpacked file takes up memory, not room on a disk: %s is a %s", dir, v.memory))
	}
	if inMemory != nil {
		return inMemory, nil
	}
	return nil, failed
}

func (s *spooler) createIn(dir string) (*spooled, volume, error) {
	sweep(dir)
	path := filepath.Join(dir, tempName())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, ownerMode)
	if err != nil {
		return nil, volume{}, err
	}
	filelock.Try(f) // for the moment in which it has a name
	to := &spooled{file: f}
	if os.Remove(path) != nil { // an open file keeps its name here
		to.remove = path
	}
	v, _ := s.volume(f)
	return to, v, nil
}

// spoolWriter writes one unpacked file.
type spoolWriter struct {
	*spooler
	to      *spooled
	name    string
	from    *counted
	packed  int64 // bytes of the packed file
	written int64 // without the zeros
	looked  int64 // at how many of those the room was last looked at
}

// all writes what the stream has.
func (w *spoolWriter) all(ctx context.Context, stream io.Reader) error {
	if err := w.room(0); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		n, err := io.ReadFull(stream, buf)
		if failed := w.put(buf[:n]); failed != nil {
			return failed
		}
		w.sink.Report("unpacking", min(w.from.n, w.packed), w.packed)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		} else if err == nil {
			continue
		}
		if failed := w.to.file.Truncate(w.to.size); failed != nil {
			return w.failed(failed)
		}
		return err
	}
}

// put writes the next bytes; zeros stay a hole.
func (w *spoolWriter) put(p []byte) error {
	for len(p) > 0 {
		n, hole := stretch(p)
		if !hole {
			if err := w.room(int64(n)); err != nil {
				return err
			}
			if _, err := w.to.file.WriteAt(p[:n], w.to.size); err != nil {
				return w.failed(err)
			}
			w.written += int64(n)
		}
		if w.to.size += int64(n); w.to.size > maxUnpacked {
			return fault.New(fault.UnpackSpace, "%s unpacks to more than %s, which no machine's memory is", w.name, words.Bytes(maxUnpacked))
		}
		p = p[n:]
	}
	return nil
}

var zeros [holeBytes]byte

// stretch gives how much of the beginning of p is to be written, up to a block of
// zeros; or of that, which is left out as a hole.
func stretch(p []byte) (n int, hole bool) {
	for n < len(p) && !isZero(p[n:min(n+holeBytes, len(p))]) {
		n = min(n+holeBytes, len(p))
	}
	if n == 0 {
		return min(holeBytes, len(p)), true
	}
	return n, false
}

func isZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }

// room refuses to fill the disk: n more bytes are to be written.
func (w *spoolWriter) room(n int64) error {
	if n > 0 && w.written+n-w.looked < lookEvery {
		return nil
	}
	w.looked = w.written
	if v, ok := w.volume(w.to.file); ok && v.free-v.reserve() < lookEvery {
		return w.full(v)
	}
	return nil
}

// full says how far it came.
func (w *spoolWriter) full(v volume) error {
	return fault.New(fault.UnpackSpace, "there is no room to unpack %s: after %s, at %d%% of the packed file, only %s is free, and %s of it stays free for others",
		w.name, words.Bytes(w.to.size), percent(w.from.n, max(w.packed, 1)), words.Bytes(v.free), words.Bytes(v.reserve()))
}

// failed words an error of writing.
func (w *spoolWriter) failed(err error) error {
	if v, ok := w.volume(w.to.file); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return w.full(v)
	}
	return fault.Wrap(err, fault.OutputFailed, "could not unpack %s: %s", w.name, reasonOf(err))
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
