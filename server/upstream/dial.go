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

// errReserved is a name that leads to a place where no server of others can be.
type errReserved struct{ host string }

func (e *errReserved) Error() string {
	return "the name " + e.host + " leads to this machine, or to an address that is nobody's"
}

// Dial gives a transport's way to connect. A name in the public system of names is
// whatever its owner says at the moment: where stranger says of a host that nobody
// here chose it, an address of this machine or of the link (169.254.169.254 is where
// clouds keep their secrets) is refused after it was looked up. stranger is asked
// with the port, and of the proxy of the environment too.
func Dial(stranger func(address string) bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return dialWith(nil, stranger)
}

func dialWith(resolver *net.Resolver, stranger func(address string) bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := dialer()
		d.Resolver = resolver
		host, _, err := net.SplitHostPort(address)
		if err == nil && stranger(address) {
			d.ControlContext = func(_ context.Context, _, found string, _ syscall.RawConn) error {
				if at, err := netip.ParseAddrPort(found); err != nil || reserved(at.Addr().Unmap()) {
					return &errReserved{host}
				}
				return nil
			}
		}
		return d.DialContext(ctx, network, address)
	}
}

// dial connects. A name is a stranger unless the one who set the server up named it
// as one of this machine. A proxy is dialled as the environment has it.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialWith(c.resolver, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		return err == nil && c.allowedHost(&url.URL{Scheme: c.base.Scheme, Host: address}) && !Near(host, c.AllowHTTP)
	})(ctx, network, address)
}

// Near reports whether a host was named as one that may be this machine: by its
// address, or on the list.
func Near(host string, list []string) bool {
	host = strings.ToLower(host)
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(list, func(allowed string) bool {
			name, _, err := net.SplitHostPort(allowed)
			return strings.EqualFold(allowed, host) || err == nil && strings.EqualFold(name, host)
		})
}

// reserved reports whether no server of another machine is at an address.
func reserved(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
