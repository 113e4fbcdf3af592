package main

import (
	"net/http"
	"strings"
	"testing"

	"coredrop/core/progress"
)

// A blob store's URL is signed in its query: whoever reads the terminal or its
// log could fetch with it.
func TestGetDoesNotShowTheSignature(t *testing.T) {
	for name, location := range map[string]string{
		"not an address":  "https://localhost:bad port/?sig=SECRET",
		"another host":    "https://other.invalid/blob?sig=SECRET",
		"without TLS":     "http://127.0.0.1/blob?sig=SECRET",
		"with a password": "https://user:SECRET@x.blob.core.windows.net/blob",
		"to nowhere":      "https://127.0.0.1:1/blob?sig=SECRET",
	} {
		t.Run(name, func(t *testing.T) {
			r, url, asked := symbolServer(t, func(u string) string { return u }, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusFound)
			})
			var text strings.Builder
			r.chain.Sink = progress.Sink{OnLine: func(s string) { text.WriteString(s + "\n") }}
			err := getOne(t.Context(), r, t.TempDir(), want{key: demoKey(t)}, false).err
			if err == nil || *asked != 1 {
				t.Fatalf("%v after %d requests", err, *asked)
			}
			fail(&text, err)
			warn(&text, r.allWarnings())
			if strings.Contains(text.String(), "SECRET") || !strings.Contains(text.String(), url) {
				t.Errorf("it says %s", &text)
			}
		})
	}
}
