package page

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// immutable is the folder whose names hold a hash of all that is in it: what is
// below never changes.
const immutable = "app/"

// ServeHTTP serves a file by the request's path, relative to where the handler
// is mounted; the empty path is index.html.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
		if !h.Built() {
			Refuse(w, http.StatusServiceUnavailable, "this server was built without the page: run make")
			return
		}
	}
	f := h.files[name]
	if f == nil {
		Refuse(w, http.StatusNotFound, "there is nothing at this address")
		return
	}
	head := w.Header()
	head.Set("Content-Type", f.contentType)
	head.Set("Cache-Control", "no-cache") // ask each time; the answer is mostly 304
	if strings.HasPrefix(name, immutable) {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, encoding := f.variant(r.Header.Get("Accept-Encoding"))
	tag := `"` + f.hash[:32]
	if encoding != "" {
		head.Set("Content-Encoding", encoding)
		tag += "-" + encoding // other bytes, other tag
	}
	if f.brotli.there() || f.gzip.there() {
		head.Set("Vary", "Accept-Encoding")
	}
	head.Set("ETag", tag+`"`)
	if encoding != "" {
		// A range of a compressed variant is of no use to anybody.
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		w = &whole{w, body.size}
	}
	http.ServeContent(w, r, name, time.Time{}, body.reader())
}

// whole is the writer of a compressed variant: http.ServeContent leaves out the
// length of one, for handlers that compress on the way, and offers ranges.
type whole struct {
	http.ResponseWriter
	length int64
}

// WriteHeader adds the length to an answer that has the file.
func (w *whole) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Content-Length", strconv.FormatInt(w.length, 10))
		w.Header().Del("Accept-Ranges")
	}
	w.ResponseWriter.WriteHeader(status)
}

// variant picks the smallest form the client takes.
func (f *file) variant(accept string) (body content, encoding string) {
	switch {
	case f.brotli.there() && accepts(accept, "br"):
		return f.brotli, "br"
	case f.gzip.there() && accepts(accept, "gzip"):
		return f.gzip, "gzip"
	}
	return f.plain, ""
}

// accepts reads an Accept-Encoding header; a weight of 0 is a refusal.
func accepts(header, coding string) bool {
	for _, item := range strings.Split(header, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(item), ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
		if !found {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
