// Package page serves the browser's half of the tool from files embedded at
// build time: the right types, the compressed variants made by the build, cache
// headers by content. It knows no symbols and no cores.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// dist holds what make puts together. In a clone where it has not run there is
// only the placeholder, so that the package builds.
//
//go:embed all:dist
var dist embed.FS

// Embedded gives the files that were embedded.
func Embedded() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// types gives the Content-Type by file name ending; the operating system's table
// is not asked, since it differs from host to host.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": "application/json",
	".wasm": "application/wasm", // streaming compilation insists on it
	".txt":  "text/plain; charset=utf-8",
}

// file is one resource with its variants.
type file struct {
	plain, brotli, gzip []byte
	contentType, hash   string
}

// Handler serves the page's files. It is made by New and never changes.
type Handler struct {
	files map[string]*file
}

// Build says what was built: the content of version.json, which the page reads
// and /version repeats. A static host serves the file as it was built; this
// server adds what it can do.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Wasm    string `json:"wasm"`           // SHA-256 of coredrop.wasm, hex
	Symbols bool   `json:"symbols"`        // there is a symbol proxy at symbols/; only a static host does not say
	Demo    string `json:"demo,omitempty"` // where the demo core is, relative to the page
}

// VersionFile is the name of the file that holds a Build.
const VersionFile = "version.json"

// Version reads the Build of a built page; the zero value where there is none.
func Version(files fs.FS) Build {
	var b Build
	data, err := fs.ReadFile(files, VersionFile)
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		return Build{}
	}
	return b
}

// New reads all files. What is extra is served like a file of that name, and
// before one; the names are relative, with slashes. It gets a compressed variant
// here, since no build made one.
func New(files fs.FS, extra map[string][]byte) (*Handler, error) {
	h := &Handler{files: map[string]*file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "placeholder" {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		base, ending := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		switch ending {
		case ".br":
			h.at(base).brotli = data
		case ".gz":
			h.at(base).gzip = data
		default:
			h.at(name).plain = data
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the page's files: %w", err)
	}
	for name, data := range extra {
		packed, err := pack(data)
		if err != nil {
			return nil, fmt.Errorf("compressing %s: %w", name, err)
		}
		h.files[name] = &file{plain: data, gzip: packed}
	}
	for name, f := range h.files {
		if f.plain == nil {
			return nil, fmt.Errorf("the page's file %s has only compressed variants", name)
		}
		sum := sha256.Sum256(f.plain)
		f.hash = hex.EncodeToString(sum[:])
		f.contentType = types[path.Ext(name)]
		if f.contentType == "" {
			f.contentType = "application/octet-stream"
		}
	}
	return h, nil
}

// pack gives the gzip variant, nil where it saves less than a tenth.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	// At this level the demo core takes a hundredth of a second, and a tenth
	// more bytes than at best.
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil || b.Len() > len(data)*9/10 {
		return nil, err
	}
	return b.Bytes(), nil
}

func (h *Handler) at(name string) *file {
	if h.files[name] == nil {
		h.files[name] = &file{}
	}
	return h.files[name]
}

// Built reports whether the page was embedded.
func (h *Handler) Built() bool { return h.files["index.html"] != nil }
