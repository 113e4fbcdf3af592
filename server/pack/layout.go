package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// build is what the page knows of itself: the data of index.html's element of
// that name. A server that can do more than serve files adds to it.
type build struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	Wasm      string `json:"wasm"`       // SHA-256 of coredrop.wasm, hex
	WasmBytes int    `json:"wasm_bytes"` // its length, unpacked
	// WholeBytes is the length of coredrop-whole.wasm, which is fetched when a file
	// needs it; 0: there is none.
	WholeBytes int `json:"whole_bytes"`

	Hash  string   `json:"hash"`  // of all files: app/HASH
	Files []string `json:"files"` // all names below app/HASH
}

// notFirst is what a first visit does not pay for: it is kept when it was used, or
// on a later visit. The style stands in the page itself; the log of races is nothing
// without the whole program.
var notFirst = []string{wholeName, raceLogName, styleName, errorsName}

// layout gives the files by their names in the folder that is served.
func (p *packer) layout(files map[string][]byte) (map[string][]byte, error) {
	index, worker := files["index.html"], files["web/sw.js"]
	for _, name := range []string{"web/sw.js", bootName, mainName, styleName} {
		if files[name] == nil {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	// The worker sees only what lies beside and below it.
	delete(files, "web/sw.js")
	hash := hashOf(files)
	errors := files[errorsName]
	delete(files, "index.html")
	delete(files, errorsName)
	about := build{
		Version: p.version, Commit: p.commit, Hash: hash,
		Wasm: sum(files[wasmName]), WasmBytes: len(files[wasmName]), WholeBytes: len(files[wholeName]),
		Files: slices.Sorted(maps.Keys(files)),
	}
	out := map[string][]byte{errorsName: errors}
	sums := map[string]string{errorsName: sum(errors)}
	for name, data := range files {
		out["app/"+hash+"/"+name] = data
		sums["app/"+hash+"/"+name] = sum(data)
	}
	var err error
	if out["index.html"], err = page(index, about, files[bootName], files[styleName]); err != nil {
		return nil, err
	}
	if out["version.json"], err = line(about); err != nil {
		return nil, err
	}
	later := map[string]string{}
	for name, sum := range sums {
		if slices.Contains(notFirst, strings.TrimPrefix(name, "app/"+hash+"/")) {
			later[name] = sum
			delete(sums, name)
		}
	}
	kept, err := json.Marshal(map[string]any{"hash": hash, "files": sums, "later": later})
	if err != nil {
		return nil, err
	}
	out["sw.js"] = append(fmt.Appendf(nil, "const build = %s;\n", kept), worker...)
	return out, nil
}

// head is where index.html takes what belongs to a build.
const head = "<!-- build -->"

// sheet is how index.html names its style.
const sheet = `<link rel="stylesheet" href="` + styleName + `">`

// page writes index.html: its own program and its style inline, so that it listens
// and is drawn as soon as it is there, its data, and the names of all modules, so
// that no module has to arrive before the next is asked for.
func page(index []byte, about build, boot, style []byte) ([]byte, error) {
	if bytes.Count(index, []byte(head)) != 1 {
		return nil, fmt.Errorf("index.html has no one place for the build: %s", head)
	}
	if bytes.Count(index, []byte(sheet)) != 1 {
		return nil, fmt.Errorf("index.html has no one style: %s", sheet)
	}
	for name, text := range map[string][]byte{bootName: boot, styleName: style} {
		if bytes.Contains(text, []byte("</script")) || bytes.Contains(text, []byte("</style")) || bytes.Contains(text, []byte("<!--")) {
			return nil, fmt.Errorf("%s cannot stand in a page", name)
		}
	}
	data, err := json.Marshal(about) // escapes < and >
	if err != nil {
		return nil, err
	}
	app := "app/" + about.Hash + "/"
	var b strings.Builder
	fmt.Fprintf(&b, "<script type=\"application/json\" id=\"build\">%s</script>\n<script>\n%s</script>\n", data, boot)
	for _, name := range about.Files {
		// The loader is no module; the boot program is here already.
		if path.Ext(name) == ".js" && name != bootName {
			fmt.Fprintf(&b, "<link rel=\"modulepreload\" href=\"%s%s\">\n", app, name)
		}
	}
	text := strings.NewReplacer(sheet, "<style>\n"+string(style)+"</style>", `href="web/`, `href="`+app+`web/`, `src="web/`, `src="`+app+`web/`).Replace(string(index))
	return []byte(strings.Replace(text, head, strings.TrimSuffix(b.String(), "\n"), 1)), nil
}

// hashOf names a set of files by their names and contents.
func hashOf(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %s\n", name, sum(files[name]))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func line(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(data, '\n'), err
}
