package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// The first bytes of the files a symbol server may give (LLVM's MsfFormat
// documentation; the cabinet signature of [MS-CAB]).
const (
	msfMagic = "Microsoft C/C++ MSF 7.00\r\n\x1aDS"
	cabMagic = "MSCF"
)

// checkStatus gives the meaning of a status code.
func (c *Client) checkStatus(k symstore.Key, resp *http.Response) error {
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s == http.StatusNotFound || s == http.StatusGone:
		return fault.New(fault.SymbolsNotFound, "%s does not have %s", c.Host(), k)
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		busy := fault.New(fault.ServerBusy, "%s is busy (status %d)", c.Host(), s)
		if after := resp.Header.Get("Retry-After"); after != "" && len(after) < 40 {
			busy.Hint("the server says: retry after %q", after)
		}
		return busy
	default:
		return c.manual(k, fault.New(fault.SymbolsOffline, "%s refused %s with status %d", c.Host(), k, s))
	}
}

// offline puts network trouble in words. The text of net/http names the whole
// URL, with the signed query of a blob store: only the reason is taken.
func (c *Client) offline(ctx context.Context, k symstore.Key, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errStalled) || errors.Is(cause, errTooSlow) {
			return c.manual(k, fault.Wrap(cause, fault.SymbolsOffline, "%s did not give %s: %v", c.Host(), k.Name, cause))
		}
		return fault.Wrap(cause, fault.Cancelled, "")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var refused *errRedirect
	if errors.As(err, &refused) {
		return fault.Wrap(err, fault.SymbolsOffline, "%s answered with %v", c.Host(), refused)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return c.manual(k, fault.Wrap(err, fault.SymbolsOffline, "the host %s was not found", dns.Name))
	}
	return c.manual(k, fault.Wrap(err, fault.SymbolsOffline, "could not get %s from %s: %v", k.Name, c.Host(), err))
}

// manual adds the way that always works: fetch the file by hand.
func (c *Client) manual(k symstore.Key, f *fault.Error) *fault.Error {
	return f.Hint("download %s by other means and save it as STORE/%s, then use -symbols STORE", c.KeyURL(k), k)
}

func dialer() *net.Dialer { return &net.Dialer{Timeout: connectTimeout, KeepAlive: idleTimeout} }
