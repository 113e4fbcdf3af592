package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// member is a file of an archive.
type member struct {
	name string // with slashes
	user int    // the owner and the group, by number; only a tar keeps them
	mode fs.FileMode
	from string // the file it is; "" with data
	data []byte
}

func (m member) read() ([]byte, error) {
	if m.from == "" {
		return m.data, nil
	}
	return os.ReadFile(m.from)
}

// tarballOf writes members as a tar, all of one time.
func tarballOf(w io.Writer, list []member, at time.Time) error {
	t := tar.NewWriter(w)
	for _, m := range list {
		data, err := m.read()
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: int64(m.mode.Perm()), Uid: m.user, Gid: m.user, Size: int64(len(data)), ModTime: at, Format: tar.FormatUSTAR}
		if m.mode.IsDir() {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(data); err != nil {
			return err
		}
	}
	return t.Close()
}

// tarGz writes a .tar.gz.
func tarGz(path string, list []member, at time.Time) error {
	return create(path, func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		if err := tarballOf(z, list, at); err != nil {
			return err
		}
		return z.Close()
	})
}

// zipped writes a .zip.
func zipped(path string, list []member, at time.Time) error {
	return create(path, func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, m := range list {
			data, err := m.read()
			if err != nil {
				return err
			}
			h := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: at}
			h.SetMode(m.mode)
			f, err := z.CreateHeader(h)
			if err != nil {
				return err
			}
			if _, err := f.Write(data); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close() // the first error says more
		return err
	}
	return f.Close()
}

// archives packs the command for each system with what belongs to it.
func (r *release) archives() error {
	for _, t := range targets {
		top := "coredrop-" + r.number() + "/"
		list := []member{{name: top + filepath.Base(r.binaries[t]), mode: 0o755, from: r.binaries[t]}}
		for _, s := range r.shared {
			if s.archive != "" {
				list = append(list, member{name: top + s.archive, mode: 0o644, data: s.data})
			}
		}
		path, pack := r.file("-"+t.os+"-"+t.arch+".tar.gz"), tarGz
		if t.os == "windows" {
			path, pack = strings.TrimSuffix(path, ".tar.gz")+".zip", zipped
		}
		if err := pack(path, list, r.time); err != nil {
			return err
		}
	}
	return nil
}

// site packs the page as any static host can serve it.
func (r *release) site() error {
	var list []member
	dir := filepath.Join(r.root, "build", "site")
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		list = append(list, member{name: filepath.ToSlash(name), mode: 0o644, from: path})
		return err
	})
	if err != nil {
		return err
	}
	return zipped(r.file("-page.zip"), list, r.time)
}
