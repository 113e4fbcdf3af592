package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// packages makes a .deb and an .rpm for each Linux. The service comes disabled:
// installing a converter opens no port.
func (r *release) packages() error {
	for _, t := range targets {
		if t.os != "linux" {
			continue
		}
		for _, form := range []string{"deb", "rpm"} {
			if err := r.pack(t, form); err != nil {
				return fmt.Errorf("%s for %s: %w", form, t.arch, err)
			}
		}
	}
	return nil
}

func (r *release) pack(t target, form string) error {
	packager, err := nfpm.Get(form)
	if err != nil {
		return err
	}
	contents := files.Contents{{
		Source: r.binaries[t], Destination: byPackage,
		FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: r.time},
	}}
	for _, s := range r.shared {
		if s.installed == "" {
			continue
		}
		from := filepath.Join(r.work, "shared", filepath.FromSlash(s.installed))
		if err := os.MkdirAll(filepath.Dir(from), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(from, s.data, 0o644); err != nil {
			return err
		}
		contents = append(contents, &files.Content{
			Source: from, Destination: s.installed,
			FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: r.time},
		})
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "coredrop", Arch: t.arch, Platform: t.os, Version: r.number(), MTime: r.time,
		Section: "utils", Priority: "optional", License: "Apache-2.0", Maintainer: "Coredrop <coredrop@localhost>",
		Description:     "crash dumps and race reports out of the memory of virtual machines\nTurns cores of QEMU and libvirt into crash dumps for WinDbg, and reads the\ndata-race reports of Linux kernels. Serves the page that does it in a browser.",
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Contents:   contents,
			Recommends: []string{"ca-certificates"},
			RPM:        nfpm.RPM{BuildHost: "localhost", Summary: "Crash dumps and race reports out of the memory of virtual machines"},
		},
	})
	if err := nfpm.PrepareForPackager(info, form); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.out, packager.ConventionalFileName(info)))
	if err != nil {
		return err
	}
	if err := packager.Package(info, f); err != nil {
		f.Close() // the first error says more
		return err
	}
	return f.Close()
}
