// Command site lays the page and the documents out as a static host serves them:
// the page as it was built, and each document of the tree as a page of HTML below
// docs/, in the page's own style. Links between documents become links between
// pages; all are relative, so that the folder works below any path.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	raw "github.com/yuin/goldmark/renderer/html"
)

func main() {
	root := flag.String("root", ".", "the project's `directory`, with the page built")
	out := flag.String("out", "build/site", "the `directory` to fill")
	flag.Parse()
	if err := lay(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

// lay fills out.
func lay(root, out string) error {
	dist := filepath.Join(root, "server", "page", "dist")
	style, err := styleOf(dist)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.CopyFS(out, withoutPlaceholder{os.DirFS(dist)}); err != nil {
		return err
	}
	docs, err := documents(root)
	if err != nil {
		return err
	}
	pages := map[string]string{} // the document's name in the tree: the page's name below docs/
	for _, name := range docs {
		pages[name] = strings.ToLower(strings.TrimSuffix(path.Base(name), ".md")) + ".html"
	}
	pictures := map[string]bool{}
	for name, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		data, err := render(root, name, text, pages, pictures, "../"+style)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := write(out, "docs/"+page, data); err != nil {
			return err
		}
	}
	for name := range pictures {
		if list, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(name))); err == nil {
			if err := folder(root, out, name, list, "../../"+style); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if err := write(out, "docs/"+beside(name), data); err != nil {
			return err
		}
	}
	return write(out, "docs/index.html", index(pages, "../"+style))
}

// beside is where a file of the tree lies below docs/: what is in docs itself keeps
// its folder, all else has none.
func beside(name string) string {
	if below, ok := strings.CutPrefix(name, "docs/"); ok {
		return below
	}
	return path.Base(name)
}

// folder copies a folder that a document links, with a page that lists it: a static
// host lists none.
func folder(root, out, name string, list []fs.DirEntry, style string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n<ul>\n", html.EscapeString(name))
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name), e.Name()))
		if err != nil {
			return err
		}
		if err := write(out, "docs/"+beside(name)+"/"+e.Name(), data); err != nil {
			return err
		}
		fmt.Fprintf(&b, "<li><a href=%q>%s</a></li>\n", e.Name(), html.EscapeString(e.Name()))
	}
	b.WriteString("</ul>\n")
	return write(out, "docs/"+beside(name)+"/index.html", document(path.Base(name), b.String(), style))
}

// withoutPlaceholder is the built page without the file that keeps its folder in
// a clone.
type withoutPlaceholder struct{ fs.FS }

func (w withoutPlaceholder) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(w.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return name == "." && e.Name() == "placeholder" }), err
}

// styleOf gives the address of the page's style sheet.
func styleOf(dist string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dist, "version.json"))
	if err != nil {
		return "", fmt.Errorf("the page is not built: %w", err)
	}
	var about struct {
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal(data, &about); err != nil {
		return "", err
	}
	name := "app/" + about.Hash + "/web/style.css"
	_, err = os.Stat(filepath.Join(dist, filepath.FromSlash(name)))
	return name, err
}

// documents lists what is made a page: README, CHANGELOG and NOTICE's neighbours
// are for readers, ARCHITECTURE and CONTRIBUTING for builders; all of docs/.
func documents(root string) ([]string, error) {
	list := []string{"README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	for _, name := range found {
		list = append(list, "docs/"+filepath.Base(name))
	}
	return list, err
}

// The attributes by which a document names another file.
var reference = regexp.MustCompile(`\b(href|src)="([^"#:]*)(#[^"]*)?"`)

// title is the first heading.
var title = regexp.MustCompile(`(?m)^# (.+)$`)

// render makes a page of a document. A link to a file of the tree that is no page
// of the site would lead nowhere: it is an error here, and not a reader's.
func render(root, name string, text []byte, pages map[string]string, pictures map[string]bool, style string) ([]byte, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()), goldmark.WithRendererOptions(raw.WithUnsafe()))
	var body bytes.Buffer
	if err := md.Convert(text, &body); err != nil {
		return nil, err
	}
	var dead []string
	linked := reference.ReplaceAllStringFunc(body.String(), func(s string) string {
		m := reference.FindStringSubmatch(s)
		if m[2] == "" {
			return s
		}
		to := path.Join(path.Dir(name), m[2])
		switch {
		case pages[to] != "":
			return fmt.Sprintf("%s=%q", m[1], pages[to]+m[3])
		case m[1] == "src":
			pictures[to] = true
			return fmt.Sprintf("src=%q", beside(to))
		case to == "errors.html" || to == "docs":
			return fmt.Sprintf("href=%q", "../"+m[2]+m[3])
		case to == "LICENSE" || to == "NOTICE":
			pictures[to] = true // copied as it is
			return fmt.Sprintf("href=%q", to)
		case strings.HasPrefix(to, "docs/"):
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err == nil {
				pictures[to] = true
				if info.IsDir() {
					return fmt.Sprintf("href=%q", beside(to)+"/")
				}
				return fmt.Sprintf("href=%q", beside(to))
			}
		}
		dead = append(dead, m[2])
		return s
	})
	if dead != nil {
		return nil, fmt.Errorf("links to what the site does not have: %s", strings.Join(dead, ", "))
	}
	heading := path.Base(name)
	if m := title.FindSubmatch(text); m != nil {
		heading = string(m[1])
	}
	return document(heading, linked, style), nil
}

// document is a page around a text.
func document(heading, body, style string) []byte {
	top, _, _ := strings.Cut(style, "app/") // the page itself
	name := "Coredrop: " + heading
	if heading == "Coredrop" {
		name = heading
	}
	return fmt.Appendf(nil, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<link rel="icon" href="%s" type="image/svg+xml">
<link rel="stylesheet" href="%s">
</head>
<body>
<header>
  <p><a href="%s">Open the page</a> · <a href="%s">All documents</a></p>
</header>
<main class="document">
%s</main>
</body>
</html>
`, html.EscapeString(name), path.Dir(style)+"/icon.svg", style, top, top+"docs/", body)
}

// index lists the documents.
func index(pages map[string]string, style string) []byte {
	var b strings.Builder
	b.WriteString("<h1>Documents</h1>\n<ul>\n")
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		fmt.Fprintf(&b, "<li><a href=%q>%s</a></li>\n", pages[name], html.EscapeString(strings.TrimSuffix(path.Base(name), ".md")))
	}
	b.WriteString("<li><a href=\"../errors.html\">errors, as the page links them</a></li>\n</ul>\n")
	return document("documents", b.String(), style)
}

func write(out, name string, data []byte) error {
	file := filepath.Join(out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
