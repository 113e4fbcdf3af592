package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"coredrop/server/errordoc"
)

func TestPackLaysOutThePage(t *testing.T) {
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "dist")
	put := func(name, text string) string {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("export const answer = 42;\n", 100)
	put("index.html", "<!doctype html>")
	put("web/app.js", long)
	put("web/test/app.test.js", "not part of the page")
	put("web/sw.js", "// the service worker\n")
	p := packer{root: root, out: out, version: "v1", commit: "c0ffee",
		wasm: put("built/core.wasm", "\x00asm"), exec: put("go/wasm_exec.js", "loader")}
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stale.js", placeholder} {
		if err := os.WriteFile(filepath.Join(out, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, want := range map[string]string{"index.html": "<!doctype html>", "web/app.js": long, "coredrop.wasm": "\x00asm", "wasm_exec.js": "loader", "errors.html": string(errordoc.HTML())} {
		if got := string(read(name)); got != want {
			t.Errorf("%s holds %q", name, got)
		}
	}
	about := string(read("version.json"))
	// printf '\0asm' | sha256sum
	for _, want := range []string{`"version":"v1"`, `"commit":"c0ffee"`, `"wasm":"cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f"`} {
		if !strings.Contains(about, want) {
			t.Errorf("version.json lacks %s: %s", want, about)
		}
	}
	worker := string(read("sw.js"))
	if want := `const build = {"files":["coredrop.wasm","errors.html","index.html","version.json","wasm_exec.js","web/app.js"],"hash":"`; !strings.HasPrefix(worker, want) || !strings.HasSuffix(worker, "// the service worker\n") {
		t.Errorf("the service worker is %s", worker)
	}
	put("index.html", "<!doctype html><p>newer")
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	if string(read("sw.js")) == worker {
		t.Error("another page has the same service worker: no browser would take it")
	}
	for _, name := range []string{"stale.js", "web/sw.js", "web/test/app.test.js", "coredrop.wasm.br", "coredrop.wasm.gz"} {
		if _, err := os.Stat(filepath.Join(out, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	read(placeholder)
	zip, err := gzip.NewReader(bytes.NewReader(read("web/app.js.gz")))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{"br": brotli.NewReader(bytes.NewReader(read("web/app.js.br"))), "gz": zip} {
		if got, err := io.ReadAll(r); err != nil || string(got) != long {
			t.Errorf("%s does not unpack to what was packed: %v", name, err)
		}
	}
}

func TestPackNamesWhatIsMissing(t *testing.T) {
	p := packer{root: t.TempDir(), out: t.TempDir(), wasm: "none.wasm", exec: "none.js"}
	if err := p.run(); err == nil {
		t.Fatal("packed a page that is not there")
	}
}
