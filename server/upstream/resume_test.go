package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// breaking cuts an answer's connection after so many bytes of the body.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) <= b.left {
		b.left -= len(p)
		return b.ResponseWriter.Write(p)
	}
	b.ResponseWriter.Write(p[:b.left])
	http.NewResponseController(b.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// resumed reads all of a key by OpenResuming and verifies it.
func resumed(ctx context.Context, c *Client, k symstore.Key) ([]byte, error) {
	body, _, err := c.OpenResuming(ctx, k)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return data, err
	}
	return data, symstore.Verify(symstore.Memory(data), k)
}

func TestResume(t *testing.T) {
	data, key := pdbBytes(t)
	whole := func(w http.ResponseWriter, r *http.Request, tag string) {
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, n int) // n: which request it is, from 0
		asked  int
		code   fault.Code // "": the whole file comes
	}{
		"broken off three times": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n < 3 {
				w = &breaking{w, 30_000}
			}
			whole(w, r, `"a"`)
		}, 4, ""},
		"busy in between": {func(w http.ResponseWriter, r *http.Request, n int) {
			switch n {
			case 0:
				w = &breaking{w, 30_000}
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			whole(w, r, `"a"`)
		}, 3, ""},
		"by its date": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 0 {
				w = &breaking{w, 30_000}
			}
			http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
		}, 2, ""},
		"without a tag": {func(w http.ResponseWriter, r *http.Request, n int) {
			http.ServeContent(&breaking{w, 30_000}, r, "", time.Time{}, bytes.NewReader(data))
		}, 1, fault.SymbolsOffline},
		"with a weak tag": {func(w http.ResponseWriter, r *http.Request, n int) { whole(&breaking{w, 30_000}, r, `W/"a"`) }, 1, fault.SymbolsOffline},
		"another file": {func(w http.ResponseWriter, r *http.Request, n int) {
			whole(&breaking{w, 30_000}, r, fmt.Sprintf(`"%d"`, n))
		}, 2, fault.SymbolsOffline},
		"a server without ranges": {func(w http.ResponseWriter, r *http.Request, n int) {
			r.Header.Del("Range")
			whole(&breaking{w, 30_000}, r, `"a"`)
		}, 2, fault.SymbolsOffline},
		"another range": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 0 {
				whole(&breaking{w, 30_000}, r, `"a"`)
				return
			}
			r.Header.Set("Range", "bytes=29999-")
			whole(w, r, `"a"`)
		}, 2, fault.SymbolsOffline},
		"gone": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 0 {
				whole(&breaking{w, 30_000}, r, `"a"`)
				return
			}
			http.NotFound(w, r)
		}, 2, fault.SymbolsNotFound},
		"nothing more": {func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 0 {
				whole(&breaking{w, 30_000}, r, `"a"`)
				return
			}
			panic(http.ErrAbortHandler)
		}, 1 + maxResumes, fault.SymbolsOffline},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Header.Get("Range"))
				c.answer(w, r, len(asked)-1)
			})
			client.resumePause = time.Microsecond
			got, err := resumed(t.Context(), client, key)
			if len(asked) != c.asked {
				t.Errorf("asked for %q", asked)
			}
			if c.code != "" {
				wantCode(t, err, c.code)
			} else if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if !bytes.HasPrefix(data, got) {
				t.Error("what came is not the file's beginning")
			}
			if len(asked) > 1 && asked[0]+asked[1] != "bytes=30000-" {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

// Who ends the download does not wait for the next try.
func TestResumeIsCancelled(t *testing.T) {
	data, key := pdbBytes(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		http.ServeContent(&breaking{w, 30_000}, r, "", time.Time{}, bytes.NewReader(data))
	})
	client.resumePause = time.Hour
	body, _, err := client.OpenResuming(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 30_000)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := body.Read(make([]byte, 1)); !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What is asked for again goes to the same place by the same way, signature and
// all, and the signature is not shown.
func TestResumeBehindARedirect(t *testing.T) {
	data, key := pdbBytes(t)
	n := 0
	_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/blob") {
			http.Redirect(w, r, "/blob?sig=SECRET", http.StatusFound)
			return
		}
		if n++; n == 1 {
			w = &breaking{w, 30_000}
		}
		w.Header().Set("ETag", `"a"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	client.resumePause = time.Microsecond
	if got, err := resumed(t.Context(), client, key); err != nil || !bytes.Equal(got, data) || n != 2 {
		t.Errorf("%d bytes after %d answers, %v", len(got), n, err)
	}
}
