// Command pack lays out the page as it is served. index.html is the one name
// that stays; all it needs lies in a folder named by its contents, app/HASH: the
// modules of web/ without its tests, the template library from the package lock,
// the core as WebAssembly with the loader of the Go tree it was built with. So a
// build is one unit: no file of one is ever used with a file of another. For
// everything worth it there is a .br and a .gz beside it. The folder works on any
// static server; the coredrop binary embeds it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var p packer
	flag.StringVar(&p.root, "root", ".", "the `directory` of index.html and web")
	flag.StringVar(&p.modules, "modules", "node_modules", "the `directory` of npm's packages")
	flag.StringVar(&p.wasm, "wasm", "build/coredrop.wasm", "the core, a wasm `file`")
	flag.StringVar(&p.whole, "whole", "", "the whole core, for Linux guests and logs too, a wasm `file`; none: the core is whole")
	flag.StringVar(&p.exec, "exec", "", "wasm_exec.js of the Go tree, a `file`")
	flag.StringVar(&p.out, "out", "server/page/dist", "the `directory` to fill")
	flag.StringVar(&p.version, "version", "devel", "the version to show")
	flag.StringVar(&p.commit, "commit", "unknown", "the commit to show")
	flag.IntVar(&p.brotli, "brotli", 11, "the `level` of brotli, to 11: that takes ten seconds for the core, 9 one and a tenth more bytes")
	flag.Parse()
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// placeholder is the file that keeps the folder in a clone.
const placeholder = "placeholder"

type packer struct {
	root, modules, wasm, whole, exec, out, version, commit string
	brotli                                                 int
}

func (p *packer) run() error {
	files, err := p.collect()
	if err != nil {
		return err
	}
	if files, err = p.layout(files); err != nil {
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
