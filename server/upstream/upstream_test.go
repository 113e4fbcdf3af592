package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// pdbBytes gives the demo's PDB and its key.
func pdbBytes(t *testing.T) ([]byte, symstore.Key) {
	t.Helper()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	key, err := symstore.ParseKey(demo.PDBKey)
	if err != nil {
		t.Fatal(err)
	}
	return data, key
}

// serve starts an https server and gives a client that trusts it.
func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, *Client) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	transport := NewTransport()
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	transport.Proxy = nil
	t.Cleanup(transport.CloseIdleConnections)
	return s, &Client{URL: s.URL + "/symbols", Transport: transport}
}

// wantCode fails unless err has the code.
func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

// download reads all of a key and verifies it, as a symstore.Chain does.
func download(ctx context.Context, c *Client, k symstore.Key) ([]byte, error) {
	body, _, err := c.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return data, symstore.Verify(symstore.Memory(data), k)
}

func TestOpenAsksForTheKey(t *testing.T) {
	data, key := pdbBytes(t)
	var asked, agent, encoding string
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked, agent, encoding = r.URL.Path, r.UserAgent(), r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	})
	c.UserAgent = "coredrop/test"
	body, length, err := c.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) || length != int64(len(data)) {
		t.Errorf("%d bytes of %d differ from what was served: %v", len(got), length, err)
	}
	if want := "/symbols/" + demo.PDBKey; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	if agent != "coredrop/test" || encoding != "" {
		t.Errorf("User-Agent %q, Accept-Encoding %q", agent, encoding)
	}
}

func TestBadAnswersHaveCodes(t *testing.T) {
	data, key := pdbBytes(t)
	other, err := symstore.ParseKey("ntkrnlmp.pdb/00000000000000000000000000000001A/ntkrnlmp.pdb")
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
		}
	}
	body := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.Write(b) }
	}
	chunked := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(b)
		}
	}
	cases := []struct {
		name   string
		key    symstore.Key
		answer http.HandlerFunc
		code   fault.Code
		say    string
	}{
		{"not found", key, status(404), fault.SymbolsNotFound, "does not have"},
		{"gone", key, status(410), fault.SymbolsNotFound, "does not have"},
		{"too many requests", key, status(429), fault.ServerBusy, "429"},
		{"unavailable", key, status(503), fault.ServerBusy, "503"},
		{"forbidden", key, status(403), fault.SymbolsOffline, "403"},
		{"broken", key, status(500), fault.SymbolsOffline, "500"},
		{"web page", key, body([]byte("<!DOCTYPE html><title>Sign in</title>" + strings.Repeat(" ", 4000))), fault.SymbolsNotAPDB, "not a PDB"},
		{"short web page", key, body([]byte("<html>")), fault.SymbolsNotAPDB, "not a PDB"},
		{"empty", key, body(nil), fault.SymbolsNotAPDB, "not a PDB"},
		{"cabinet", key, body([]byte("MSCF\x00\x00\x00\x00" + strings.Repeat("x", 100))), fault.SymbolsCompressed, "CAB"},
		{"other build", other, body(data), fault.SymbolsMismatch, ""},
		{"cut with length", key, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:len(data)/2])
		}, fault.SymbolsOffline, ""},
		{"cut in the magic", key, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:10])
		}, fault.SymbolsOffline, ""},
		{"longer than announced", key, func(w http.ResponseWriter, r *http.Request) {
			// The server of net/http would not do it.
			conn, buffered, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			fmt.Fprintf(buffered, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(data)/2, data)
			buffered.Flush()
		}, fault.PDBDamaged, ""},
		{"packed unasked", key, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(data)
		}, fault.SymbolsNotAPDB, "gzip"},
		{"not packed, and said so", other, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "Identity")
			w.Write(data)
		}, fault.SymbolsMismatch, ""},
		{"cut without length", key, chunked(data[:len(data)/2]), fault.PDBDamaged, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, client := serve(t, c.answer)
			_, err := download(t.Context(), client, c.key)
			wantCode(t, err, c.code)
			if !strings.Contains(err.Error(), c.say) {
				t.Errorf("%q does not say %q", err, c.say)
			}
		})
	}
}

func TestNetworkTroubleIsOffline(t *testing.T) {
	_, key := pdbBytes(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	c := &Client{URL: "https://" + dead, Transport: &http.Transport{}}
	_, err = download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
	hints := strings.Join(fault.As(err).Remedy(), "\n")
	if !strings.Contains(hints, "https://"+dead+"/"+demo.PDBKey) {
		t.Errorf("no way to fetch by hand among the hints:\n%s", hints)
	}
	// A certificate that nobody vouches for is trouble too, not a reason to go on.
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake is meant to fail
	s.StartTLS()
	defer s.Close()
	c = &Client{URL: s.URL, Transport: &http.Transport{}}
	_, err = download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
}

func TestAddressMustBeHTTPS(t *testing.T) {
	_, key := pdbBytes(t)
	for _, address := range []string{"http://example.org/symbols", "ftp://example.org", "symbols", "https://", "https://user:secret@example.org/", "https://example.org/?q=1", "https://a b/"} {
		_, err := download(t.Context(), &Client{URL: address}, key)
		wantCode(t, err, fault.BadOption)
	}
}

func TestPlainHTTPOnlyWhenAllowed(t *testing.T) {
	data, key := pdbBytes(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(data) }))
	defer s.Close()
	c := &Client{URL: s.URL, AllowHTTP: true, Transport: &http.Transport{}}
	if _, err := download(t.Context(), c, key); err != nil {
		t.Fatal(err)
	}
}

func TestStalledTransferEnds(t *testing.T) {
	data, key := pdbBytes(t)
	release := make(chan struct{})
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:1000])
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	c.IdleTimeout = 50 * time.Millisecond
	_, err := download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsOffline)
	if !strings.Contains(err.Error(), errStalled.Error()) {
		t.Errorf("%q does not say that it stalled", err)
	}
}

func TestEndlessTransferEnds(t *testing.T) {
	data, key := pdbBytes(t)
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	})
	c.MaxBytes = 1 << 20
	_, err := download(t.Context(), c, key)
	wantCode(t, err, fault.SymbolsNotAPDB)
}

func TestCancelEndsTheTransfer(t *testing.T) {
	data, key := pdbBytes(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:1000])
		w.(http.Flusher).Flush()
		cancel()
		<-release
	})
	defer close(release)
	_, err := download(ctx, c, key)
	wantCode(t, err, fault.Cancelled)
}

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
	for _, c.AllowHTTP = range []bool{false, true} { // what came by https goes on by https
		_, err := download(t.Context(), c, key)
		wantCode(t, err, fault.SymbolsOffline)
		if reached != 0 || !strings.Contains(err.Error(), "not https") || strings.Contains(err.Error(), "secret") {
			t.Errorf("reached %d times: %v", reached, err)
		}
	}
	plain := httptest.NewServer(http.RedirectHandler(second.URL+"/blob", http.StatusFound))
	defer plain.Close()
	c = &Client{URL: plain.URL, AllowHTTP: true, RedirectHosts: []string{"127.0.0.1"}, Transport: c.Transport}
	if _, err := download(t.Context(), c, key); err != nil || reached != 1 {
		t.Errorf("where it is permitted: reached %d times, %v", reached, err)
	}
	other := httptest.NewServer(http.RedirectHandler("ftp://127.0.0.1/blob", http.StatusFound))
	defer other.Close()
	c = &Client{URL: other.URL, AllowHTTP: true, RedirectHosts: []string{"127.0.0.1"}, Transport: c.Transport}
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
		c := &Client{URL: test.base, AllowHTTP: true}
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

func TestProxyIsHonoured(t *testing.T) {
	// http.ProxyFromEnvironment reads the environment once per process, so the
	// transport is asked for its function instead.
	if NewTransport().Proxy == nil {
		t.Error("HTTPS_PROXY is not looked at")
	}
	if !NewTransport().DisableCompression {
		t.Error("answers would be unzipped on the way")
	}
}
