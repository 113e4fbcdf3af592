package symbols

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// image makes the headers of an image with a time stamp and a size.
func image(stamp, size uint32) []byte {
	b := make([]byte, 0x400)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	binary.LittleEndian.PutUint32(b[0x88:], stamp)
	binary.LittleEndian.PutUint32(b[0xd0:], size)
	return b
}

// Images are served as images: found under any spelling, fetched once, and
// verified by their time stamp and size, not by their name.
func TestImages(t *testing.T) {
	const at = "/ntoskrnl.exe/5F5E1000a1b000/ntoskrnl.exe"
	good := image(0x5f5e1000, 0xa1b000)
	for name, c := range map[string]struct {
		body []byte
		code fault.Code
	}{
		"the image":     {good, ""},
		"another build": {image(0x5f5e1000, 0xa1c000), fault.SymbolsMismatch},
		"a PDB":         {pdbBytes(t), fault.SymbolsNotAPDB},
		"a page":        {[]byte("<!DOCTYPE html><title>Sign in</title>"), fault.SymbolsNotAPDB},
		"a cabinet":     {[]byte("MSCF and more"), fault.SymbolsCompressed},
		"MZ and no PE":  {append([]byte("MZ"), make([]byte, 500)...), fault.SymbolsNotAPDB},
	} {
		asked := 0
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Write(c.body)
		}))
		h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{&upstream.Client{URL: up.URL}}}
		for _, url := range []string{at, "/NTOSKRNL.EXE/5f5e1000A1B000/ntoskrnl.exe"} {
			w := ask(h, url)
			if c.code != "" {
				if w.Code == http.StatusOK || refusal(t, w) != c.code {
					t.Errorf("%s: %d %s", name, w.Code, w.Body)
				}
				continue
			}
			if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), good) || w.Header().Get("ETag") != `"5F5E1000a1b000"` {
				t.Errorf("%s: %d %v, %d bytes", name, w.Code, w.Header(), w.Body.Len())
			}
		}
		if c.code == "" && asked != 1 {
			t.Errorf("%s: asked %d times", name, asked)
		}
		up.Close()
	}
	// What is no image's identity goes nowhere.
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
		t.Errorf("%s was asked for", k)
		return nil, fault.New(fault.SymbolsNotFound, "")
	})}}
	for _, url := range []string{"/a.exe/5F5E1000/a.exe", "/a.exe/5F5E1000a1b00000000/a.exe", "/a.exe/5F5E1000a1b000/b.exe", "/a.com/5F5E1000a1b000/a.com"} {
		if w := ask(h, url); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
}
