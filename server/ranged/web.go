package ranged

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"coredrop/core/fault"
	"coredrop/server/upstream"
)

// WebOptions say how a web server is asked.
type WebOptions struct {
	// AllowHTTP names hosts that may be asked over plain http; this machine's own
	// always may.
	AllowHTTP []string
	// UserAgent is sent as it is. Empty: "coredrop".
	UserAgent string
	// Transport makes the connections. Nil: upstream.NewTransport's, which leads
	// redirects to no address of this machine.
	Transport http.RoundTripper
	// Reader is for the reader; Size and Name are found out.
	Reader Options
}

// web is an object behind a web server, in the version that was there first.
type web struct {
	client    *http.Client
	agent     string
	allowHTTP []string
	url       *url.URL
	name      string // of the object

	known bool   // the rest is
	size  int64  // in bytes
	tag   string // its ETag; empty: there is none
	since string // its Last-Modified; empty: not said

	mu        sync.Mutex
	at        *url.URL        // where url led to, which is asked next time
	strangers map[string]bool // hosts, with their ports, that a server named
}

// OpenHTTP opens what an https URL names: http only to this machine and to the hosts
// of AllowHTTP. It asks for the first byte, since an address that is signed is signed
// for GET alone, and learns by that how long the object is and which version of it
// is there; every read asks for that version. Where the server names none (neither
// ETag nor Last-Modified) only the length says that it is another. Errors are
// *fault.Error: bad-option or plain-http (the address), no-permission, no-ranges,
// input-unreadable, cancelled. No message has more of the address than its host and
// the last part of its path.
func OpenHTTP(ctx context.Context, address string, o WebOptions) (*Reader, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.New(fault.BadOption, "the address is no URL of a file: https://HOST/PATH")
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Scheme == "http" && !upstream.HTTPAllowed(u, o.AllowHTTP) {
		return nil, upstream.PlainHTTP("the server", u.Scheme+"://"+u.Host)
	}
	w := &web{url: u, at: u, name: NameOf(address), agent: o.UserAgent, allowHTTP: o.AllowHTTP, strangers: map[string]bool{}}
	if w.agent == "" {
		w.agent = "coredrop"
	}
	transport := o.Transport
	if transport == nil {
		t := upstream.NewTransport()
		t.DialContext = upstream.Dial(w.isStranger)
		context.AfterFunc(ctx, t.CloseIdleConnections)
		transport = t
	}
	w.client = &http.Client{Transport: transport, CheckRedirect: w.checkRedirect}
	o.Reader.Name = w.name
	r := New(ctx, w, o.Reader)
	if err := r.persist(ctx, func(ctx context.Context, _ func()) (bool, error) { return false, w.look(ctx) }, func() string { return w.name + " from " + u.Hostname() }); err != nil {
		return nil, err
	}
	r.o.Size = w.size
	return r, nil
}

// checkRedirect follows redirects to anywhere, by the rules that hold for all.
func (w *web) checkRedirect(req *http.Request, via []*http.Request) error {
	if err := upstream.Redirect(req, via, w.allowHTTP); err != nil {
		return err
	}
	if !strings.EqualFold(req.URL.Hostname(), w.url.Hostname()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.strangers[withPort(req.URL)] = true
	}
	return nil
}

// isStranger reports whether a server chose a host, and not the user.
func (w *web) isStranger(address string) bool {
	host, _, err := net.SplitHostPort(address)
	w.mu.Lock()
	defer w.mu.Unlock()
	return err == nil && w.strangers[strings.ToLower(address)] && !upstream.Near(host, w.allowHTTP)
}

// withPort is a host as it is dialled.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

// maxName is how long the name of an object may be, in bytes: as long as most file
// systems take, with the ending of a dump.
const maxName = 200

// NameOf is what an object is called in messages, and its dump after it: the last
// part of its address's path, else the host. Of the rest of the address it shows
// nothing.
func NameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return SafeName("", "")
	}
	name, err := url.PathUnescape(path.Base(u.EscapedPath()))
	if err != nil {
		name = ""
	}
	return SafeName(name, u.Hostname())
}

// SafeName makes a name that a file can have on any system, and that no terminal
// obeys; otherwise stands for one that is none.
func SafeName(name, otherwise string) string {
	if strings.Trim(name, `./\ `) == "" {
		name = otherwise
	}
	name = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	for len(name) > maxName {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	if name == "" {
		return "file"
	}
	return name
}

// look asks for the first byte.
func (w *web) look(ctx context.Context) error {
	resp, err := w.ask(ctx, 0, 1)
	if err != nil {
		return err
	}
	defer w.end(resp)
	w.tag, w.since = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	first, last, size, err := contentRange(resp.Header)
	switch {
	case resp.StatusCode == http.StatusOK && resp.ContentLength == 0, // a part of nothing is all of it
		resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && strings.TrimSpace(resp.Header.Get("Content-Range")) == "bytes */0":
		w.known = true
		return nil
	case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return fault.New(fault.NoRanges, "%s cannot be read here and there: %s does not answer Range requests", w.name, w.url.Hostname())
	case resp.StatusCode != http.StatusPartialContent:
		return w.refused(resp)
	case err != nil || size <= 0 || first != 0 || last != 0:
		return fault.New(fault.NoRanges, "%s cannot be read here and there: %s answers a Range request and does not say with what", w.name, w.url.Hostname())
	}
	w.known, w.size = true, size
	return w.identity(resp)
}

// Range asks for a part of the version that was there first.
func (w *web) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	resp, err := w.ask(ctx, off, n)
	if err != nil {
		return nil, err
	}
	if err := w.same(resp, off, n); err != nil {
		w.end(resp)
		return nil, err
	}
	return &webBody{w, resp.Body}, nil
}

// ask sends a request, to where the last one was led. Where that is no longer
// answered, the address itself is asked once more: a signature may have ended that
// the first server would give anew.
func (w *web) ask(ctx context.Context, off, n int64) (*http.Response, error) {
	for {
		w.mu.Lock()
		at := w.at
		w.mu.Unlock()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
		if err != nil {
			return nil, fault.New(fault.BadOption, "the address of %s is no URL", w.name)
		}
		req.Header.Set("User-Agent", w.agent)
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		switch {
		case w.strong():
			req.Header.Set("If-Match", w.tag)
		case w.since != "":
			req.Header.Set("If-Unmodified-Since", w.since)
		}
		resp, err := w.client.Do(req)
		led := at.String() != w.url.String()
		if err == nil {
			switch resp.StatusCode {
			case http.StatusPartialContent:
				w.lead(resp.Request.URL)
				return resp, nil
			case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
				if led {
					w.end(resp)
					w.lead(w.url)
					continue
				}
			}
			return resp, nil
		}
		if led && ctx.Err() == nil {
			w.lead(w.url) // the next try
		}
		return nil, w.trouble(err)
	}
}

// lead says where to ask next time. An address with a password in it is the user's.
func (w *web) lead(to *url.URL) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = to
}

// strong reports whether the ETag names the very bytes; a weak one names what is as
// good.
func (w *web) strong() bool { return strings.HasPrefix(w.tag, `"`) }

// same checks that an answer is the part that was asked for, of the same version.
func (w *web) same(resp *http.Response, off, n int64) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		return fault.New(fault.NoRanges, "%s does not answer Range requests for %s any more", w.url.Hostname(), w.name)
	default:
		return w.refused(resp)
	}
	first, last, size, err := contentRange(resp.Header)
	tag, since := resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	switch {
	case err != nil:
		return fault.New(fault.NoRanges, "%s answers a Range request for %s and does not say with what", w.url.Hostname(), w.name)
	case size != w.size:
		return changed("%s had %d bytes and has %d: it was replaced while it was being read", w.name, w.size, size)
	case w.tag != tag && (w.strong() || w.since == ""), !w.strong() && w.since != since:
		return changed("%s was replaced while it was being read", w.name)
	case first != off || last >= off+n:
		return fault.New(fault.InputUnreadable, "could not read %s at %#x: %s gave the bytes from %#x to %#x in place of %d from there", w.name, off, w.url.Hostname(), first, last, n)
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		return fault.New(fault.InputUnreadable, "could not read %s at %#x: %s announced %d bytes for a part of %d", w.name, off, w.url.Hostname(), resp.ContentLength, last-first+1)
	}
	return w.identity(resp)
}

// identity checks that what comes are the object's bytes.
func (w *web) identity(resp *http.Response) error {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fault.New(fault.NoRanges, "%s cannot be read here and there: %s gives it with the Content-Encoding %.20q, which was not asked for", w.name, w.url.Hostname(), coding)
	}
	return nil
}

// contentRange reads "bytes FIRST-LAST/SIZE".
func contentRange(h http.Header) (first, last, size int64, err error) {
	text := h.Get("Content-Range")
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return 0, 0, 0, err
	}
	if first < 0 || last < first || size <= last || text != fmt.Sprintf("bytes %d-%d/%d", first, last, size) {
		return 0, 0, 0, errors.New("it makes no sense")
	}
	return first, last, size, nil
}

// refused gives the meaning of a status.
func (w *web) refused(resp *http.Response) error {
	host := w.url.Hostname()
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fault.New(fault.NoPermission, "%s refuses %s (status %d)", host, w.name, s).Instead(
			fault.Step{Text: "an address that is signed ends after a time, and is for GET: make a new one", For: []fault.Surface{fault.CLI}},
			fault.Step{Text: "an address that needs a login is not for this: download the file, then give that", For: []fault.Surface{fault.CLI}})
	case (s == http.StatusNotFound || s == http.StatusGone) && !w.known:
		return fault.New(fault.InputUnreadable, "there is no such object: %s has no %s (status %d)", host, w.name, s)
	case s == http.StatusNotFound || s == http.StatusGone:
		return changed("%s was removed while it was being read", w.name)
	case s == http.StatusPreconditionFailed:
		return changed("%s was replaced while it was being read", w.name)
	case s == http.StatusRequestedRangeNotSatisfiable:
		return changed("%s became shorter while it was being read", w.name)
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500 && s != http.StatusNotImplemented && s != http.StatusHTTPVersionNotSupported:
		return &trouble{text: fmt.Sprintf("%s answered with status %d", host, s), after: upstream.Patience(resp.Header)}
	default:
		return fault.New(fault.InputUnreadable, "could not read %s: %s answered with status %d", w.name, host, s)
	}
}

// changed is another version than the one that is being read.
func changed(format string, args ...any) error {
	return fault.New(fault.FileChanged, format, args...).Instead(fault.Step{Text: "begin again when nothing writes it any more"})
}

// trouble is what may be over at the next try.
type trouble struct {
	text  string
	after time.Duration
	err   error
}

func (t *trouble) Error() string             { return t.text }
func (t *trouble) Unwrap() error             { return t.err }
func (t *trouble) RetryAfter() time.Duration { return t.after }

// trouble words a request that had no answer, or one that broke off.
func (w *web) trouble(err error) error {
	var located *url.Error
	if errors.As(err, &located) {
		err = located.Err // without the address
	}
	var refused *upstream.RedirectError
	if errors.As(err, &refused) {
		return fault.New(fault.InputUnreadable, "could not read %s: %s answered with %v", w.name, w.url.Hostname(), refused)
	}
	said := upstream.Reason(err, func(host string) bool { return strings.EqualFold(host, w.url.Hostname()) })
	if upstream.Hopeless(err) {
		return fault.Wrap(err, fault.InputUnreadable, "could not read %s from %s: %s", w.name, w.url.Hostname(), said)
	}
	return &trouble{text: said, err: err}
}

// What is read of the text of a refusal: behind a text that was read to its end the
// connection can be used again.
const (
	drainBytes = 64 << 10
	drainTime  = time.Second
)

// end ends an answer of which nothing is wanted.
func (w *web) end(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= drainBytes {
		late := time.AfterFunc(drainTime, func() { resp.Body.Close() })
		io.CopyN(io.Discard, resp.Body, drainBytes) // else another connection is made
		late.Stop()
	}
	resp.Body.Close() // nothing of it is wanted
}

// webBody words what breaks off.
type webBody struct {
	w *web
	io.ReadCloser
}

func (b *webBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = b.w.trouble(err)
	}
	return n, err
}
