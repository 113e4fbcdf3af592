package savevm

import (
	"errors"
	"iter"

	"coredrop/core/mem"
	"coredrop/core/source"
)

// sequence reads a source from front to back in large pieces, by its stream where
// it has one.
type sequence struct {
	s       source.Source
	at      int64  // of what the stream gives next
	pending []byte // of the stream, from at on
	next    func() ([]byte, error, bool)
	stop    func()
}

// maxDiscard is how much a stream reads for nothing before it begins anew.
const maxDiscard = 4 << 20

var errStopped = errors.New("nothing more is wanted")

// read fills p from off on, which should not lie before what was read.
func (q *sequence) read(p []byte, off int64) error {
	if q.s.Stream == nil {
		return q.s.Full(p, off)
	}
	if q.next == nil || off < q.at || off-q.at > maxDiscard {
		q.begin(off)
	}
	for len(p) > 0 {
		if len(q.pending) == 0 {
			chunk, err, ok := q.next()
			if err != nil {
				return err
			}
			if !ok { // Scan gives all that it is asked for, or an error
				return q.s.Full(p, off)
			}
			q.pending = chunk
		}
		n := int(min(off-q.at, int64(len(q.pending))))
		if n == 0 {
			n = copy(p, q.pending)
			p, off = p[n:], off+int64(n)
		}
		q.at, q.pending = q.at+int64(n), q.pending[n:]
	}
	return nil
}

// begin starts the stream at off.
func (q *sequence) begin(off int64) {
	q.close()
	q.at, q.pending = off, nil
	q.next, q.stop = iter.Pull2(func(yield func([]byte, error) bool) {
		err := q.s.Scan(off, q.s.Size-off, make([]byte, mem.ScanChunk), func(p []byte) error {
			if !yield(p, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	})
}

// close ends the stream.
func (q *sequence) close() {
	if q.stop != nil {
		q.stop()
	}
	q.next, q.stop = nil, nil
}
