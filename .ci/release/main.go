// Command release makes what people install: the command for six systems, the
// page for any static host, packages for Debian and for rpm, an image for
// containers, the list of what is in them, and their sums. Two runs of one commit
// give the same bytes, wherever the tree lies: all times are the commit's, all
// orders are sorted, no path and no name of a machine gets in.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// target is a system the command is built for.
type target struct{ os, arch string }

var targets = []target{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
	{"darwin", "amd64"}, {"darwin", "arm64"},
}

// release is one run.
type release struct {
	root, out, work         string // the tree, the folder to fill, a folder for what is on the way
	version, commit, ldflag string
	time                    time.Time // of the commit
	binaries                map[target]string
	shared                  []shared // what the packages hold beside the command
}

func main() {
	var r release
	var seconds int64
	flag.StringVar(&r.root, "root", ".", "the project's `directory`, with the page built")
	flag.StringVar(&r.out, "out", "build/release", "the `directory` to fill")
	flag.StringVar(&r.version, "version", "", "the `version`")
	flag.StringVar(&r.commit, "commit", "", "the `commit`")
	flag.Int64Var(&seconds, "time", 0, "`seconds` since 1970: the commit's time")
	flag.StringVar(&r.ldflag, "ldflags", "", "the linker's `flags`")
	flag.Parse()
	r.time = time.Unix(seconds, 0).UTC()
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run() (err error) {
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if r.version == "" || r.time.Unix() == 0 {
		return fmt.Errorf("-version and -time are missing")
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "coredrop-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	for _, step := range []func() error{r.changelog, r.build, r.share, r.archives, r.site, r.packages, r.image, r.materials, r.sums} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// changelog refuses a version of which the changelog does not speak.
func (r *release) changelog() error {
	want := "## Unreleased"
	if number := r.number(); !strings.Contains(number, "-") {
		want = "## " + number
	}
	text, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	_, entry, found := strings.Cut(string(text), want)
	entry, _, _ = strings.Cut(entry, "\n## ")
	if !found || !strings.Contains(entry, "\n- ") {
		return fmt.Errorf("CHANGELOG.md has no entry below %q", want)
	}
	return nil
}

// build makes the command for each system.
func (r *release) build() error {
	r.binaries = map[target]string{}
	for _, t := range targets {
		name := filepath.Join(r.work, t.os+"-"+t.arch, "coredrop")
		if t.os == "windows" {
			name += ".exe"
		}
		// Without the version control's stamp: it says whether the tree is
		// clean, and -version has the commit already.
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflag, "-o", name, "./server")
		c.Dir = r.root
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS="+os.Getenv("GOFLAGS"))
		c.Stderr = os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("building for %s/%s: %w", t.os, t.arch, err)
		}
		info, err := buildinfo.ReadFile(name)
		if err != nil {
			return err
		}
		if info.Main.Path == "" {
			return fmt.Errorf("%s does not say what it is made of", name)
		}
		r.binaries[t] = name
	}
	return nil
}

// file is the full name of what is released: the version, then the suffix.
func (r *release) file(suffix string) string {
	return filepath.Join(r.out, "coredrop-"+r.number()+suffix)
}

// number is the version without the v that tags begin with. A commit that no tag
// leads to comes before every version, in the order of time.
func (r *release) number() string {
	if v := strings.TrimPrefix(r.version, "v"); v != "" && v[0] >= '0' && v[0] <= '9' && strings.Contains(v, ".") {
		return v
	}
	return "0.0.0-" + r.time.Format("20060102150405") + "." + r.commit
}

// sums writes SHA256SUMS, as sha256sum -c reads it.
func (r *release) sums() error {
	names, err := r.released()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// released lists the files that are there by now.
func (r *release) released() ([]string, error) {
	list, err := os.ReadDir(r.out)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
