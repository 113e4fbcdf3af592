package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/fault"
)

// answers is a transport in the test's hands.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// said is all that a client of the proxy, or the user of the command, reads.
func said(err error) string {
	return strings.Join(append(fault.As(err).Remedy(), err.Error()), "\n")
}

// A Location that cannot be parsed is in net/http's error, with its signature.
func TestBadLocationIsNotShown(t *testing.T) {
	_, key := pdbBytes(t)
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://localhost:bad port/?sig=SECRET")
		w.WriteHeader(http.StatusFound)
	})
	_, err := download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
	if text := said(err); strings.Contains(text, "SECRET") || strings.Contains(text, "bad port") || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("it says %s", text)
	}
}

// The proxy of this network is nobody's business.
func TestProxyIsNotShown(t *testing.T) {
	_, key := pdbBytes(t)
	closed, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("only one loopback address here: ", err)
	}
	address := closed.Addr().String()
	closed.Close()
	for _, c := range []struct{ proxy, say string }{
		{address, "the connection was refused"},
		{"proxy.corp.invalid:3128", "a host was not found"},
	} {
		transport := NewTransport()
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: c.proxy})
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.Contains(addr, "invalid") { // this machine's resolver is not asked
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: "proxy.corp.invalid", IsNotFound: true}}
			}
			return dial(ctx, network, addr)
		}
		_, err := download(t.Context(), &Client{URL: "https://symbols.invalid", Transport: transport}, key)
		wantCode(t, err, fault.SymbolsOffline)
		if text := said(err); strings.Contains(text, "127.0.0.2") || strings.Contains(text, "corp") || !strings.Contains(text, "through the proxy "+c.say) {
			t.Errorf("it says %s", text)
		}
	}
}

// Which of two hosts a firewall forgot must be said; no other host is named.
func TestReasons(t *testing.T) {
	_, key := pdbBytes(t)
	refused := func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = net.Dial("tcp", l.Addr().String())
		return err
	}()
	for _, test := range []struct {
		err error
		say string
	}{
		{&net.DNSError{Name: "sym.example"}, "the host sym.example was not found"},
		{&net.DNSError{Name: "a.blob.core.windows.net"}, "the host a.blob.core.windows.net was not found"},
		{&net.DNSError{Name: "inside.corp"}, ": a host was not found"},
		{refused, ": the connection was refused"},
		{context.DeadlineExceeded, ": nothing was answered in time"},
		{errors.New("open /etc/secret"), ": the connection failed, or the answer made no sense"},
	} {
		c := &Client{URL: "https://sym.example:8443", Transport: answers(func(*http.Request) (*http.Response, error) { return nil, test.err })}
		_, err := download(t.Context(), c, key)
		wantCode(t, err, fault.SymbolsOffline)
		if text := fault.As(err).Text; !strings.HasSuffix(text, test.say) {
			t.Errorf("%v: %s", test.err, text)
		}
	}
}

// A certificate that nobody vouches for is said to be one.
func TestCertificateIsNamed(t *testing.T) {
	_, key := pdbBytes(t)
	_, c := serve(t, http.NotFound)
	c.Transport.(*http.Transport).TLSClientConfig = nil
	_, err := download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
	if !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

// What comes is longer than announced where net/http passes it on (HTTP/2 with an
// error at the end).
func TestLongerThanAnnounced(t *testing.T) {
	data, key := pdbBytes(t)
	half := int64(len(data) / 2)
	for name, body := range map[string]io.Reader{
		"all of it":  strings.NewReader(string(data)),
		"and no end": io.MultiReader(strings.NewReader(string(data[:half])), failing{errors.New("more than declared")}),
	} {
		c := &Client{URL: "https://sym.example", Transport: answers(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: half, Body: io.NopCloser(body), Request: r}, nil
		})}
		_, err := download(t.Context(), c, key)
		wantCode(t, err, fault.SymbolsOffline)
		if want := fmt.Sprintf("did not end %s after the %d bytes", key.Name, half); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A server that accepts and says nothing is given up before its transfer would
// count as stalled.
func TestSilentServer(t *testing.T) {
	_, key := pdbBytes(t)
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		go io.Copy(io.Discard, there)
		transport := NewTransport()
		transport.Proxy = nil
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return here, nil }
		began := time.Now()
		_, err := download(t.Context(), &Client{URL: "http://sym.example", AllowHTTP: []string{"sym.example"}, Transport: transport}, key)
		wantCode(t, err, fault.SymbolsOffline)
		if after := time.Since(began); after != headerTimeout || after >= idleTimeout {
			t.Errorf("given up after %v: %v", after, err)
		}
		if !strings.Contains(err.Error(), "in time") {
			t.Error(err)
		}
	})
}
