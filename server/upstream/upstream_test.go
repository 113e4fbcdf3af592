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
	for _, address := range []string{"ftp://example.org", "symbols", "https://", "https://user:secret@example.org/", "https://example.org/?q=1", "https://a b/"} {
		_, err := download(t.Context(), &Client{URL: address}, key)
		wantCode(t, err, fault.BadOption)
	}
}

// One rule: https, or this machine, or a host that was named.
func TestPlainHTTPOnlyWhenAllowed(t *testing.T) {
	data, key := pdbBytes(t)
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; w.Write(data) }))
	defer s.Close()
	if _, err := download(t.Context(), &Client{URL: s.URL, Transport: &http.Transport{}}, key); err != nil || asked != 1 {
		t.Fatalf("this machine's own: %v", err)
	}
	proxy, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	far := &http.Transport{Proxy: http.ProxyURL(proxy)}
	for _, c := range []struct {
		address string
		allow   []string
		ok      bool
	}{
		{"http://sym.example/symbols", nil, false},
		{"http://sym.example/symbols", []string{"other.example"}, false},
		{"http://sym.example/symbols", []string{"SYM.example"}, true},
		{"http://sym.example:8080/symbols", []string{"sym.example"}, true},
		{"http://sym.example:8080/symbols", []string{"sym.example:8080"}, true},
		{"http://sym.example:8080/symbols", []string{"sym.example:80"}, false},
		{"http://10.0.0.5/symbols", nil, false},
		{"http://localhost.example/symbols", nil, false},
		{"http://127.0.0.1.example/symbols", nil, false},
	} {
		before := asked
		_, err := download(t.Context(), &Client{URL: c.address, AllowHTTP: c.allow, Transport: far}, key)
		if c.ok {
			if err != nil || asked != before+1 {
				t.Errorf("%s with %q: %v", c.address, c.allow, err)
			}
			continue
		}
		wantCode(t, err, fault.PlainHTTP)
		if asked != before {
			t.Errorf("%s with %q was asked", c.address, c.allow)
		}
		if steps := strings.Join(fault.As(err).Remedy(fault.CLI), ""); !strings.Contains(steps, "-allow-http ") {
			t.Errorf("%q", steps)
		}
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
