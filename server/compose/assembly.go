package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/server/bucket"
)

// How much is done at once: copies cost the store work and us nothing; what is sent
// shares one wire.
const (
	copiesAtOnce = 8
	sendsAtOnce  = 4
)

// How long who cancelled waits: for requests that are on their way to end, and then for
// what was begun to be removed.
const (
	patience    = 10 * time.Second
	abortWithin = 15 * time.Second
)

// Upload is an upload that was begun: *bucket.Upload, or what tests put in its place.
type Upload interface {
	Copy(ctx context.Context, number int, from *bucket.Object, off, n int64) error
	Put(ctx context.Context, number int, n int64, body func() io.Reader) error
	Complete(ctx context.Context) (bucket.Done, error)
	Abort(ctx context.Context) error
}

// assembly is a job on its way.
type assembly struct {
	Job
	steps   []dmp.Step
	sending chan struct{} // holds one for each step that is being sent
	grace   time.Duration // patience, but for tests

	mu           sync.Mutex
	copied, sent int64         // bytes
	refused      map[int]error // by file: why the store does not copy of it
}

func newAssembly(j Job, steps []dmp.Step) *assembly {
	return &assembly{Job: j, steps: steps, sending: make(chan struct{}, sendsAtOnce), grace: patience, refused: map[int]error{}}
}

// create makes the object in one request.
func (a *assembly) create(ctx context.Context) (r Result, err error) {
	err = a.feed(ctx, 0, a.Image.Size(), a.Still, func(body func() io.Reader) error {
		return a.request(ctx, func(ctx context.Context) (err error) {
			r.Done, err = a.Store.Create(ctx, a.To, a.Image.Size(), body, a.Replace)
			return err
		})
	})
	return a.result(ctx, r.Done, err)
}

// make makes the object of parts. begun is asked first; when it fails, or anything
// else, the upload is aborted.
func (a *assembly) make(ctx context.Context, u Upload, begun func() error) (Result, error) {
	done, err := a.parts(ctx, u, begun)
	r, err := a.result(ctx, done, err)
	if err == nil {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	var known *fault.Error
	if left := u.Abort(ctx); left != nil && errors.As(err, &known) {
		known.Hint("%v", left).Add(fault.As(left).Hints...)
	} else if left != nil {
		err = fmt.Errorf("%w; %w", err, left)
	}
	return Result{}, err
}

// parts does the steps, and completes the upload.
func (a *assembly) parts(ctx context.Context, u Upload, begun func() error) (done bucket.Done, err error) {
	if err := begun(); err != nil {
		return done, err
	}
	if err := a.all(ctx, u); err != nil {
		return done, err
	}
	if a.Still != nil {
		if err := a.Still(); err != nil {
			return done, err
		}
	}
	a.Sink.Report("waiting for the object store", a.Image.Size(), a.Image.Size())
	err = a.request(ctx, func(ctx context.Context) (err error) {
		done, err = u.Complete(ctx)
		return err
	})
	return done, err
}

// request does a request that is not ended at once when ctx is: the store may do what
// it was asked by a client that left, and what comes behind the end of an upload stays.
func (a *assembly) request(ctx context.Context, do func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	request, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(a.grace, end) })()
	return do(request)
}

// result says what was made and how, or why not.
func (a *assembly) result(ctx context.Context, done bucket.Done, err error) (Result, error) {
	switch {
	case err != nil && ctx.Err() != nil:
		return Result{}, fault.Wrap(err, fault.Cancelled, "")
	case err != nil:
		return Result{}, err
	}
	r := Result{Done: done, Copied: a.copied, Sent: a.sent}
	for file, from := range a.Files {
		if why := a.refused[file]; why != nil {
			r.Warnings = append(r.Warnings, notCopied(from, why))
		}
	}
	return r, nil
}

// notCopied is the warning that what could have been copied was sent.
func notCopied(from *bucket.Object, why error) fault.Warning {
	reason := strings.TrimPrefix(why.Error(), bucket.ErrNoCopy.Error()+": ")
	return fault.Warn(fault.CopiedHere, "the object store does not copy ranges of %s itself (%s): they went through this machine", from.Name, reason)
}

// all does the steps, several at once. The first error ends the others and is
// returned, when they have ended.
func (a *assembly) all(ctx context.Context, u Upload) error {
	workers, ctx := errgroup.WithContext(ctx)
	each := func(atOnce int, numbers []int, do func(ctx context.Context, u Upload, number int) error) {
		next := atomic.Int64{}
		for range min(atOnce, len(numbers)) {
			workers.Go(func() error {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(numbers) {
						return nil
					}
					if err := do(ctx, u, numbers[i]); err != nil {
						return err
					}
				}
			})
		}
	}
	var copies, sends []int
	for i, s := range a.steps {
		if s.Copy {
			copies = append(copies, i+1)
		} else {
			sends = append(sends, i+1)
		}
	}
	each(copiesAtOnce, copies, a.copy)
	each(sendsAtOnce, sends, a.send)
	return workers.Wait()
}

// copy has the store copy a step; if it does not, it is sent.
func (a *assembly) copy(ctx context.Context, u Upload, number int) error {
	s := a.steps[number-1]
	if a.copies(s.File) {
		a.log("part %d, write %#x: %d bytes of the core from %#x, by the store", number, s.Off, s.Bytes, s.From)
		err := a.request(ctx, func(ctx context.Context) error { return u.Copy(ctx, number, a.Files[s.File], s.From, s.Bytes) })
		switch {
		case err == nil:
			a.advance(&a.copied, s.Bytes)
			return nil
		case !errors.Is(err, bucket.ErrNoCopy):
			return err
		}
		a.refuse(s.File, err)
	}
	return a.send(ctx, u, number)
}

// copies reports whether the store has not refused yet to copy of a file.
func (a *assembly) copies(file int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused[file] == nil
}

func (a *assembly) refuse(file int, why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[file] = why
}

// send sends a step.
func (a *assembly) send(ctx context.Context, u Upload, number int) error {
	select {
	case a.sending <- struct{}{}:
		defer func() { <-a.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s := a.steps[number-1]
	a.log("part %d, write %#x: %d bytes sent", number, s.Off, s.Bytes)
	return a.feed(ctx, s.Off, s.Bytes, nil, func(body func() io.Reader) error {
		return a.request(ctx, func(ctx context.Context) error { return u.Put(ctx, number, s.Bytes, body) })
	})
}

// feed has do send n bytes of the image from off on, which body gives as often as it is
// asked; they end when ctx does. last is asked before the last of them are given, and
// an error of it ends them.
func (a *assembly) feed(ctx context.Context, off, n int64, last func() error, do func(body func() io.Reader) error) error {
	var b *body
	end := func() {
		if b != nil {
			b.end()
		}
	}
	defer end()
	err := do(func() io.Reader {
		end()
		if b != nil {
			a.advance(&a.sent, b.left-n)
		}
		b = a.read(ctx, off, n, last)
		return b
	})
	if err != nil && b != nil && b.failed() != nil {
		return b.failed() // that it broke off is all that the store knows
	}
	return err
}

// advance counts bytes as done; fewer, when what was sent has to be sent again.
func (a *assembly) advance(of *int64, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*of += bytes
	a.Sink.Report("writing", a.copied+a.sent, a.Image.Size())
}

func (a *assembly) log(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Sink.Logf(format, args...)
}
