package upstream

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

func dialer() *net.Dialer { return &net.Dialer{Timeout: connectTimeout, KeepAlive: idleTimeout} }

// errReserved is a name that leads to a place where no symbol server can be.
type errReserved struct{ host string }

func (e *errReserved) Error() string {
	return "the name " + e.host + " leads to this machine, or to an address that is nobody's"
}

// dial connects. A name in the public system of names is whatever its owner says
// at the moment: after it was looked up, an address of this machine or of the
// link (169.254.169.254 is where clouds keep their secrets) is refused, unless
// the one who set the server up named it as such. A proxy is dialled as the
// environment has it.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := dialer()
	d.Resolver = c.resolver
	host, _, err := net.SplitHostPort(address)
	if err == nil && c.allowedHost(&url.URL{Scheme: c.base.Scheme, Host: address}) && !c.near(host) {
		d.ControlContext = func(_ context.Context, _, found string, _ syscall.RawConn) error {
			if at, err := netip.ParseAddrPort(found); err != nil || reserved(at.Addr().Unmap()) {
				return &errReserved{host}
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

// near reports whether a host was named as one that may be this machine.
func (c *Client) near(host string) bool {
	host = strings.ToLower(host)
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(c.AllowHTTP, func(allowed string) bool {
			name, _, err := net.SplitHostPort(allowed)
			return strings.EqualFold(allowed, host) || err == nil && strings.EqualFold(name, host)
		})
}

// reserved reports whether no server of another machine is at an address.
func reserved(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
