package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is the user and group of the image, by number: there is no /etc/passwd
// that had names.
const nobody = 65532

// image writes an OCI layout as one tar, which skopeo, podman and crane read
// without a daemon: the static command, the roots of certificates and an empty
// cache, nothing else.
func (r *release) image() error {
	dir := filepath.Join(r.work, "oci")
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var list []mutate.IndexAddendum
	for _, t := range targets {
		if t.os != "linux" {
			continue
		}
		image, err := r.imageFor(t)
		if err != nil {
			return err
		}
		list = append(list, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: t.os, Architecture: t.arch},
			Annotations: map[string]string{"org.opencontainers.image.ref.name": r.number()},
		}})
	}
	if _, err := layout.Write(dir, mutate.AppendManifests(index, list...)); err != nil {
		return err
	}
	var files []member
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		m := member{name: filepath.ToSlash(name), mode: 0o644, from: path}
		if e.IsDir() {
			m = member{name: m.name + "/", mode: fs.ModeDir | 0o755}
		}
		files = append(files, m)
		return err
	})
	if err != nil {
		return err
	}
	return create(r.file("-oci.tar"), func(w io.Writer) error { return tarballOf(w, files, r.time) })
}

func (r *release) imageFor(t target) (v1.Image, error) {
	layer, err := r.layer(t)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "coredrop release"}}); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = t.os, t.arch, v1.Time{Time: r.time}
	config.Config = v1.Config{
		User:         fmt.Sprintf("%d:%[1]d", nobody),
		Env:          []string{"CACHE_DIRECTORY=/cache"},
		Entrypoint:   []string{"/coredrop", "serve"},
		Cmd:          []string{"-addr", "0.0.0.0:8080", "-log", "json", "-shutdown-timeout", "20s"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Volumes:      map[string]struct{}{"/cache": {}},
		WorkingDir:   "/",
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "coredrop",
			"org.opencontainers.image.version":  r.number(),
			"org.opencontainers.image.revision": r.commit,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

// layer is the one layer of the image.
func (r *release) layer(t target) (v1.Layer, error) {
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say what else one must hold
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	binary, err := os.ReadFile(r.binaries[t])
	if err != nil {
		return nil, err
	}
	dir := fs.ModeDir | 0o755
	files := []member{
		{name: "coredrop", mode: 0o755, data: binary},
		{name: "etc/", mode: dir}, {name: "etc/ssl/", mode: dir}, {name: "etc/ssl/certs/", mode: dir},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: roots.Bytes()},
		{name: "cache/", mode: fs.ModeDir | 0o755, user: nobody},
	}
	var b bytes.Buffer
	if err := tarballOf(&b, files, r.time); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
}
