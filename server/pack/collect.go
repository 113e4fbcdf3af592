package main

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"coredrop/core/demo"
	"coredrop/server/errordoc"
)

// What lies below app/HASH, by its name there.
const (
	wasmName  = "coredrop.wasm"
	wholeName = "coredrop-whole.wasm"
	execName  = "wasm_exec.js"
	bootName  = "web/boot.js"
	mainName  = "web/main.js"
	styleName = "web/style.css"

	raceLogName = "samples/races.log"
)

// errorsName is the catalogue of errors, a page of its own beside index.html.
const errorsName = "errors.html"

// collect gives every file by its name: index.html, sw.js, and what they need.
func (p *packer) collect() (map[string][]byte, error) {
	files := map[string][]byte{}
	sources := map[string]string{
		"index.html": filepath.Join(p.root, "index.html"),
		wasmName:     p.wasm,
		execName:     p.exec,
	}
	if p.whole != "" {
		sources[wholeName] = p.whole
	}
	for name, from := range sources {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	files[errorsName] = errordoc.HTML()
	maps.Copy(files, samples())
	web := filepath.Join(p.root, "web")
	err := filepath.WalkDir(web, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file == filepath.Join(web, "test") {
				return fs.SkipDir // the suite is not part of the page
			}
			return nil
		}
		if strings.HasSuffix(file, ".d.ts") {
			return nil // for the type checker
		}
		name, err := filepath.Rel(p.root, file)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(file)
		return err
	})
	if err != nil {
		return nil, err
	}
	return files, p.packages(files)
}

// samples are what the page opens for those who have no file at hand: part of the
// build, so that they open offline too. The core is packed, and by a name of its own:
// a host may take .gz for a form of another file.
func samples() map[string][]byte {
	return map[string][]byte{
		"samples/crash.elf.packed": demo.Crash.Packed(),
		raceLogName:                demo.RaceLog,
	}
}

// imported finds the relative imports of a module.
var imported = regexp.MustCompile(`(?:\bfrom|\bimport)\s*["'](\.{1,2}/[^"']+\.js)["']`)

// packages adds the modules of npm's packages that the page imports, and what
// those import: a name that is not ours lies in the packages' directory.
func (p *packer) packages(files map[string][]byte) error {
	var queue []string
	for name := range files {
		if path.Ext(name) == ".js" {
			queue = append(queue, name)
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, m := range imported.FindAllSubmatch(files[name], -1) {
			other := path.Join(path.Dir(name), string(m[1]))
			if files[other] != nil {
				continue
			}
			data, err := os.ReadFile(filepath.Join(p.modules, filepath.FromSlash(other)))
			if err != nil {
				return err
			}
			files[other] = data
			queue = append(queue, other)
		}
	}
	return nil
}
