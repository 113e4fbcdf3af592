// Package page serves the browser's half of the tool from files embedded at
// build time: the right types, the compressed variants made by the build, cache
// headers by content. It knows no symbols and no cores.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
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

// content is the bytes of a variant, where they lie: those that are embedded are not
// copied. size is -1 where there is no such variant.
type content struct {
	io.ReaderAt
	size int64
}

var none = content{size: -1}

func (c content) there() bool { return c.size >= 0 }

func (c content) reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size) }

// literal is content that is in memory.
func literal(data []byte) content { return content{bytes.NewReader(data), int64(len(data))} }

// open gives the content of a file, which stays open: an embedded one costs nothing.
func open(files fs.FS, name string) (content, error) {
	f, err := files.Open(name)
	if err != nil {
		return none, err
	}
	info, err := f.Stat()
	if err != nil {
		return none, err
	}
	if at, ok := f.(io.ReaderAt); ok {
		return content{at, info.Size()}, nil
	}
	defer f.Close() // only read
	data, err := io.ReadAll(f)
	return literal(data), err
}

// file is one resource with its variants.
type file struct {
	plain, brotli, gzip content
	contentType, hash   string
}

// Handler serves the page's files. It is made by New and never changes.
type Handler struct {
	files map[string]*file
}

// What stands in a page itself.
var (
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	inlineStyle  = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
)

// Inline is what may stand in the page itself, as sources in the words of a
// Content-Security-Policy: hashes.
type Inline struct{ Scripts, Styles []string }

// Inline gives the hashes of the scripts and styles that stand in index.html.
func (h *Handler) Inline() Inline {
	index := h.files["index.html"]
	if index == nil {
		return Inline{}
	}
	text, err := io.ReadAll(index.plain.reader())
	if err != nil {
		return Inline{} // of a file that New has read
	}
	hashes := func(pattern *regexp.Regexp) (list []string) {
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			sum := sha256.Sum256(m[1])
			list = append(list, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		}
		return list
	}
	return Inline{hashes(inlineScript), hashes(inlineStyle)}
}

// Build says what was built: the content of version.json, which /version
// repeats. The page has the same in an element of its own. A static host serves
// both as they were built; this server adds what it can do.
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

// element is where the page holds what it knows of its build.
var element = regexp.MustCompile(`(?s)(<script type="application/json" id="build">)(.*?)(</script>)`)

// Announce gives the page with what a server can do in its build data. It fails
// where the page has no such data, or data that is not understood.
func Announce(index []byte, b Build) ([]byte, error) {
	at := element.FindSubmatchIndex(index)
	if at == nil {
		return nil, errors.New("the page has no build data")
	}
	data := map[string]any{}
	if err := json.Unmarshal(index[at[4]:at[5]], &data); err != nil {
		return nil, fmt.Errorf("the page's build data: %w", err)
	}
	data["symbols"] = b.Symbols
	if b.Demo != "" {
		data["demo"] = b.Demo
	}
	text, err := json.Marshal(data) // escapes < and >
	if err != nil {
		return nil, err
	}
	return slices.Concat(index[:at[4]], text, index[at[5]:]), nil
}

// New opens all files. What is extra is served like a file of that name, and
// before one; the names are relative, with slashes. It gets a compressed variant
// here, since no build made one.
func New(files fs.FS, extra map[string][]byte) (*Handler, error) {
	h := &Handler{files: map[string]*file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "placeholder" {
			return err
		}
		data, err := open(files, name)
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
		f := &file{plain: literal(data), brotli: none, gzip: none}
		if packed != nil {
			f.gzip = literal(packed)
		}
		h.files[name] = f
	}
	for name, f := range h.files {
		if !f.plain.there() {
			return nil, fmt.Errorf("the page's file %s has only compressed variants", name)
		}
		sum := sha256.New()
		if strings.HasPrefix(name, immutable) {
			sum.Write([]byte(name)) // which holds a hash of what is in all of them
		} else if _, err := io.Copy(sum, f.plain.reader()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		f.hash = hex.EncodeToString(sum.Sum(nil))
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
		h.files[name] = &file{plain: none, brotli: none, gzip: none}
	}
	return h.files[name]
}

// Built reports whether the page was embedded.
func (h *Handler) Built() bool { return h.files["index.html"] != nil }
