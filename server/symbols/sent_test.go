package symbols

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// kernel is a connection that can be given a file.
type kernel struct {
	*httptest.ResponseRecorder
	file *os.File
}

func (k *kernel) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		k.file, _ = l.R.(*os.File)
	}
	return io.Copy(k.ResponseRecorder, r)
}

// A file of a store or of the cache reaches the connection as the file it is, so
// that the kernel sends it.
func TestFilesAreSentByTheKernel(t *testing.T) {
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return pdbBytes(t), nil })}}
	for _, when := range []string{"fetched", "kept"} {
		w := &kernel{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+demo.PDBKey, nil))
		if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) || w.file == nil {
			t.Errorf("%s: %d, %v", when, w.Code, w.file)
		}
	}
}

// Observe is told what was really sent, and from where.
func TestObserve(t *testing.T) {
	var said []Request
	var fetched []Fetch
	h := &Handler{Cache: cacheIn(t), Observe: func(r Request) { said = append(said, r) }, Fetched: func(f Fetch) { fetched = append(fetched, f) },
		Upstreams: []Upstream{fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
			if k != key(t) {
				return nil, fault.New(fault.SymbolsNotFound, "")
			}
			return pdbBytes(t), nil
		})}}
	size := int64(len(pdbBytes(t)))
	for i, c := range []struct {
		url    string
		header []string
		want   Request
	}{
		{"/" + demo.PDBKey, nil, Request{Status: 200, Result: "miss", Source: "upstream", Upstream: "fake.example", Bytes: size}},
		{"/" + demo.PDBKey, nil, Request{Status: 200, Result: "hit", Source: "cache", Bytes: size}},
		{"/" + demo.PDBKey, []string{"Range", "bytes=10-19"}, Request{Status: 206, Result: "hit", Source: "cache", Bytes: 10}},
		{"/" + demo.PDBKey, []string{"If-None-Match", `"` + key(t).ID + `"`}, Request{Status: 304, Result: "hit", Source: "cache"}},
		{invented(1), nil, Request{Status: 404, Result: "error", Code: fault.SymbolsNotFound, Source: "upstream", Upstream: "fake.example"}},
		{invented(1), nil, Request{Status: 404, Result: "negative", Code: fault.SymbolsNotFound}},
		{"/index2.txt", nil, Request{Status: 404, Result: "error", Code: fault.SymbolsNotFound}},
	} {
		ask(h, c.url, c.header...)
		got := said[i]
		if got.Method != "GET" || (got.Key == "") != (c.url == "/index2.txt") || got.Took <= 0 {
			t.Errorf("%s: %+v", c.url, got)
		}
		if c.want.Code != "" {
			c.want.Bytes = got.Bytes // of the refusal
		}
		got.Method, got.Key, got.Took, got.Err = "", "", 0, nil
		if got != c.want {
			t.Errorf("%s: %+v, not %+v", c.url, got, c.want)
		}
	}
	if len(fetched) != 2 || fetched[0].Bytes != size || fetched[0].Code != "" || fetched[1].Code != fault.SymbolsNotFound {
		t.Errorf("%+v", fetched)
	}
}
