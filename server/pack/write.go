package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/andybalholm/brotli"
)

// write writes a file and its compressed forms, where they save at least a
// tenth: else the header costs more than it brings.
func (p *packer) write(name string, data []byte) error {
	path := filepath.Join(p.out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	if strings.HasSuffix(name, ".png") {
		return nil
	}
	for suffix, compress := range map[string]func(io.Writer) (io.WriteCloser, error){
		".br": func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriterLevel(w, p.brotli), nil },
		".gz": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) },
	} {
		var b bytes.Buffer
		w, err := compress(&b)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if b.Len() > len(data)*9/10 {
			continue
		}
		if err := os.WriteFile(path+suffix, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
