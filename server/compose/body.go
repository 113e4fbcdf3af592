package compose

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
)

// bufferBytes is how much of the image is read at a time.
const bufferBytes = 256 << 10

// errEnded ends a scan of which nothing more is wanted.
var errEnded = errors.New("the rest is not wanted")

// body gives a range of the image in order. A scan of it goes on whenever all that it
// found was taken, so that no more than a buffer is held. A client may go on reading
// when its request has failed, on a goroutine of its own: end is the end of that.
type body struct {
	mu   sync.Mutex
	next func() ([]byte, bool)
	stop func()
	got  []byte // read, and not given yet
	left int64  // not given yet
	err  error  // why the scan ended early
	note func(bytes int64)
}

// read begins to read n bytes of the image from off on.
func (a *assembly) read(ctx context.Context, off, n int64, last func() error) *body {
	b := &body{left: n, note: func(bytes int64) { a.advance(&a.sent, bytes) }}
	b.next, b.stop = iter.Pull(func(yield func([]byte) bool) {
		unread := n
		b.err = a.Image.Scan(ctx, off, n, make([]byte, bufferBytes), func(p []byte) error {
			if unread -= int64(len(p)); unread == 0 && last != nil {
				if err := last(); err != nil {
					return err
				}
			}
			if !yield(p) {
				return errEnded
			}
			return nil
		})
	})
	return b
}

// Read gives the next bytes.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.got) == 0 {
		got, ok := b.next()
		switch {
		case !ok && b.err != nil:
			return 0, b.err
		case !ok:
			return 0, io.EOF
		}
		b.got = got
	}
	n := copy(p, b.got)
	b.got, b.left = b.got[n:], b.left-int64(n)
	b.note(int64(n))
	return n, nil
}

// end ends the scan: nothing is given any more.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop()
	b.got = nil
	if b.err == nil {
		b.err = errEnded
	}
}

// failed is why the image could not be read to the end; nil: nothing was wrong with it.
func (b *body) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(b.err, errEnded) {
		return nil
	}
	return b.err
}
