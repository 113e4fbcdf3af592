package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// shared is a file that goes with the command.
type shared struct {
	archive   string // its name in the archives; "": not there
	installed string // its full name where a package puts it; "": not there
	data      []byte
}

// share collects what goes with the command. The manual page and the completions
// are what the command itself prints.
func (r *release) share() error {
	own := r.binaries[target{runtime.GOOS, runtime.GOARCH}]
	if own == "" {
		return fmt.Errorf("nothing that is released runs on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	printed := func(args ...string) ([]byte, error) {
		return exec.Command(own, args...).Output()
	}
	file := func(name string) func() ([]byte, error) {
		return func() ([]byte, error) { return os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name))) }
	}
	const doc = "/usr/share/doc/coredrop/"
	for _, s := range []struct {
		archive, installed string
		read               func() ([]byte, error)
	}{
		{"README.md", doc + "README.md", file("README.md")},
		{"LICENSE", doc + "LICENSE", file("LICENSE")},
		{"NOTICE", doc + "NOTICE", file("NOTICE")},
		{"CHANGELOG.md", doc + "CHANGELOG.md", file("CHANGELOG.md")},
		{"", doc + "copyright", r.copyright},
		{"coredrop.1", "/usr/share/man/man1/coredrop.1", func() ([]byte, error) { return printed("manual") }},
		{"completions/coredrop.bash", "/usr/share/bash-completion/completions/coredrop", func() ([]byte, error) { return printed("completion", "bash") }},
		{"completions/_coredrop", "/usr/share/zsh/vendor-completions/_coredrop", func() ([]byte, error) { return printed("completion", "zsh") }},
		{"completions/coredrop.fish", "/usr/share/fish/vendor_completions.d/coredrop.fish", func() ([]byte, error) { return printed("completion", "fish") }},
	} {
		data, err := s.read()
		if err != nil {
			return fmt.Errorf("%s%s: %w", s.archive, s.installed, err)
		}
		r.shared = append(r.shared, shared{s.archive, s.installed, data})
	}
	return r.units()
}

// Where an administrator puts the command by hand, as the units have it, and where
// a package does.
const (
	byHand    = "/usr/local/bin/coredrop"
	byPackage = "/usr/bin/coredrop"
)

// units adds systemd's units.
func (r *release) units() error {
	dir := filepath.Join(r.root, "docs", "operate")
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch filepath.Ext(e.Name()) {
		case ".service", ".socket":
		default:
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		r.shared = append(r.shared,
			shared{archive: "systemd/" + e.Name(), data: data},
			shared{installed: "/usr/lib/systemd/system/" + e.Name(), data: bytes.ReplaceAll(data, []byte(byHand), []byte(byPackage))})
	}
	return nil
}

// copyright is what Debian's packages have in the place of a licence file.
func (r *release) copyright() ([]byte, error) {
	notice, err := os.ReadFile(filepath.Join(r.root, "NOTICE"))
	return append([]byte("Coredrop is licensed under the Apache License, version 2.0:\nsee /usr/share/common-licenses/Apache-2.0, or LICENSE beside this file.\n\n"), notice...), err
}
