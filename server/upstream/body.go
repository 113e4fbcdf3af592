package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/symstore"
)

// body is a download that is running: it ends when nothing comes for too long,
// when it takes too long in all, when too much comes, and when less comes than
// was announced.
type body struct {
	c      *Client
	k      symstore.Key
	ctx    context.Context
	cancel context.CancelCauseFunc
	total  *time.Timer
	stall  *time.Timer
	idle   time.Duration
	limit  int64

	r      io.ReadCloser // the response's body; nil before it
	head   []byte        // read already, to look at it
	length int64         // announced; -1: not said
	done   int64
	tag    string // which file it is, as far as the server says
}

// begin sends the request and looks at the first bytes of the answer.
func (b *body) begin() error {
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.c.KeyURL(b.k), nil)
	if err != nil {
		return fault.Wrap(err, fault.BadOption, "the symbol server's address %q is not an https URL", b.c.URL)
	}
	agent := b.c.UserAgent
	if agent == "" {
		agent = "coredrop"
	}
	req.Header.Set("User-Agent", agent)
	if via := viaOf(b.ctx); via != "" {
		req.Header.Set("Via", via)
	}
	req.Header.Set("Accept", "application/octet-stream, */*;q=0.1")
	b.rest(req)
	resp, err := b.c.client.Do(req)
	if err != nil {
		return b.c.offline(b.ctx, b.k, err)
	}
	b.r = resp.Body
	if resp.StatusCode == http.StatusPartialContent && b.done > 0 {
		return b.continued(resp)
	}
	if err := b.c.checkStatus(b.k, resp); err != nil {
		b.drain(resp.ContentLength)
		return err
	}
	if b.done > 0 {
		return b.continued(resp) // it is not
	}
	b.length, b.tag = resp.ContentLength, validator(resp.Header)
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fault.New(fault.SymbolsNotAPDB, "%s gave %s with the Content-Encoding %.20q, which was not asked for", b.c.Host(), b.k.Name, coding)
	}
	if b.length > b.limit {
		return fault.New(fault.SymbolsNotAPDB, "%s announces %d bytes for %s, more than such a file may have", b.c.Host(), b.length, b.k.Name)
	}
	head := make([]byte, max(len(b.k.Magic()), len(pdb.CabMagic)))
	n, err := io.ReadFull(b.r, head)
	b.stall.Reset(b.idle)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return b.c.offline(b.ctx, b.k, err)
	}
	b.head = head[:n]
	return b.checkHead()
}

// What is read of the text of a refusal: behind a text that was read to its end
// the connection can be used again.
const (
	drainBytes = 64 << 10
	drainTime  = time.Second
)

// drain reads the text of a refusal, which nobody needs.
func (b *body) drain(length int64) {
	if length > drainBytes {
		return
	}
	b.stall.Reset(drainTime)
	io.CopyN(io.Discard, b.r, drainBytes) // else another connection is made
}

// checkHead refuses what is not the key's kind of file before any of it is stored.
func (b *body) checkHead() error {
	switch {
	case bytes.HasPrefix(b.head, []byte(pdb.CabMagic)):
		return fault.New(fault.SymbolsCompressed, "%s gave a compressed %s (CAB)", b.c.Host(), b.k.Name)
	case int64(len(b.head)) < b.length && len(b.head) < len(b.k.Magic()):
		return b.cut(int64(len(b.head)))
	case !bytes.HasPrefix(b.head, []byte(b.k.Magic())):
		return fault.New(fault.SymbolsNotAPDB, "what %s gave for %s is not %s", b.c.Host(), b.k.Name, b.k.Noun()).Hint("the address asked: %s", b.c.KeyURL(b.k))
	}
	return nil
}

// cut is the error of a body that ended early.
func (b *body) cut(after int64) error {
	return fault.Wrap(io.ErrUnexpectedEOF, fault.SymbolsOffline, "%s ended %s after %d of %d bytes", b.c.Host(), b.k.Name, after, b.length)
}

var errLong = errors.New("more than was announced")

// overlong is the error of a body that goes on. Over HTTP/1 net/http drops what
// is too much before it can be seen; the verification finds the file cut then.
func (b *body) overlong() error {
	return fault.Wrap(errLong, fault.SymbolsOffline, "%s did not end %s after the %d bytes that it announced", b.c.Host(), b.k.Name, b.length)
}

// Read gives the body, what was looked at first.
func (b *body) Read(p []byte) (int, error) {
	if len(b.head) > 0 {
		n := copy(p, b.head)
		b.head = b.head[n:]
		b.done += int64(n)
		return n, nil
	}
	n, err := b.r.Read(p)
	b.done += int64(n)
	if n > 0 {
		b.stall.Reset(b.idle)
	}
	switch {
	case b.done > b.limit:
		return 0, fault.New(fault.SymbolsNotAPDB, "%s gives more for %s than such a file may have", b.c.Host(), b.k.Name)
	case b.length >= 0 && b.done > b.length:
		return 0, b.overlong()
	case errors.Is(err, io.EOF) && b.length >= 0 && b.done != b.length:
		return n, b.cut(b.done)
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF) && context.Cause(b.ctx) == nil:
		return n, b.cut(b.done) // net/http compares the length too
	case b.done == b.length && context.Cause(b.ctx) == nil:
		return n, b.overlong() // over HTTP/2 net/http says so
	}
	return n, b.c.offline(b.ctx, b.k, err)
}

// Close ends the download.
func (b *body) Close() error {
	b.total.Stop()
	b.stall.Stop()
	b.cancel(context.Canceled)
	if b.r == nil {
		return nil
	}
	return b.r.Close()
}
