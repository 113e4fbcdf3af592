package buckettest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a client and the store: it counts requests and the bytes of
// their bodies, both ways, and does what Act says to each of them.
type Proxy struct {
	URL string

	mu       sync.Mutex
	act      func(n int, r *http.Request) Fault
	latency  time.Duration
	requests []string // the name of each, and its key

	up, down atomic.Int64
}

// Fault is what happens to a request. The zero value: nothing.
type Fault struct {
	Status int           // answered by the proxy itself, with the error Code in XML
	Code   string        // of the store's: SlowDown, AccessDenied, …
	Header http.Header   // of the proxy's own answer, and put over those of the store's
	Drop   bool          // the connection ends without an answer
	Late   bool          // the store does it, and the answer gets lost
	Cut    int64         // the body of the answer ends after so many bytes, less by one: 1 is none
	Stall  bool          // the answer does not come until the client leaves
	Before func()        // done first
	Wait   time.Duration // before it is passed on
}

func newProxy(t testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Proxy {
	p := &Proxy{}
	transport := &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "store"})
			r.Out.Host = r.In.Host // which was signed
			r.Out.URL.RawPath, r.Out.URL.RawQuery = r.In.URL.RawPath, r.In.URL.RawQuery
		},
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: func(r *http.Response) error { return spoil(r) },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		p.requests = append(p.requests, Name(r)+" "+key)
		act, n, latency := p.act, len(p.requests), p.latency
		p.mu.Unlock()
		var f Fault
		if act != nil {
			f = act(n, r)
		}
		r = r.WithContext(context.WithValue(r.Context(), faultKey{}, f))
		r.Body = &countedBody{r.Body, &p.up}
		pause(r, latency+f.Wait)
		if f.Before != nil {
			f.Before()
		}
		switch {
		case f.Stall:
			io.Copy(io.Discard, r.Body) // it is seen behind the body only that a client leaves
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case f.Drop:
			panic(http.ErrAbortHandler)
		case f.Late:
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case f.Status != 0:
			io.Copy(io.Discard, r.Body) // as a store does that answers at the end
			for name, values := range f.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(f.Status)
			if r.Method != http.MethodHead {
				n, _ := fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s, said by the test</Message></Error>`, f.Code, f.Code)
				p.down.Add(int64(n))
			}
		default:
			pass.ServeHTTP(&countedWriter{w, &p.down}, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections) // first: what stalls ends
	p.URL = s.URL
	return p
}

// pause waits, unless the client leaves.
func pause(r *http.Request, d time.Duration) {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

type faultKey struct{}

// spoil does to an answer what the request's fault says.
func spoil(r *http.Response) error {
	f := r.Request.Context().Value(faultKey{}).(Fault)
	for name, values := range f.Header {
		r.Header[name] = values
	}
	if f.Cut > 0 {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r.Body, f.Cut-1), r.Body}
	}
	return nil
}

// Name says what a request does, in the words of the protocol's documents.
func Name(r *http.Request) string {
	q := r.URL.Query()
	what := ""
	switch _, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case r.Method == http.MethodPut && q.Has("partNumber") && r.Header.Get("X-Amz-Copy-Source") != "":
		what = "UploadPartCopy"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		what = "UploadPart"
	case r.Method == http.MethodPost && q.Has("uploads"):
		what = "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		what = "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		what = "AbortMultipartUpload"
	case r.Method == http.MethodGet && q.Has("uploads"):
		what = "ListMultipartUploads"
	case r.Method == http.MethodGet && q.Has("uploadId"):
		what = "ListParts"
	case key == "" && r.Method == http.MethodGet:
		what = "ListObjects"
	case r.Method == http.MethodGet:
		what = "GetObject"
	case r.Method == http.MethodHead:
		what = "HeadObject"
	case r.Method == http.MethodPut:
		what = "PutObject"
	case r.Method == http.MethodDelete:
		what = "DeleteObject"
	default:
		what = r.Method
	}
	return what
}

// Act sets what happens to requests: n counts them from 1 since the last Reset.
// nil: nothing.
func (p *Proxy) Act(act func(n int, r *http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.act = act
}

// Latency delays every request.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Reset forgets the counts, and ends all faults.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.act, p.latency, p.requests = nil, 0, nil
	p.up.Store(0)
	p.down.Store(0)
}

// Asked lists the requests so far: the name of each, a blank, its key.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Requests lists the names of the requests so far.
func (p *Proxy) Requests() []string {
	list := p.Asked()
	for i, r := range list {
		list[i], _, _ = strings.Cut(r, " ")
	}
	return list
}

// Count is how many requests have a name.
func (p *Proxy) Count(name string) (n int) {
	for _, r := range p.Requests() {
		if r == name {
			n++
		}
	}
	return n
}

// Bytes is how many bytes of bodies crossed: up to the store, down to the client.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countedWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// Unwrap lets the proxy flush.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
