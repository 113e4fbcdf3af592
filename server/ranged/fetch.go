package ranged

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"coredrop/core/fault"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 10 * time.Second
	// enough is how many bytes a request must bring to count as one that did, where
	// many are missing: who brings a few at a time would be asked for ever.
	enough = 64 << 10
	// patience is the longest Retry-After that is waited for: whoever waits for a
	// result should rather know.
	patience = time.Minute
)

var (
	errStalled = errors.New("nothing arrived for too long")
	errCut     = errors.New("the answer ended early")
	errAhead   = errors.New("it was announced and did not come")
)

// pause is what is waited for after so many tries that brought nothing.
func pause(failed int) time.Duration {
	d := min(firstPause<<min(failed-1, 10), longPause)
	return d/2 + rand.N(d/2)
}

// cancelled is the end by the context.
func cancelled(ctx context.Context) error {
	return fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
}

// fetch fills parts, which adjoin in the object from off on, and calls filled for
// each. It tries again what fails for other reasons than its own, from the byte on
// where it broke off. Errors are *fault.Error.
func (r *Reader) fetch(ctx context.Context, off int64, parts [][]byte, filled func(i int)) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return cancelled(ctx)
	}
	t := &transfer{parts: parts, filled: filled}
	for _, p := range parts {
		t.left += int64(len(p))
	}
	begin := off + t.left
	return r.persist(ctx, func(ctx context.Context, alive func()) (bool, error) {
		before := t.left
		err := r.attempt(ctx, begin-t.left, t, alive)
		return t.left < before && before-t.left >= min(enough, before/32), err
	}, func() string { return fmt.Sprintf("%s at %#x", r.o.Name, begin-t.left) })
}

// persist makes a request again that fails for other reasons than its own, as long as
// some of them bring something. request calls alive when something arrives, and says
// whether it did; what names what is asked for.
func (r *Reader) persist(ctx context.Context, request func(ctx context.Context, alive func()) (progress bool, err error), what func() string) error {
	for failed := 0; ; {
		within, cancel := context.WithCancelCause(ctx)
		stall := time.AfterFunc(r.o.Idle, func() { cancel(errStalled) })
		progress, err := request(within, func() { stall.Reset(r.o.Idle) })
		stall.Stop()
		stalled := context.Cause(within) == errStalled
		cancel(nil)
		var final *fault.Error
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return cancelled(ctx)
		case errors.As(err, &final) && !(stalled && final.Code == fault.Cancelled):
			return err
		case stalled:
			err = errStalled
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			err = errCut
		}
		if failed++; progress {
			failed = 0
		}
		if failed >= r.o.Tries {
			return fault.Wrap(err, fault.InputUnreadable, "could not read %s: %v; %s", what(), err, times(failed))
		}
		if err := r.rest(ctx, err, max(1, failed)); err != nil {
			return err
		}
	}
}

func times(n int) string {
	if n == 1 {
		return "it was tried once"
	}
	return fmt.Sprintf("it was tried %d times", n)
}

// rest waits before the next try.
func (r *Reader) rest(ctx context.Context, err error, failed int) error {
	wait := r.o.Pause(failed)
	var busy interface{ RetryAfter() time.Duration }
	if errors.As(err, &busy) {
		wait = max(wait, busy.RetryAfter())
	}
	if wait > patience {
		return fault.Wrap(err, fault.InputUnreadable, "could not read %s: %v", r.o.Name, err).
			Hint("try again in %v, which is what it asks for", wait.Round(time.Second))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

// transfer is where the bytes of a fetch go.
type transfer struct {
	parts  [][]byte // what is still to be filled
	at     int      // number of the first of them
	left   int64
	filled func(i int)
}

// took counts n bytes that were put into the first part. The last part is full when
// nothing came behind it.
func (t *transfer) took(n int) {
	t.left -= int64(n)
	if t.parts[0] = t.parts[0][n:]; len(t.parts[0]) == 0 && t.left > 0 {
		t.filled(t.at)
		t.parts, t.at = t.parts[1:], t.at+1
	}
}

// attempt makes one request for what is left of a transfer.
func (r *Reader) attempt(ctx context.Context, off int64, t *transfer, alive func()) error {
	asked := t.left
	body, err := r.object.Range(ctx, off, asked)
	if err != nil {
		return err
	}
	defer body.Close()
	for t.left > 0 {
		n, err := body.Read(t.parts[0])
		if n > 0 {
			alive()
			t.took(n)
		}
		if err != nil && t.left > 0 {
			return err
		}
	}
	// Behind a body that was read to its end the connection can be used again. All
	// is there: whatever it is that ends it.
	if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 {
		return fault.New(fault.InputUnreadable, "could not read %s at %#x: more came than the %d bytes that were asked for", r.o.Name, off, asked)
	}
	t.filled(t.at)
	return nil
}
