package ranged

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/fault"
)

// secret stands in the query of each address, as a signature does.
const secret = "?X-Amz-Signature=SECRET"

// host is a web server with one object, which faults stand in front of.
type host struct {
	data       []byte
	tag, since string
	// fault stands for the host's own answer, by the number of the request from
	// 0 on, where it gives true.
	fault func(w http.ResponseWriter, r *http.Request, i int) bool

	mu       sync.Mutex
	requests []*http.Request
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	i := len(h.requests)
	h.requests = append(h.requests, r)
	h.mu.Unlock()
	if h.fault == nil || !h.fault(w, r, i) {
		h.own(w, r)
	}
}

// own answers as a web server does.
func (h *host) own(w http.ResponseWriter, r *http.Request) {
	if h.tag != "" {
		w.Header().Set("ETag", h.tag)
	}
	since, _ := http.ParseTime(h.since) // else none
	http.ServeContent(w, r, "", since, bytes.NewReader(h.data))
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

// quick are small blocks, and no pauses.
func quick() WebOptions {
	return WebOptions{UserAgent: "coredrop/test", Reader: Options{Block: 16, Cache: 128, Request: 64, Pause: func(int) time.Duration { return 0 }}}
}

// served gives the object's address.
func served(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/cores/vm%20one.core" + secret
}

func open(t *testing.T, h http.Handler) (*Reader, error) {
	t.Helper()
	return OpenHTTP(t.Context(), served(t, h), quick())
}

// wantFault checks an error's code and that it shows nothing of the address that
// nobody may see.
func wantFault(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
		return
	}
	var located *url.Error
	if errors.As(err, &located) {
		t.Errorf("%s: the address is in the chain: %v", what, located)
	}
	text := strings.Join(append(f.Remedy(), f.Error()), "\n")
	if strings.Contains(text, "SECRET") || strings.Contains(text, "cores/") || strings.Contains(text, "?") || !strings.Contains(text, words) {
		t.Errorf("%s: it says %s, want %q", what, text, words)
	}
}

const (
	strong = `"one"`
	weak   = `W/"one"`
	date   = "Tue, 15 Nov 1994 12:45:26 GMT"
)

// What is read is the object, of one version, by the strongest name that it has.
func TestWebReadsOneVersionByRanges(t *testing.T) {
	for _, c := range []struct{ tag, since, match, unmodified string }{
		{strong, date, strong, ""},
		{strong, "", strong, ""},
		{weak, date, "", date},
		{"", date, "", date},
		{weak, "", "", ""},
		{"", "", "", ""},
	} {
		h := &host{data: noise(1000), tag: c.tag, since: c.since}
		r, err := open(t, h)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Source()
		if s.Size != 1000 || s.Name != "vm one.core" || s.Block != 16 || s.Prefetch == nil || s.Stream == nil {
			t.Errorf("%+v", s)
		}
		readsAs(t, r, &object{data: h.data}, 5, 50)
		readsAs(t, r, &object{data: h.data}, 990, 10)
		readsAs(t, r, &object{data: h.data}, 100, 700)
		for i, q := range h.requests {
			match, unmodified := c.match, c.unmodified
			if i == 0 {
				match, unmodified = "", ""
			}
			if q.Method != http.MethodGet || q.Header.Get("If-Match") != match || q.Header.Get("If-Unmodified-Since") != unmodified ||
				q.Header.Get("Accept-Encoding") != "identity" || q.Header.Get("User-Agent") != "coredrop/test" || !strings.HasPrefix(q.Header.Get("Range"), "bytes=") {
				t.Errorf("request %d: %s %v", i, q.Method, q.Header)
			}
		}
		if first := h.requests[0].Header.Get("Range"); first != "bytes=0-0" {
			t.Errorf("the first asked for %s", first)
		}
	}
}

// Each status has its meaning, at the beginning and later, and is tried again where
// that can help.
func TestWebStatuses(t *testing.T) {
	cases := []struct {
		status       int
		first, later fault.Code
		words        string
		tries        int
	}{
		{204, fault.InputUnreadable, fault.InputUnreadable, "status 204", 1},
		{300, fault.InputUnreadable, fault.InputUnreadable, "status 300", 1},
		{304, fault.InputUnreadable, fault.InputUnreadable, "status 304", 1},
		{400, fault.InputUnreadable, fault.InputUnreadable, "status 400", 1},
		{401, fault.NoPermission, fault.NoPermission, "download the file", 1},
		{403, fault.NoPermission, fault.NoPermission, "signed", 1},
		{404, fault.InputUnreadable, fault.FileChanged, "", 1},
		{408, fault.InputUnreadable, fault.InputUnreadable, "status 408; it was tried 5 times", 5},
		{410, fault.InputUnreadable, fault.FileChanged, "", 1},
		{412, fault.FileChanged, fault.FileChanged, "replaced", 1},
		{416, fault.NoRanges, fault.FileChanged, "", 1},
		{429, fault.InputUnreadable, fault.InputUnreadable, "status 429; it was tried 5 times", 5},
		{500, fault.InputUnreadable, fault.InputUnreadable, "status 500; it was tried 5 times", 5},
		{501, fault.InputUnreadable, fault.InputUnreadable, "status 501", 1},
		{502, fault.InputUnreadable, fault.InputUnreadable, "status 502; it was tried 5 times", 5},
		{503, fault.InputUnreadable, fault.InputUnreadable, "status 503; it was tried 5 times", 5},
		{504, fault.InputUnreadable, fault.InputUnreadable, "status 504; it was tried 5 times", 5},
		{505, fault.InputUnreadable, fault.InputUnreadable, "status 505", 1},
	}
	for _, c := range cases {
		for _, later := range []int{0, 1} {
			h := &host{data: noise(100), tag: strong}
			h.fault = func(w http.ResponseWriter, _ *http.Request, i int) bool {
				if i < later {
					return false
				}
				w.WriteHeader(c.status)
				if c.status != 204 && c.status != 304 {
					io.WriteString(w, "<Error>SECRET</Error>")
				}
				return true
			}
			r, err := open(t, h)
			want := c.first
			if later == 1 {
				if err != nil {
					t.Fatal(err)
				}
				want = c.later
				_, err = r.ReadAt(make([]byte, 20), 40)
			}
			wantFault(t, fmt.Sprintf("status %d, request %d", c.status, later), err, want, c.words)
			if n := h.count() - later; n != c.tries {
				t.Errorf("status %d: %d tries", c.status, n)
			}
		}
	}
	// What passes is no matter.
	h := &host{data: noise(100), tag: strong}
	h.fault = func(w http.ResponseWriter, _ *http.Request, i int) bool {
		if i%3 != 2 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader([]int{503, 500}[i%3])
			return true
		}
		return false
	}
	r, err := open(t, h)
	if err != nil {
		t.Fatal(err)
	}
	readsAs(t, r, &object{data: h.data}, 0, 100)
	// Who asks for too much patience is told of.
	h.fault = func(w http.ResponseWriter, _ *http.Request, i int) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
		return true
	}
	_, err = open(t, h)
	wantFault(t, "an hour", err, fault.InputUnreadable, "try again in 1h0m0s")
}

// A body may be cut anywhere, in every framing.
func TestWebBodiesAreCut(t *testing.T) {
	h := &host{data: noise(300), tag: strong}
	for _, chunked := range []bool{false, true} {
		for cut := range 40 {
			h.requests = nil
			h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
				var first, last int
				if n, _ := fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-%d", &first, &last); n != 2 || i%2 == 0 || last-first < cut {
					return false
				}
				w.Header().Set("ETag", strong)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(h.data)))
				if !chunked {
					w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
				}
				w.WriteHeader(http.StatusPartialContent)
				w.Write(h.data[first:][:cut])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			r, err := open(t, h)
			if err != nil {
				t.Fatal(err)
			}
			readsAs(t, r, &object{data: h.data}, 33, 40) // 48 bytes
			if got, want := h.requests[2].Header.Get("Range"), fmt.Sprintf("bytes=%d-79", 32+cut); got != want {
				t.Errorf("cut at %d: gone on with %s, want %s", cut, got, want)
			}
		}
	}
	// One that never comes to an end is given up.
	h.requests = nil
	h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
		if i == 0 {
			return false
		}
		panic(http.ErrAbortHandler)
	}
	r, err := open(t, h)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.ReadAt(make([]byte, 4), 0)
	wantFault(t, "no answer", err, fault.InputUnreadable, "it was tried 5 times")
}

// An answer that is not what was asked for is not taken for it.
func TestWebAnswersAreChecked(t *testing.T) {
	part := func(span string, body int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("ETag", strong)
			if span != "" {
				w.Header().Set("Content-Range", span)
			}
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, body))
		}
	}
	// 16 bytes at 32 of 100 are asked for.
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		code   fault.Code
		words  string
	}{
		"another place":    {part("bytes 16-31/100", 16), fault.InputUnreadable, "in place of"},
		"too much":         {part("bytes 32-48/100", 17), fault.InputUnreadable, "in place of"},
		"no place":         {part("", 16), fault.NoRanges, ""},
		"nonsense":         {part("bytes 47-32/100", 16), fault.NoRanges, ""},
		"negative":         {part("bytes -32-47/100", 16), fault.NoRanges, ""},
		"trailing":         {part("bytes 32-47/100, x", 16), fault.NoRanges, ""},
		"beyond the end":   {part("bytes 32-147/100", 16), fault.NoRanges, ""},
		"no total":         {part("bytes 32-47/*", 16), fault.NoRanges, ""},
		"multipart":        {part("", 16, "Content-Type", "multipart/byteranges; boundary=x"), fault.NoRanges, ""},
		"grown":            {part("bytes 32-47/101", 16), fault.FileChanged, "had 100 bytes and has 101"},
		"shrunk":           {part("bytes 32-47/99", 16), fault.FileChanged, "had 100 bytes and has 99"},
		"another tag":      {part("bytes 32-47/100", 16, "ETag", `"two"`), fault.FileChanged, "replaced"},
		"a weak tag":       {part("bytes 32-47/100", 16, "ETag", weak), fault.FileChanged, "replaced"},
		"no tag":           {part("bytes 32-47/100", 16, "ETag", ""), fault.FileChanged, "replaced"},
		"the wrong length": {part("bytes 32-47/100", 10, "Content-Length", "10"), fault.InputUnreadable, "announced 10 bytes for a part of 16"},
		"packed":           {part("bytes 32-47/100", 16, "Content-Encoding", "gzip"), fault.NoRanges, `"gzip"`},
		"whole":            {func(w http.ResponseWriter) { w.Write(make([]byte, 100)) }, fault.NoRanges, "any more"},
		"more, in chunks": {func(w http.ResponseWriter) {
			part("bytes 32-47/100", 16)(w)
			w.(http.Flusher).Flush()
			w.Write(make([]byte, 9))
		}, fault.InputUnreadable, "more came"},
		"identity is right": {part("bytes 32-47/100", 16, "Content-Encoding", "identity"), "", ""},
	} {
		h := &host{data: make([]byte, 100), tag: strong}
		h.fault = func(w http.ResponseWriter, _ *http.Request, i int) bool {
			if i == 0 {
				return false
			}
			c.answer(w)
			return true
		}
		r, err := open(t, h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadAt(make([]byte, 4), 40)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantFault(t, name, err, c.code, c.words)
		if h.count() != 2 {
			t.Errorf("%s: %d requests", name, h.count())
		}
	}
	// Less than was asked for is right, and the rest is asked for.
	h := &host{data: noise(100), tag: strong}
	h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
		var first, last int
		fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, min(last, first+6)))
		return false
	}
	r, err := open(t, h)
	if err != nil {
		t.Fatal(err)
	}
	readsAs(t, r, &object{data: h.data}, 0, 100)
}

// An object that becomes another one is never mixed with it, whether the server
// heeds the conditions or only says what it gives.
func TestWebObjectsThatChange(t *testing.T) {
	later := "Tue, 15 Nov 1994 12:45:27 GMT"
	for name, c := range map[string]struct {
		from, to *host
		heedless bool
	}{
		"tag":            {&host{tag: strong}, &host{tag: `"two"`}, false},
		"tag, heedless":  {&host{tag: strong}, &host{tag: `"two"`}, true},
		"date":           {&host{since: date}, &host{since: later}, false},
		"date, heedless": {&host{since: date}, &host{since: later}, true},
		"older":          {&host{since: later}, &host{since: date}, true},
		"weak tag":       {&host{tag: weak}, &host{tag: `W/"two"`}, true},
		"date is gone":   {&host{since: date}, &host{}, true},
	} {
		now := c.from
		now.data, c.to.data = noise(200), noise(200)
		r, err := open(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if c.heedless {
				q.Header.Del("If-Match")
				q.Header.Del("If-Unmodified-Since")
			}
			now.own(w, q)
		}))
		if err != nil {
			t.Fatal(err)
		}
		readsAs(t, r, &object{data: c.from.data}, 0, 20)
		now = c.to
		_, err = r.ReadAt(make([]byte, 4), 100)
		wantFault(t, name, err, fault.FileChanged, "replaced")
	}
	// In the middle of a body that breaks off.
	h := &host{data: noise(200), tag: strong}
	h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
		if i == 0 {
			return false
		}
		if i == 1 {
			w.Header().Set("ETag", strong)
			w.Header().Set("Content-Range", "bytes 96-111/200")
			w.Header().Set("Content-Length", "16")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(h.data[96:100])
			h.tag = `"two"`
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	r, err := open(t, h)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.ReadAt(make([]byte, 4), 100)
	wantFault(t, "in a body", err, fault.FileChanged, "replaced")
}

// What cannot be read by ranges is refused by name, before anything of it is.
func TestWebWithoutRanges(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"the whole file": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) },
		"a login page":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>SECRET") },
		"packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Range", "bytes 0-0/100")
			w.WriteHeader(http.StatusPartialContent)
			z := gzip.NewWriter(w)
			z.Write(make([]byte, 1))
			z.Close()
		},
		"without a place": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
		"without a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-0/*")
			w.WriteHeader(http.StatusPartialContent)
		},
		"another part": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 1-1/100")
			w.WriteHeader(http.StatusPartialContent)
		},
		"ranges of nothing that is known": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes */100")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
	} {
		_, err := open(t, answer)
		wantFault(t, name, err, fault.NoRanges, "download the file first")
	}
	// Nothing has no parts, which servers say in two ways.
	for name, answer := range map[string]http.HandlerFunc{
		"200": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
		"416": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes */0")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
	} {
		if r, err := open(t, answer); err != nil || r.Source().Size != 0 {
			t.Errorf("an empty object, %s: %v", name, err)
		}
	}
}

// Redirects are followed to anywhere by the rules; where one led is asked next time,
// until that is no longer answered.
func TestWebRedirects(t *testing.T) {
	h := &host{data: noise(300), tag: strong}
	ended := map[string]bool{}
	h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
		if ended[q.URL.Query().Get("sig")] {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	there := httptest.NewServer(h)
	defer there.Close()
	signed := 0
	first := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		signed++
		http.Redirect(w, q, fmt.Sprintf("%s/blob?sig=SECRET%d", there.URL, signed), http.StatusFound)
	})
	r, err := open(t, first)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Source(); s.Name != "vm one.core" || s.Size != 300 {
		t.Errorf("%+v", s)
	}
	readsAs(t, r, &object{data: h.data}, 0, 20)
	readsAs(t, r, &object{data: h.data}, 100, 20)
	if signed != 1 {
		t.Errorf("the first server was asked %d times", signed)
	}
	ended["SECRET1"] = true
	readsAs(t, r, &object{data: h.data}, 200, 20)
	if signed != 2 {
		t.Errorf("the first server was asked %d times", signed)
	}
	for _, q := range h.requests {
		if q.Header.Get("Referer") != "" {
			t.Errorf("it was told of the page before: %s", q.Header.Get("Referer"))
		}
	}
	for i := 2; i < 9; i++ {
		ended[fmt.Sprintf("SECRET%d", i)] = true
	}
	_, err = r.ReadAt(make([]byte, 4), 250)
	wantFault(t, "ended", err, fault.NoPermission, "signed")

	for name, c := range map[string]struct{ to, words string }{
		"a loop":       {"", "more than 3 redirects"},
		"plain http":   {"http://elsewhere.invalid/x?sig=SECRET", "a redirect to http:, which is not https"},
		"a file":       {"file:///etc/passwd?SECRET", "which is not https"},
		"a login":      {"https://user:SECRET@elsewhere.invalid/x", "with a user's name"},
		"nonsense":     {"https://localhost:bad port/?sig=SECRET", "made no sense"},
		"without mark": {"-", "status 302"},
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch c.to {
			case "":
				http.Redirect(w, q, q.URL.String(), http.StatusFound)
				return
			case "-":
			default:
				w.Header().Set("Location", c.to)
			}
			w.WriteHeader(http.StatusFound)
		})
		_, err := open(t, h)
		wantFault(t, name, err, fault.InputUnreadable, c.words)
	}
}

// carried is a transport in the test's hands.
type carried func(*http.Request) (*http.Response, error)

func (c carried) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// From https nothing leads to http, and a host that only a server named may not be
// this machine.
func TestWebRedirectsFromHTTPS(t *testing.T) {
	h := &host{data: noise(100), tag: strong}
	to := "https://blobs.example/x?sig=SECRET"
	options := quick()
	options.Transport = carried(func(q *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if q.URL.Hostname() == "blobs.example" || q.URL.Hostname() == "127.0.0.1" {
			h.ServeHTTP(w, q)
		} else {
			http.Redirect(w, q, to, http.StatusFound)
		}
		res := w.Result()
		res.Request = q
		return res, nil
	})
	r, err := OpenHTTP(t.Context(), "https://cores.example/cores/vm.core"+secret, options)
	if err != nil {
		t.Fatal(err)
	}
	readsAs(t, r, &object{data: h.data}, 0, 100)
	w := r.object.(*web)
	for address, want := range map[string]bool{"blobs.example:443": true, "Blobs.Example:443": true, "cores.example:443": false, "blobs.example:3128": false, "proxy.example:3128": false} {
		if w.isStranger(address) != want {
			t.Errorf("%s: stranger %v", address, !want)
		}
	}
	w.allowHTTP = []string{"blobs.example"}
	if w.isStranger("blobs.example:443") {
		t.Error("a host that the user named is a stranger")
	}
	to = "http://127.0.0.1/x"
	_, err = OpenHTTP(t.Context(), "https://cores.example/cores/vm.core"+secret, options)
	wantFault(t, "to http", err, fault.InputUnreadable, "which is not https")
}

// Addresses are judged before anybody is asked.
func TestWebAddresses(t *testing.T) {
	asked := false
	options := quick()
	options.Transport = carried(func(*http.Request) (*http.Response, error) {
		asked = true
		return nil, errors.New("Get \"http://x/?SECRET\": no route")
	})
	for address, code := range map[string]fault.Code{
		"http://cores.example/cores/vm.core" + secret:       fault.PlainHTTP,
		"http://169.254.169.254/cores/latest" + secret:      fault.PlainHTTP,
		"ftp://cores.example/cores/vm.core" + secret:        fault.BadOption,
		"https:///cores/vm.core" + secret:                   fault.BadOption,
		"https://:443/cores/vm.core" + secret:               fault.BadOption,
		"https://cores.example:port/cores/vm.core" + secret: fault.BadOption,
		"https://cores.example/cores/%zz" + secret:          fault.BadOption,
		"vm.core" + secret:                                  fault.BadOption,
	} {
		asked = false
		_, err := OpenHTTP(t.Context(), address, options)
		wantFault(t, address, err, code, "")
		if asked {
			t.Errorf("%s was asked", address)
		}
	}
	for _, address := range []string{"http://127.0.0.1:1/cores/x" + secret, "http://localhost/cores/x" + secret, "HTTP://[::1]/cores/x" + secret, "https://user:SECRET@cores.example/cores/x", "http://lab.example:81/cores/x" + secret} {
		asked = false
		options.AllowHTTP = []string{"Lab.example"}
		_, err := OpenHTTP(t.Context(), address, options)
		wantFault(t, address, err, fault.InputUnreadable, "the connection failed")
		if !asked {
			t.Errorf("%s was not asked", address)
		}
	}
	// What stays as it is is not tried five times.
	tries := 0
	options.Transport = carried(func(*http.Request) (*http.Response, error) {
		tries++
		return nil, &net.DNSError{Name: "cores.example", IsNotFound: true}
	})
	_, err := OpenHTTP(t.Context(), "https://cores.example/cores/x"+secret, options)
	wantFault(t, "no host", err, fault.InputUnreadable, "the host cores.example was not found")
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
	// A certificate that nobody vouches for.
	s := httptest.NewUnstartedServer(&host{data: noise(9)})
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	n := quick()
	_, err = OpenHTTP(t.Context(), s.URL+"/cores/x"+secret, n)
	wantFault(t, "certificate", err, fault.InputUnreadable, "the certificate is not trusted")
	n.Transport = s.Client().Transport
	if r, err := OpenHTTP(t.Context(), s.URL+"/cores/x"+secret, n); err != nil || r.Source().Size != 9 {
		t.Errorf("trusted: %v", err)
	}
	s.Close()
	_, err = OpenHTTP(t.Context(), "http"+strings.TrimPrefix(s.URL, "https")+"/cores/x"+secret, quick())
	wantFault(t, "refused", err, fault.InputUnreadable, "the connection was refused; it was tried 5 times")
}

func TestNames(t *testing.T) {
	for address, want := range map[string]string{
		"https://host/a/vm.core?sig=SECRET#x":           "vm.core",
		"https://host/a/vm%20one.core":                  "vm one.core",
		"https://host/a/":                               "a",
		"https://host":                                  "host",
		"https://host/?x":                               "host",
		"https://u:SECRET@host:1/":                      "host",
		"https://host/a%2F..%2Fb":                       "a_.._b",
		"https://host/..":                               "host",
		"https://host/%2e%2e":                           "host",
		"https://host/%2F":                              "host",
		"https://host/c%3A%5Cx":                         "c__x",
		"https://host/%1b%5B31mred%07%c2%9b%7f":         "_[31mred___",
		"https://host/%ff%fe":                           "_",
		"https://host/gr%C3%B6%C3%9Fe.core":             "größe.core",
		"https://host/a?b%2Fc":                          "a",
		"https://host/a%3Fb":                            "a_b",
		"https://host/-f":                               "-f",
		"https://host/" + strings.Repeat("%C3%B6", 300): strings.Repeat("ö", 100),
		"https://host/%zz?SECRET":                       "file",
		"://":                                           "file",
	} {
		if got := NameOf(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// inMemory is a listener and dialer without a network, which a test's clock rules.
type inMemory struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *inMemory) Close() error   { close(l.done); return nil }
func (l *inMemory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (l *inMemory) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	l.conns <- there
	return here, nil
}

// A server that accepts and is silent, or stops in the middle, is left after half a
// minute, and asked again.
func TestWebStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{data: noise(100), tag: strong}
		h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
			switch i {
			case 0, 2: // before the answer
				<-q.Context().Done()
			case 3: // in the body
				w.Header().Set("ETag", strong)
				w.Header().Set("Content-Range", "bytes 0-15/100")
				w.Header().Set("Content-Length", "16")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(h.data[:5])
				w.(http.Flusher).Flush()
				<-q.Context().Done()
			case 5: // in a refusal
				w.Header().Set("Content-Length", "16")
				w.WriteHeader(http.StatusForbidden)
				w.(http.Flusher).Flush()
				<-q.Context().Done()
			default:
				return false
			}
			return true
		}
		l := &inMemory{make(chan net.Conn), make(chan struct{})}
		s := &http.Server{Handler: h}
		go s.Serve(l)
		defer s.Close()
		options := quick()
		transport := &http.Transport{DialContext: l.dial}
		defer transport.CloseIdleConnections()
		options.Transport = transport
		began := time.Now()
		r, err := OpenHTTP(t.Context(), "http://localhost/cores/vm.core"+secret, options)
		if took := time.Since(began); err != nil || took != defaultIdle {
			t.Fatalf("%v after %v", err, took)
		}
		readsAs(t, r, &object{data: h.data}, 0, 16)
		if took := time.Since(began); took != 3*defaultIdle {
			t.Errorf("it took %v", took)
		}
		_, err = r.ReadAt(make([]byte, 4), 50)
		wantFault(t, "refused slowly", err, fault.NoPermission, "")
		if took := time.Since(began); took != 3*defaultIdle+drainTime || h.count() != 6 {
			t.Errorf("it took %v and %d requests", took, h.count())
		}
	})
}

// Who is done with an object keeps no connection open.
func TestWebConnectionsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan bool, 8)
	s := httptest.NewUnstartedServer(&host{data: noise(100), tag: strong})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- true
		}
	}
	s.Start()
	defer s.Close()
	r, err := OpenHTTP(ctx, s.URL+"/cores/vm.core"+secret, quick())
	if err != nil {
		t.Fatal(err)
	}
	readsAs(t, r, &object{data: noise(100)}, 0, 16)
	cancel()
	<-closed
}

// The end of the context ends what waits for a server, at once.
func TestWebCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{data: noise(100), tag: strong}
	h.fault = func(w http.ResponseWriter, q *http.Request, i int) bool {
		if i == 0 {
			return false
		}
		cancel()
		<-q.Context().Done()
		return true
	}
	r, err := OpenHTTP(ctx, served(t, h), quick())
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.ReadAt(make([]byte, 4), 0)
	wantFault(t, "read", err, fault.Cancelled, "")
	_, err = OpenHTTP(ctx, "https://cores.example/x", quick())
	wantFault(t, "open", err, fault.Cancelled, "")
}
