package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
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
	put("index.html", `<!doctype html><!-- build --><link rel="stylesheet" href="web/style.css"><script src="web/boot.js"></script>`)
	put("web/boot.js", "boot();\n")
	put("web/main.js", `import { html } from '../lit-html/lit-html.js';`+"\n"+long)
	put("web/panels/one.js", `import { repeat } from "../../lit-html/directives/repeat.js";`)
	put("web/style.css", "p {}")
	put("web/types.d.ts", "not part of the page")
	put("web/test/app.test.js", "not part of the page")
	put("web/sw.js", "// the service worker\n")
	put("modules/lit-html/lit-html.js", "export const html = 1")
	put("modules/lit-html/directive.js", "export const directive = 1")
	put("modules/lit-html/directives/repeat.js", `import{a}from"../lit-html.js";import{b}from"../directive.js";`)
	put("modules/lit-html/directives/until.js", "nobody imports this")
	p := packer{root: root, modules: filepath.Join(root, "modules"), out: out, version: "v1", commit: "c0ffee</script>",
		wasm: put("built/core.wasm", "\x00asm"), exec: put("go/wasm_exec.js", "loader"), brotli: 9}
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
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var about build
	if err := json.Unmarshal([]byte(read("version.json")), &about); err != nil {
		t.Fatal(err)
	}
	// printf '\0asm' | sha256sum
	if about.Version != "v1" || about.Wasm != "cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f" || about.WasmBytes != 4 {
		t.Errorf("the build is %+v", about)
	}
	app := "app/" + about.Hash + "/"
	want := []string{"coredrop.wasm", "lit-html/directive.js", "lit-html/directives/repeat.js", "lit-html/lit-html.js",
		"samples/crash.elf.packed", "samples/races.log", "wasm_exec.js",
		"web/boot.js", "web/main.js", "web/panels/one.js", "web/style.css"}
	if !slices.Equal(about.Files, want) {
		t.Errorf("the build has %q", about.Files)
	}
	for name, text := range map[string]string{"coredrop.wasm": "\x00asm", "wasm_exec.js": "loader", "lit-html/directive.js": "export const directive = 1"} {
		if got := read(app + name); got != text {
			t.Errorf("%s holds %q", name, got)
		}
	}

	// The page names one build only, and has its boot program and data inline.
	index := read("index.html")
	for _, part := range []string{
		"<script>\nboot();\n</script>", "<style>\np {}</style>", `src="` + app + `web/boot.js"`,
		`<link rel="modulepreload" href="` + app + `web/main.js">`, `<link rel="modulepreload" href="` + app + `lit-html/directives/repeat.js">`,
		`<script type="application/json" id="build">{"version":"v1","commit":"c0ffee\u003c/script\u003e"`,
	} {
		if !strings.Contains(index, part) {
			t.Errorf("the page lacks %s:\n%s", part, index)
		}
	}
	if strings.Contains(index, `modulepreload" href="`+app+`web/boot.js`) || strings.Contains(index, `="web/`) {
		t.Errorf("the page is %s", index)
	}

	// The worker beside it knows every file and its sum.
	worker := read("sw.js")
	first, rest, _ := strings.Cut(worker, "\n")
	var kept struct {
		Hash         string
		Files, Later map[string]string
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(first, "const build = "), ";")), &kept); err != nil || rest != "// the service worker\n" {
		t.Fatalf("the service worker is %s: %v", worker, err)
	}
	if kept.Hash != about.Hash || len(kept.Files)+len(kept.Later) != len(want)+1 || kept.Files[app+"coredrop.wasm"] != about.Wasm {
		t.Errorf("the service worker keeps %+v", kept)
	}
	// The style, which stands in the page, the errors' own page and what needs the whole
	// program a first visit does without.
	if later := slices.Sorted(maps.Keys(kept.Later)); !slices.Equal(later, []string{app + "samples/races.log", app + "web/style.css", errorsName}) || kept.Later[errorsName] != sum([]byte(read(errorsName))) {
		t.Errorf("later it keeps %+v", kept.Later)
	}

	// Any other content is another build, the page's own too.
	for _, name := range []string{"index.html", "web/style.css", "modules/lit-html/directive.js", "built/core.wasm"} {
		put(name, slurp(t, filepath.Join(root, name))+" ")
		if err := p.run(); err != nil {
			t.Fatal(err)
		}
		var newer build
		if err := json.Unmarshal([]byte(read("version.json")), &newer); err != nil || newer.Hash == about.Hash {
			t.Errorf("another %s is the same build %s: %v", name, newer.Hash, err)
		}
		if _, err := os.Stat(filepath.Join(out, "app", about.Hash)); err == nil {
			t.Error("the build before is still there")
		}
		about.Hash = newer.Hash
	}
	app = "app/" + about.Hash + "/"
	for _, name := range []string{"stale.js", app + "web/sw.js", app + "web/test/app.test.js", app + "web/types.d.ts", app + "lit-html/directives/until.js", app + "coredrop.wasm.br"} {
		if _, err := os.Stat(filepath.Join(out, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	read(placeholder)
	plain := read(app + "web/main.js")
	zip, err := gzip.NewReader(strings.NewReader(read(app + "web/main.js.gz")))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{"br": brotli.NewReader(strings.NewReader(read(app + "web/main.js.br"))), "gz": zip} {
		if got, err := io.ReadAll(r); err != nil || string(got) != plain {
			t.Errorf("%s does not unpack to what was packed: %v", name, err)
		}
	}
}

func slurp(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What would make a page that cannot work is refused.
func TestPackRefusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(files map[string][]byte){
		"no place for the build":         func(f map[string][]byte) { f["index.html"] = []byte("<!doctype html>") },
		"two places for the build":       func(f map[string][]byte) { f["index.html"] = []byte(head + sheet + head) },
		"no place for the style":         func(f map[string][]byte) { f["index.html"] = []byte(head) },
		"a style that ends early":        func(f map[string][]byte) { f[styleName] = []byte("</style>") },
		"no style":                       func(f map[string][]byte) { delete(f, styleName) },
		"no main module":                 func(f map[string][]byte) { delete(f, mainName) },
		"no service worker":              func(f map[string][]byte) { delete(f, "web/sw.js") },
		"a boot program that ends early": func(f map[string][]byte) { f[bootName] = []byte("'</script>'") },
	} {
		files := map[string][]byte{"index.html": []byte(head + sheet), "web/sw.js": []byte("x"), bootName: []byte("x"), mainName: []byte("x"), styleName: []byte("x"), wasmName: {1}}
		if _, err := (&packer{}).layout(maps.Clone(files)); err != nil {
			t.Fatal(err)
		}
		change(files)
		if _, err := (&packer{}).layout(files); err == nil {
			t.Errorf("%s: packed", name)
		}
	}
}

func TestPackNamesWhatIsMissing(t *testing.T) {
	p := packer{root: t.TempDir(), out: t.TempDir(), wasm: "none.wasm", exec: "none.js"}
	if err := p.run(); err == nil {
		t.Fatal("packed a page that is not there")
	}
}
