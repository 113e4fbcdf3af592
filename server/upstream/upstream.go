// Package upstream fetches PDBs from symbol servers over https: for the command
// line, which asks on its user's account, and for the page's server, which asks
// on its own. It holds the policy (schemes, redirects, limits, time) and does
// not store: symstore.Chain takes what comes, verifies it and keeps it.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// Microsoft is the public symbol server for Windows.
const Microsoft = symstore.MicrosoftURL

// BlobHosts is the suffix of the hosts that Microsoft's server redirects to.
// Firewalls that allow one and forget the other break the download.
const BlobHosts = ".blob.core.windows.net"

// Limits, with what they protect from:
const (
	maxRedirects   = 3
	maxFile        = 2 << 30          // kernel PDBs have about 11 MB; this stops a server that never ends
	headerTimeout  = 15 * time.Second // a server that accepts and says nothing
	proxyTimeout   = 35 * time.Second // one that fetches the file itself says nothing for 25 s
	idleTimeout    = 30 * time.Second // a transfer that stalls
	totalTimeout   = 10 * time.Minute // 11 MB over 20 KB/s
	connectTimeout = 5 * time.Second
	// DefaultConnections is how many connections one server gets.
	DefaultConnections = 8
)

// Client asks one symbol server. Only URL is needed; it is safe for concurrent
// use once its fields are set.
type Client struct {
	// URL is the server's base, before /NAME/ID/NAME. It must be https, but for
	// this machine's own servers and the hosts of AllowHTTP.
	URL string
	// AllowHTTP names hosts that may be asked over plain http, on a trusted
	// network; redirects to them may then be http too. This machine's own
	// (localhost, 127.0.0.1, ::1) always may: nobody is in between.
	AllowHTTP []string
	// RedirectHosts lists where the server may redirect to besides its own
	// host: a name, or a suffix that begins with a dot. Nil: BlobHosts.
	RedirectHosts []string
	// Proxy says that the server fetches what it does not have, as Coredrop and
	// SymProxy do: it may take 25 seconds to answer. AnyCase is implied.
	Proxy bool
	// AnyCase says that the server does not tell cases of letters apart, as
	// Microsoft's is known not to.
	AnyCase bool
	// Connections is how many the server gets at once. 0: 8.
	Connections int
	// UserAgent is sent as it is. Empty: "coredrop".
	UserAgent string
	// Transport makes the connections. Nil: one that honours HTTPS_PROXY and
	// NO_PROXY, never decompresses and has the time limits of this package.
	Transport http.RoundTripper
	// MaxBytes is the largest file that is taken. 0: 2 GiB.
	MaxBytes int64
	// IdleTimeout ends a transfer in which no byte arrived for so long.
	// 0: 30 seconds.
	IdleTimeout time.Duration
	// TotalTimeout ends a transfer that takes longer in all. 0: 10 minutes.
	TotalTimeout time.Duration

	resumePause time.Duration // of OpenResuming; 0: the constant

	once     sync.Once
	client   *http.Client
	base     *url.URL
	err      error
	resolver *net.Resolver // nil: the system's
}

// NewTransport makes the transport that a Client without one uses.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = dialer().DialContext
	t.TLSHandshakeTimeout = 2 * connectTimeout
	t.ResponseHeaderTimeout = headerTimeout
	t.MaxConnsPerHost = DefaultConnections
	t.MaxIdleConnsPerHost = DefaultConnections
	// Go would unzip silently and drop Content-Length with it: the one thing
	// that tells a whole body from a cut one, and that progress is made of.
	t.DisableCompression = true
	return t
}

// Check reports whether the address can be used, as a *fault.Error with the code
// bad-option or plain-http; it asks nobody. Without it the first fetch says so.
func (c *Client) Check() error { return c.prepare() }

// prepare checks the fields once.
func (c *Client) prepare() error {
	c.once.Do(func() {
		c.base, c.err = url.Parse(c.URL)
		if c.err != nil || c.base.Host == "" || !slices.Contains([]string{"https", "http"}, c.base.Scheme) || c.base.RawQuery != "" || c.base.User != nil {
			c.err = fault.New(fault.BadOption, "the symbol server's address %q is not an https URL", c.URL)
			return
		}
		if !allowed(c.base, c.AllowHTTP) {
			c.err = PlainHTTP("the symbol server", c.URL)
			return
		}
		t := c.Transport
		if t == nil {
			t = c.transport()
		}
		c.client = &http.Client{Transport: t, CheckRedirect: c.checkRedirect}
	})
	return c.err
}

// transport makes the client's own.
func (c *Client) transport() *http.Transport {
	t := NewTransport()
	t.DialContext = c.dial
	t.ResponseHeaderTimeout = c.patience()
	if c.Connections > 0 {
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost = c.Connections, c.Connections
	}
	return t
}

// patience is how long the server may take to begin its answer.
func (c *Client) patience() time.Duration {
	if c.Proxy {
		return proxyTimeout
	}
	return headerTimeout
}

func allowed(u *url.URL, allowHTTP []string) bool {
	return u.Scheme == "https" || u.Scheme == "http" && HTTPAllowed(u, allowHTTP)
}

// HTTPAllowed is the one rule of plain http: to this machine, or to a host (a
// name, or a name with its port) that is on the list.
func HTTPAllowed(u *url.URL, list []string) bool {
	host := strings.ToLower(u.Hostname())
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return slices.ContainsFunc(list, func(allowed string) bool {
		return strings.EqualFold(allowed, host) || strings.EqualFold(allowed, u.Host)
	})
}

// PlainHTTP is the refusal of an address that the rule does not allow; what says
// what is there.
func PlainHTTP(what, address string) *fault.Error {
	f := fault.New(fault.PlainHTTP, "%s %s is not asked: plain http lets anybody on the way change the file, and it is allowed to this machine only, or by name", what, address)
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		f.Instead(fault.Step{Text: "use its https address, or, on a network you trust, allow it", Command: "-allow-http " + u.Hostname(), For: []fault.Surface{fault.CLI}})
	}
	return f
}

// RedirectError is a redirect that is not followed; it names the host only, since
// the query of a blob URL is a signature.
type RedirectError struct{ text string }

func (e *RedirectError) Error() string { return e.text }

// Redirect is what holds for every redirect, wherever it leads; an error is a
// *RedirectError. It is the CheckRedirect of an http.Client, but for the list of
// hosts that may be asked over plain http.
func Redirect(req *http.Request, via []*http.Request, allowHTTP []string) error {
	if len(via) > maxRedirects {
		return &RedirectError{fmt.Sprintf("more than %d redirects", maxRedirects)}
	}
	from := via[len(via)-1].URL
	if !allowed(req.URL, allowHTTP) || from.Scheme == "https" && req.URL.Scheme != "https" {
		return &RedirectError{fmt.Sprintf("a redirect to %s:, which is not https", req.URL.Scheme)}
	}
	if req.URL.User != nil {
		return &RedirectError{"a redirect with a user's name in it"} // net/http would log in with it
	}
	// The page before a redirect is nobody's business.
	req.Header.Del("Referer")
	return nil
}

// checkRedirect is the fence: which hosts are contacted is decided here and by
// URL, whatever a server answers.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if err := Redirect(req, via, c.AllowHTTP); err != nil {
		return err
	}
	if !c.allowedHost(req.URL) {
		return &RedirectError{fmt.Sprintf("a redirect to %s, a host that is not on the list", req.URL.Hostname())}
	}
	return nil
}

func (c *Client) allowedHost(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	if authority(u) == authority(c.base) {
		return true
	}
	list := c.RedirectHosts
	if list == nil {
		list = []string{BlobHosts}
	}
	for _, allowed := range list {
		allowed = strings.ToLower(allowed)
		if host == allowed || strings.HasPrefix(allowed, ".") && strings.HasSuffix(host, allowed) && len(host) > len(allowed) {
			return true
		}
	}
	return false
}

// authority is the host with its port, without the one that the scheme implies.
func authority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	return strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

// KeyURL is the address that Open asks for a key.
func (c *Client) KeyURL(k symstore.Key) string {
	return strings.TrimRight(c.URL, "/") + "/" + path.Join(url.PathEscape(k.Name), url.PathEscape(k.ID), url.PathEscape(k.Name))
}

// Host names the server for messages.
func (c *Client) Host() string {
	if c.prepare() != nil {
		return c.URL
	}
	return c.base.Hostname()
}

// Open asks for a key, as it is spelled, and then in lower case, for servers that
// tell cases apart and have names in the form of SSQP. It gives the body with its
// length, -1 where the server does not say. The first bytes are those of its kind,
// but what comes must be verified. Errors, of reading too, are *fault.Error:
// symbols-not-found, server-busy, symbols-not-a-pdb, symbols-compressed,
// symbols-offline (any network trouble), cancelled, bad-option and plain-http (the
// address).
func (c *Client) Open(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error) {
	if err := c.prepare(); err != nil {
		return nil, 0, err
	}
	r, length, err := c.open(ctx, k)
	lower := symstore.Key{Name: strings.ToLower(k.Name), ID: strings.ToLower(k.ID)}
	if !fault.Is(err, fault.SymbolsNotFound) || lower == k || c.foldsCase() {
		return r, length, err
	}
	if r, length, again := c.open(ctx, lower); !fault.Is(again, fault.SymbolsNotFound) {
		return r, length, again
	}
	return nil, 0, err
}

// foldsCase reports whether the server is known to take any spelling for the
// same: asking twice would be in vain.
func (c *Client) foldsCase() bool {
	return c.Proxy || c.AnyCase || strings.HasSuffix(strings.ToLower(c.base.Hostname()), ".microsoft.com")
}

func (c *Client) open(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error) {
	b := &body{c: c, k: k, limit: c.MaxBytes, idle: orDefault(c.IdleTimeout, idleTimeout)}
	if b.limit <= 0 {
		b.limit = maxFile
	}
	if err := c.start(ctx, b); err != nil {
		return nil, 0, err
	}
	return b, b.length, nil
}

// start sends a download's request and sets its limits of time.
func (c *Client) start(ctx context.Context, b *body) error {
	ctx, cancel := context.WithCancelCause(ctx)
	b.ctx, b.cancel = ctx, cancel
	b.total = time.AfterFunc(orDefault(c.TotalTimeout, totalTimeout), func() { cancel(errTooSlow) })
	first := b.idle
	if c.Proxy {
		first = max(first, c.patience()+connectTimeout)
	}
	b.stall = time.AfterFunc(first, func() { cancel(errStalled) })
	if err := b.begin(); err != nil {
		b.Close() // the error of the request says more
		return err
	}
	return nil
}

var (
	errStalled = errors.New("no data arrived for too long")
	errTooSlow = errors.New("the download took too long")
)

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
