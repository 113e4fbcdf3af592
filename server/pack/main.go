// Command pack lays out the page as it is served: index.html, errors.html (the
// catalogue of errors), web/ without its tests, the core as WebAssembly with the loader of the Go tree it was built
// with, and for everything worth it a .br and a .gz beside it. The folder works
// on any static server; the coredrop binary embeds it.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"

	"coredrop/server/errordoc"
)

func main() {
	var p packer
	flag.StringVar(&p.root, "root", ".", "the `directory` of index.html and web")
	flag.StringVar(&p.wasm, "wasm", "build/coredrop.wasm", "the core, a wasm `file`")
	flag.StringVar(&p.exec, "exec", "", "wasm_exec.js of the Go tree, a `file`")
	flag.StringVar(&p.out, "out", "server/page/dist", "the `directory` to fill")
	flag.StringVar(&p.version, "version", "devel", "the version to show")
	flag.StringVar(&p.commit, "commit", "unknown", "the commit to show")
	flag.Parse()
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// placeholder is the file that keeps the folder in a clone.
const placeholder = "placeholder"

type packer struct {
	root, wasm, exec, out, version, commit string
}

func (p *packer) run() error {
	files, err := p.collect()
	if err != nil {
		return err
	}
	if err := p.empty(); err != nil {
		return err
	}
	for name, data := range files {
		if err := p.write(name, data); err != nil {
			return err
		}
	}
	return nil
}

// collect gives every file by its name in the folder.
func (p *packer) collect() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, from := range map[string]string{
		"index.html":    filepath.Join(p.root, "index.html"),
		"coredrop.wasm": p.wasm,
		"wasm_exec.js":  p.exec,
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	files["errors.html"] = errordoc.HTML()
	sum := sha256.Sum256(files["coredrop.wasm"])
	about, err := json.Marshal(map[string]string{"version": p.version, "commit": p.commit, "wasm": hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, err
	}
	files["version.json"] = append(about, '\n')
	web := filepath.Join(p.root, "web")
	err = filepath.WalkDir(web, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path == filepath.Join(web, "test") {
				return fs.SkipDir // the suite is not part of the page
			}
			return nil
		}
		name, err := filepath.Rel(p.root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return files, worker(files)
}

// worker moves the service worker beside index.html, since it sees only what
// lies beside and below it, and tells it which files there are. Their hash makes
// it another program when any of them is, by which browsers know.
func worker(files map[string][]byte) error {
	const from = "web/sw.js"
	body, ok := files[from]
	if !ok {
		return fmt.Errorf("%s is missing", from)
	}
	delete(files, from)
	names := slices.Sorted(maps.Keys(files))
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(files[name]))
	}
	build, err := json.Marshal(map[string]any{"files": names, "hash": hex.EncodeToString(h.Sum(nil))[:16]})
	if err != nil {
		return err
	}
	files["sw.js"] = append(fmt.Appendf(nil, "const build = %s;\n", build), body...)
	return nil
}

// empty removes what an earlier build left, so that nothing stale is served.
func (p *packer) empty() error {
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	list, err := os.ReadDir(p.out)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == placeholder {
			continue
		}
		if err := os.RemoveAll(filepath.Join(p.out, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file and its compressed forms, where they save at least a
// tenth: else the header costs more than it brings.
func (p *packer) write(name string, data []byte) error {
	path := filepath.Join(p.out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	if strings.HasSuffix(name, ".png") {
		return nil
	}
	for suffix, compress := range map[string]func(io.Writer) (io.WriteCloser, error){
		".br": func(w io.Writer) (io.WriteCloser, error) {
			return brotli.NewWriterLevel(w, brotliLevel), nil
		},
		".gz": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) },
	} {
		var b bytes.Buffer
		w, err := compress(&b)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if b.Len() > len(data)*9/10 {
			continue
		}
		if err := os.WriteFile(path+suffix, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// brotliLevel 9 is a second for the core; 11 is ten for four hundredths less.
const brotliLevel = 9
