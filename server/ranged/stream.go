package ranged

import (
	"context"

	"coredrop/core/source"
)

// streams is how many requests of a stream run ahead of its visitor.
const streams = 4

// segment is a part of a stream that is being fetched.
type segment struct {
	buffer, data []byte // data is what is fetched of it
	done         chan error
}

// stream is source.Source.Stream: several requests run ahead, in buffers of their
// own, so that a pass over the memory leaves the blocks alone.
func (r *Reader) stream(off, n int64, buf []byte, visit func(p []byte) error) error {
	if off < 0 {
		return errOffset
	}
	n = max(0, min(n, r.o.Size-off))
	if n <= int64(r.o.Block) {
		return r.short(off, n, buf, visit)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	free, err := r.borrow()
	if err != nil {
		return err
	}
	whole := len(free)
	defer func() { r.giveBack(free, whole) }()

	var queue []segment
	var begun, given int64 // bytes that were asked for, and visited
	filled := 0            // of buf
	// The start is slow: who looks for something may stop at any time, and what
	// is fetched ahead is as much as was taken, and two blocks.
	more := func() {
		for len(free) > 0 && begun < n && begun < 2*(given+int64(filled+r.o.Block)) {
			p := free[len(free)-1]
			free = free[:len(free)-1]
			data := p[:min(max(begun, int64(r.o.Block)), r.o.Request, n-begun)]
			queue = append(queue, segment{p, data, r.start(ctx, off+begun, data)})
			begun += int64(len(data))
		}
	}
	for more(); len(queue) > 0; more() {
		s := queue[0]
		select {
		case err := <-s.done:
			if err != nil {
				return r.fail(err)
			}
		case <-r.ctx.Done():
			return r.fail(cancelled(r.ctx))
		}
		queue = queue[1:]
		for p := s.data; len(p) > 0; {
			want := min(int64(len(buf)), n-given) // whole buffers but for the last
			c := copy(buf[filled:want], p)
			p, filled = p[c:], filled+c
			if int64(filled) < want {
				break
			}
			if err := visit(buf[:filled]); err != nil {
				return err
			}
			given, filled = given+want, 0
		}
		free = append(free, s.buffer)
	}
	return nil
}

// short hands over a few bytes through the blocks: a dump of many small pieces
// would else ask for its neighbours again and again.
func (r *Reader) short(off, n int64, buf []byte, visit func(p []byte) error) error {
	r.prefetch([]source.Range{{Off: off, Bytes: n}})
	for n > 0 {
		p := buf[:min(int64(len(buf)), n)]
		if _, err := r.read(p, off); err != nil {
			return err
		}
		if err := visit(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// borrow gives a stream its buffers: as many as streams may have in all, or one
// where others have them.
func (r *Reader) borrow() ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.broken(); err != nil {
		return nil, err
	}
	list := r.spare
	r.spare = nil
	for len(list) < max(1, streams-r.lent) {
		list = append(list, make([]byte, r.o.Request))
	}
	r.lent += len(list)
	return list, nil
}

// giveBack takes those back that nothing is fetched into any more; n were lent.
func (r *Reader) giveBack(list [][]byte, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent -= n
	for _, p := range list {
		if len(r.spare) < streams-r.lent {
			r.spare = append(r.spare, p)
		}
	}
}
