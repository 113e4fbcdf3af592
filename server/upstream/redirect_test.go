package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// redirecting gives a client of a server that redirects to a second one.
func redirecting(t *testing.T, to func(second *url.URL) string) (*Client, *int, symstore.Key) {
	t.Helper()
	data, key := pdbBytes(t)
	reached := 0
	second := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		if r.Referer() != "" {
			t.Errorf("Referer %q was sent on", r.Referer())
		}
		w.Write(data)
	}))
	t.Cleanup(second.Close)
	address, err := url.Parse(second.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to(address), http.StatusFound)
	})
	// Names lead to the second server; its certificate is for example.com.
	transport := c.Transport.(*http.Transport)
	plain := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasSuffix(addr, ".com:443") || strings.HasSuffix(addr, ".com:80") {
			addr = address.Host
		}
		return plain(ctx, network, addr)
	}
	return c, &reached, key
}

func TestRedirectToAnAllowedHostIsFollowed(t *testing.T) {
	c, reached, key := redirecting(t, func(*url.URL) string { return "https://store.example.com/blob?sig=secret" })
	c.RedirectHosts = []string{".example.com"}
	// httptest's certificate names example.com and *.example.com.
	if _, err := download(t.Context(), c, key); err != nil {
		t.Fatal(err)
	}
	if *reached != 1 {
		t.Errorf("the second host was reached %d times", *reached)
	}
}

func TestRedirectsElsewhereAreRefused(t *testing.T) {
	cases := map[string]struct {
		hosts []string
		to    func(*url.URL) string
	}{
		"host not listed":           {nil, func(*url.URL) string { return "https://store.example.com/blob?sig=secret" }},
		"same address, other port":  {nil, func(u *url.URL) string { return u.String() + "/blob?sig=secret" }},
		"suffix without its dot":    {[]string{".example.com"}, func(*url.URL) string { return "https://evilexample.com/blob?sig=secret" }},
		"the suffix as a host":      {[]string{".example.com"}, func(*url.URL) string { return "https://.example.com/blob?sig=secret" }},
		"suffix in front":           {[]string{"example.com"}, func(*url.URL) string { return "https://example.com.evil.com/?sig=secret" }},
		"a user's name":             {[]string{"example.com"}, func(*url.URL) string { return "https://user:secret@example.com/blob" }},
		"another protocol entirely": {[]string{"example.com"}, func(*url.URL) string { return "ftp://example.com/blob?sig=secret" }},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c, reached, key := redirecting(t, test.to)
			c.RedirectHosts = test.hosts
			_, err := download(t.Context(), c, key)
			wantCode(t, err, fault.SymbolsOffline)
			if *reached != 0 {
				t.Error("the second host was contacted")
			}
			if text := err.Error() + strings.Join(fault.As(err).Remedy(), ""); strings.Contains(text, "secret") {
				t.Errorf("the signed query is in the message: %s", text)
			}
		})
	}
}

// The second server could be reached, and its host is on the list: the scheme is
// what keeps it from being asked.
func TestRedirectToPlainHTTPIsRefused(t *testing.T) {
	data, key := pdbBytes(t)
	reached := 0
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		w.Write(data)
	}))
	defer second.Close()
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, second.URL+"/blob?sig=secret", http.StatusFound)
	})
	c.RedirectHosts = []string{"127.0.0.1"}
	for _, c.AllowHTTP = range [][]string{nil, {"127.0.0.1"}} { // what came by https goes on by https
		_, err := download(t.Context(), c, key)
		wantCode(t, err, fault.SymbolsOffline)
		if reached != 0 || !strings.Contains(err.Error(), "not https") || strings.Contains(err.Error(), "secret") {
			t.Errorf("reached %d times: %v", reached, err)
		}
	}
	plain := httptest.NewServer(http.RedirectHandler(second.URL+"/blob", http.StatusFound))
	defer plain.Close()
	c = &Client{URL: plain.URL, AllowHTTP: []string{"127.0.0.1"}, RedirectHosts: []string{"127.0.0.1"}, Transport: c.Transport}
	if _, err := download(t.Context(), c, key); err != nil || reached != 1 {
		t.Errorf("where it is permitted: reached %d times, %v", reached, err)
	}
	other := httptest.NewServer(http.RedirectHandler("ftp://127.0.0.1/blob", http.StatusFound))
	defer other.Close()
	c = &Client{URL: other.URL, AllowHTTP: []string{"127.0.0.1"}, RedirectHosts: []string{"127.0.0.1"}, Transport: c.Transport}
	if _, err := download(t.Context(), c, key); !fault.Is(err, fault.SymbolsOffline) || !strings.Contains(err.Error(), "a redirect to ftp:") {
		t.Errorf("another protocol: %v", err)
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, test := range []struct {
		base, to string
		want     bool
	}{
		{"https://sym.example", "https://sym.example/x", true},
		{"https://sym.example", "https://SYM.example:443/x", true},
		{"https://sym.example:443", "https://sym.example/x", true},
		{"https://sym.example:8443", "https://sym.example:8443/x", true},
		{"http://sym.example:80", "http://sym.example/x", true},
		{"http://sym.example", "https://sym.example/x", true},
		{"https://sym.example", "https://sym.example:80/x", false},
		{"https://sym.example", "https://sym.example:8443/x", false},
		{"https://sym.example:8443", "https://sym.example/x", false},
	} {
		c := &Client{URL: test.base, AllowHTTP: []string{"sym.example"}}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(test.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.allowedHost(to); got != test.want {
			t.Errorf("from %s to %s: %v", test.base, test.to, got)
		}
	}
}

func TestRedirectsInCirclesEnd(t *testing.T) {
	_, key := pdbBytes(t)
	asked := 0
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, fmt.Sprintf("/again/%d", asked), http.StatusFound)
	})
	_, err := download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
	if asked != maxRedirects+1 {
		t.Errorf("%d requests, want %d", asked, maxRedirects+1)
	}
}
