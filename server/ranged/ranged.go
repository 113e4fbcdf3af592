// Package ranged makes a source of an object that lies elsewhere and is read by
// ranges: behind a web server, or in a bucket. Each read is a journey, and journeys
// fail: it reads whole blocks and keeps them, makes the journeys that are announced
// at once, and goes on where one broke off. It is not for what can be read in place,
// and it writes nothing.
package ranged

import (
	"container/list"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"coredrop/core/source"
)

// Object is one version of something that can be read by ranges.
type Object interface {
	// Range opens n bytes from off on. Range and the reading of what it opens
	// end when ctx does. A *fault.Error is final, of the reading too; any other
	// error is tried again, and its text is shown in the end: it must hold no
	// secret, such as the signature of an address. An error with the method
	// RetryAfter() time.Duration asks for patience.
	Range(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// What a Reader does where its Options say nothing.
const (
	defaultBlock    = 1 << 20
	defaultCache    = 24 << 20
	defaultRequest  = 4 << 20 // larger ones gain nothing: several run at once
	defaultParallel = 12
	defaultIdle     = 30 * time.Second
	defaultTries    = 5
)

// Options are a Reader's. Size is needed; the zero value of the rest has a default.
type Options struct {
	Size int64  // of the object, in bytes
	Name string // for messages; no path

	Block    int           // bytes of a block; 0: 1 MiB
	Cache    int64         // bytes that blocks may take up, four of them at least; 0: 24 MiB
	Request  int64         // the most bytes of one request, a block at least; 0: 4 MiB
	Parallel int           // requests at once; 0: 12
	Idle     time.Duration // how long nothing may arrive before a request is made again; 0: 30 s
	Tries    int           // how often in a row one may bring nothing; 0: 5

	// Pause is how long to wait after so many of them. nil: from a fifth of a
	// second on, twice as long each time and 10 seconds at most, and of that
	// half at random, so that those who failed together do not come back so.
	Pause func(failed int) time.Duration
}

// Reader reads an Object. It is safe for concurrent use.
type Reader struct {
	ctx    context.Context
	object Object
	o      Options
	slots  chan struct{} // taken by requests that run

	mu     sync.Mutex
	change *sync.Cond       // a block was filled or dropped
	blocks map[int64]*block // by number
	recent *list.List       // of *block, the latest first
	held   int64            // bytes of blocks
	kept   []*block         // announced and not read yet, the oldest first
	spare  [][]byte         // buffers that no stream uses
	lent   int              // buffers that streams use
	err    error            // the first read that failed for good
}

// New makes a Reader of an object. ctx ends all reading: what is read then is a
// *fault.Error with the code cancelled.
func New(ctx context.Context, object Object, o Options) *Reader {
	o.Block = orDefault(o.Block, defaultBlock)
	o.Cache = max(orDefault(o.Cache, defaultCache), 4*int64(o.Block))
	o.Request = max(orDefault(o.Request, defaultRequest), int64(o.Block))
	o.Parallel = orDefault(o.Parallel, defaultParallel)
	o.Idle = orDefault(o.Idle, defaultIdle)
	o.Tries = orDefault(o.Tries, defaultTries)
	if o.Pause == nil {
		o.Pause = pause
	}
	r := &Reader{ctx: ctx, object: object, o: o, slots: make(chan struct{}, o.Parallel),
		blocks: map[int64]*block{}, recent: list.New()}
	r.change = sync.NewCond(&r.mu)
	return r
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Source is the object as the core reads it.
func (r *Reader) Source() source.Source {
	return source.Source{ReaderAt: r, Size: r.o.Size, Name: r.o.Name, Block: r.o.Block, Prefetch: r.prefetch, Ahead: r.ahead(), Stream: r.stream}
}

// ahead is how many blocks are prefetched at once.
func (r *Reader) ahead() int { return int(r.o.Cache / 2 / int64(r.o.Block)) }

var errOffset = errors.New("a negative offset")

// ReadAt reads through the blocks; a read of more than half of what they may take
// up goes past them. An error but for io.EOF is a *fault.Error: cancelled,
// file-changed, no-permission or input-unreadable, and what the object gives. A
// reader that failed fails from then on: each new attempt would take as long again.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, errOffset
	case off >= r.o.Size:
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.o.Size-off)]
	n, err := r.read(want, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// broken gives the error that all reading ends with now; nil: none. r.mu is held.
func (r *Reader) broken() error {
	if r.err == nil && r.ctx.Err() != nil {
		r.err = cancelled(r.ctx)
	}
	return r.err
}

// fail remembers the error of a read that somebody waits for, and gives the first.
func (r *Reader) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken() == nil {
		r.err = err
	}
	return r.err
}
