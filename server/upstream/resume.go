package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

const (
	// maxResumes is how often in a row a transfer is taken up again that brings
	// nothing more.
	maxResumes = 5
	// resumePause is how long the first of them waits; each waits twice as long
	// as the one before.
	resumePause = time.Second
)

// OpenResuming is Open for who would rather wait than begin again: where a
// transfer breaks off, the rest is asked for, if the server said which file it
// was giving (ETag, Last-Modified) and still has that one.
func (c *Client) OpenResuming(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error) {
	r, length, err := c.Open(ctx, k)
	if err != nil {
		return nil, 0, err
	}
	return &resuming{ctx: ctx, body: r.(*body), pause: orDefault(c.resumePause, resumePause)}, length, nil
}

// resuming is a download that goes on.
type resuming struct {
	ctx    context.Context
	body   *body
	pause  time.Duration
	failed int // in a row
}

// Read gives the body; its errors are those of a download that was not resumed.
func (r *resuming) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		switch {
		case n > 0:
			r.failed = 0
			if err != nil && r.resumable(err) {
				err = nil // the next read has it too
			}
			return n, err
		case err == nil || !r.resumable(err):
			return n, err
		}
		if again := r.resume(); again != nil {
			return 0, again
		}
	}
}

// resumable reports whether an error is one of the way, and not of the file.
func (r *resuming) resumable(err error) bool {
	return fault.Is(err, fault.SymbolsOffline) && !errors.Is(err, errLong) && !errors.Is(err, errTooSlow) &&
		r.body.tag != "" && r.body.done < r.body.length && r.ctx.Err() == nil
}

// resume asks for the rest until there is some, or no hope.
func (r *resuming) resume() error {
	for {
		timer := time.NewTimer(r.pause << r.failed)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return fault.Wrap(context.Cause(r.ctx), fault.Cancelled, "")
		}
		r.failed++
		old := r.body
		b := &body{c: old.c, k: old.k, limit: old.limit, idle: old.idle, length: old.length, tag: old.tag, done: old.done}
		err := old.c.start(r.ctx, b)
		if err == nil {
			old.Close() // what is left of it is of no use
			r.body = b
			return nil
		}
		if errors.Is(err, errOther) || !r.resumable(err) && !fault.Is(err, fault.ServerBusy) || r.failed >= maxResumes {
			return err
		}
	}
}

// Close ends the download.
func (r *resuming) Close() error { return r.body.Close() }

var errOther = errors.New("the rest is of another file")

// rest puts into a request what is missing, and of which file.
func (b *body) rest(req *http.Request) {
	if b.done == 0 {
		return
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", b.done))
	req.Header.Set("If-Range", b.tag)
}

// continued checks that an answer is the rest of the file.
func (b *body) continued(resp *http.Response) error {
	if want := fmt.Sprintf("bytes %d-%d/%d", b.done, b.length-1, b.length); resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Range") != want {
		return fault.Wrap(errOther, fault.SymbolsOffline, "%s broke off %s after %d of %d bytes and does not give the rest", b.c.Host(), b.k.Name, b.done, b.length)
	}
	return nil
}

// validator is what names the very file that an answer gives; empty: nothing
// does. A weak tag names files that are as good as each other.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}
