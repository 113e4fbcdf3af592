package page

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Every kind of answer carries the headers, those of errors too. They are
// written out once more here: whoever weakens one has to do it twice.
func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	h := handler(t)
	withBody := httptest.NewRequest("GET", "/", strings.NewReader("core"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, withBody)
	tag := ask(h, "GET", "/").Header.Get("ETag")
	answers := map[int]*http.Response{
		200: ask(h, "GET", "/"),
		206: ask(h, "GET", "/demo/core.elf", "Range", "bytes=0-1"),
		304: ask(h, "GET", "/", "If-None-Match", tag),
		404: ask(h, "GET", "/nothing"),
		405: ask(h, "POST", "/"),
		412: ask(h, "GET", "/", "If-Match", `"other"`),
		413: w.Result(),
		416: ask(h, "GET", "/demo/core.elf", "Range", "bytes=99-"),
	}
	for status, r := range answers {
		if r.StatusCode != status {
			t.Errorf("%d instead of %d", r.StatusCode, status)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; " +
				"script-src 'self' 'wasm-unsafe-eval'; " +
				"worker-src 'self'; connect-src 'self'; " +
				"style-src 'self'; img-src 'self' data:; manifest-src 'self'; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
		} {
			if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%d: %s is %q", status, name, got)
			}
		}
	}
}

// A body that was announced and does not come keeps no connection open.
func TestSilentClientIsHungUpOn(t *testing.T) {
	s := httptest.NewServer(handler(t))
	t.Cleanup(s.Close)
	for _, method := range []string{"GET", "POST"} {
		for _, body := range []string{"Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n64\r\nabc"} {
			t.Run(method+" "+body, func(t *testing.T) {
				t.Parallel()
				c, err := net.Dial("tcp", s.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil { // so that it fails, and does not hang
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, method+" / HTTP/1.1\r\nHost: x\r\n"+body); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(c)
				r, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != 405 && r.StatusCode != 413 || !r.Close {
					t.Errorf("%s, close %v: %v", r.Status, r.Close, err)
				}
				if _, err := in.ReadByte(); err != io.EOF {
					t.Errorf("the connection is not closed: %v", err)
				}
			})
		}
	}
}

// A client that writes its whole body before it reads gets to see the answer: it
// is read and thrown away, not reset.
func TestClientThatWritesFirstSeesTheAnswer(t *testing.T) {
	s := httptest.NewServer(handler(t))
	defer s.Close()
	for range 20 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		const size = 200_000
		for _, part := range []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", strings.Repeat("x", size/2), strings.Repeat("y", size/2)} {
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
			t.Fatalf("%v %v", r, err)
		}
		c.Close()
	}
}
