package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// over asks through a real server, which may add and drop headers.
func over(t *testing.T, h http.Handler, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	q, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	r, err := s.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(got)
}

func TestVariantsHaveLengthsAndTagsOfTheirOwn(t *testing.T) {
	// More than net/http keeps back to count it, so that it cannot.
	variants := map[string]string{"identity": strings.Repeat("p", 40_000), "br": strings.Repeat("b", 20_000), "gzip": strings.Repeat("g", 30_000)}
	pages, err := New(fstest.MapFS{
		"a.wasm":    {Data: []byte(variants["identity"])},
		"a.wasm.br": {Data: []byte(variants["br"])},
		"a.wasm.gz": {Data: []byte(variants["gzip"])},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := Secure(pages, Inline{})
	tags := map[string]string{}
	for encoding, want := range variants {
		r, got := over(t, h, "GET", "/a.wasm", "Accept-Encoding", encoding)
		if r.StatusCode != 200 || r.ContentLength != int64(len(want)) || got != want {
			t.Errorf("%s: %d, Content-Length %d, %d bytes", encoding, r.StatusCode, r.ContentLength, len(got))
		}
		tag := r.Header.Get("ETag")
		if other := tags[tag]; other != "" || tag == "" {
			t.Errorf("%s has the tag %s, as has %s", encoding, tag, other)
		}
		tags[tag] = encoding
		r, got = over(t, h, "HEAD", "/a.wasm", "Accept-Encoding", encoding)
		if r.StatusCode != 200 || r.ContentLength != int64(len(want)) || got != "" || r.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %d, Content-Length %d, %s", encoding, r.StatusCode, r.ContentLength, r.Header.Get("ETag"))
		}
		for status, condition := range map[int][2]string{304: {"If-None-Match", tag}, 412: {"If-Match", `"other"`}} {
			r, got = over(t, h, "GET", "/a.wasm", "Accept-Encoding", encoding, condition[0], condition[1])
			if r.StatusCode != status || got != "" || r.ContentLength > 0 {
				t.Errorf("%s: %d, not %d; Content-Length %d", encoding, r.StatusCode, status, r.ContentLength)
			}
		}
	}
}

// A range is one of the file: that of a compressed variant would be garbage to
// who puts ranges together.
func TestRangeOfAVariantIsTheWhole(t *testing.T) {
	h := handler(t)
	for _, encoding := range []string{"br", "gzip"} {
		for _, ranges := range []string{"bytes=0-1", "bytes=99999-", "bytes=0-1,3-4"} {
			r, got := over(t, h, "GET", "/coredrop.wasm", "Accept-Encoding", encoding, "Range", ranges)
			if r.StatusCode != 200 || !strings.HasSuffix(got, " wasm") || r.Header.Get("Content-Encoding") != encoding || r.Header.Get("Accept-Ranges") != "" {
				t.Errorf("%s %s: %d %q %v", encoding, ranges, r.StatusCode, got, r.Header)
			}
		}
	}
	if r, got := over(t, h, "GET", "/coredrop.wasm", "Range", "bytes=0-1"); r.StatusCode != 206 || got != "pl" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("without compression: %d %q", r.StatusCode, got)
	}
}

// What is not from the build is compressed too, where it is worth it.
func TestExtrasAreCompressed(t *testing.T) {
	core := bytes.Repeat([]byte("a guest's memory"), 10_000)
	noise := []byte("0123456789")
	pages, err := New(fstest.MapFS{"x": {Data: []byte("old")}, "x.br": {Data: []byte("old")}}, map[string][]byte{"core.elf": core, "x": noise})
	if err != nil {
		t.Fatal(err)
	}
	r, got := over(t, pages, "GET", "/core.elf", "Accept-Encoding", "gzip, br")
	if r.Header.Get("Content-Encoding") != "gzip" || len(got) > len(core)/10 || r.ContentLength != int64(len(got)) {
		t.Fatalf("%v, %d bytes", r.Header, len(got))
	}
	z, err := gzip.NewReader(strings.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, core) {
		t.Errorf("it does not unpack to what it was: %v", err)
	}
	if r, got := over(t, pages, "GET", "/core.elf"); r.Header.Get("Content-Encoding") != "" || got != string(core) || r.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("without gzip: %v, %d bytes", r.Header, len(got))
	}
	if r, got := over(t, pages, "GET", "/x", "Accept-Encoding", "gzip, br"); r.Header.Get("Content-Encoding") != "" || got != string(noise) {
		t.Errorf("what cannot be compressed: %v %q", r.Header, got)
	}
}
