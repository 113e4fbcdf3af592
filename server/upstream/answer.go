package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// checkStatus gives the meaning of a status code.
func (c *Client) checkStatus(k symstore.Key, resp *http.Response) error {
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s == http.StatusNotFound || s == http.StatusGone:
		return fault.New(fault.SymbolsNotFound, "%s does not have %s", c.Host(), k)
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		said := &answer{status: s, after: Patience(resp.Header)}
		busy := fault.Wrap(said, fault.ServerBusy, "%s is busy (status %d)", c.Host(), s)
		if after := resp.Header.Get("Retry-After"); after != "" && len(after) < 40 {
			busy.Hint("the server says: retry after %q", after)
		}
		return busy
	default:
		return c.manual(k, fault.Wrap(&answer{status: s}, fault.SymbolsOffline, "%s refused %s with status %d", c.Host(), k, s))
	}
}

// offline puts network trouble in words.
func (c *Client) offline(ctx context.Context, k symstore.Key, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errStalled) || errors.Is(cause, errTooSlow) {
			return c.manual(k, fault.Wrap(cause, fault.SymbolsOffline, "%s did not give %s: %v", c.Host(), k.Name, cause))
		}
		return fault.Wrap(cause, fault.Cancelled, "")
	}
	var refused *RedirectError
	if errors.As(err, &refused) {
		return fault.Wrap(err, fault.SymbolsOffline, "%s answered with %v", c.Host(), refused)
	}
	return c.manual(k, fault.Wrap(err, fault.SymbolsOffline, "could not get %s from %s: %s", k.Name, c.Host(), c.reason(err)))
}

// reason words trouble with the hosts of the policy.
func (c *Client) reason(err error) string {
	return Reason(err, func(host string) bool {
		return strings.EqualFold(host, c.Host()) || c.allowedHost(&url.URL{Host: host})
	})
}

// Reason words the kinds of network trouble that are known, and no other: the text
// of net/http has what strangers must not read, such as the signature in the URL of
// a blob, or the address of the proxy of this network. shown says whether a host
// may be named.
func Reason(err error, shown func(host string) bool) string {
	way := ""
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		way = "on the way through the proxy "
	}
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	var near *errReserved
	switch {
	case errors.As(err, &near):
		return way + near.Error()
	case errors.As(err, &dns) && shown(dns.Name):
		return way + "the host " + dns.Name + " was not found"
	case errors.As(err, &dns):
		return way + "a host was not found"
	case errors.As(err, &certificate):
		return way + "the certificate is not trusted on this machine"
	case errors.As(err, &timeout) && timeout.Timeout():
		return way + "nothing was answered in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return way + "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET):
		return way + "the connection was cut"
	}
	return way + "the connection failed, or the answer made no sense"
}

// Hopeless reports whether network trouble of a request stays what it is however
// often it is made: the host does not exist, is not trusted, or must not be asked.
func Hopeless(err error) bool {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var near *errReserved
	var refused *RedirectError
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &certificate) || errors.As(err, &near) || errors.As(err, &refused)
}

// manual adds the way that always works: fetch the file by hand.
func (c *Client) manual(k symstore.Key, f *fault.Error) *fault.Error {
	return f.Hint("download %s by other means and save it as STORE/%s, then use -symbols STORE", c.KeyURL(k), k)
}
