package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// A manifest is what is carried across an air gap beside a store, or instead of
// one: text, a line a file, NAME/ID/NAME and, where the file was had, its length
// and SHA-256. What was not had stands behind the reason in a comment, so that
// the manifest is at once the list of what is still wanted: get - reads it.

// manifestHead is a manifest's first line.
const manifestHead = "# coredrop manifest: NAME/ID/NAME, and of what was had the bytes and the SHA-256\n"

// sum is what tells two files under one key apart.
type sum struct {
	known  bool
	size   int64
	sha256 [sha256.Size]byte
}

// sumOf reads a file.
func sumOf(f symstore.File) (sum, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return sum{}, err
	}
	s := sum{known: true, size: n}
	h.Sum(s.sha256[:0])
	return s, nil
}

// differs is the error of a file that is not the one that a manifest names.
func (s sum) differs(key symstore.Key, got sum, where string) error {
	if !s.known || s == got {
		return nil
	}
	return fault.New(fault.SymbolsMismatch, "%s in %s is not the file of the manifest: %d bytes with SHA-256 %x are wanted, it has %d with %x", key, where, s.size, s.sha256, got.size, got.sha256).
		Instead(fault.Step{Text: "it was changed or damaged on the way: carry it over again"})
}

// manifest collects what get did.
type manifest struct{ text bytes.Buffer }

func newManifest() *manifest {
	m := &manifest{}
	m.text.WriteString(manifestHead)
	return m
}

// had adds a file; a sum that is not known is of one that is only wanted.
func (m *manifest) had(key symstore.Key, s sum) {
	if s.known {
		fmt.Fprintf(&m.text, "%s %d %x\n", key, s.size, s.sha256)
		return
	}
	fmt.Fprintf(&m.text, "%s\n", key)
}

// failed adds what was not had.
func (m *manifest) failed(w want, err error) {
	f := fault.As(err)
	fmt.Fprintf(&m.text, "# %s\n", oneLine(coded(f.Text, f.Code)))
	if w.err == nil {
		m.had(w.key, w.sum)
	}
}

// checkManifest refuses a path that a manifest must not replace: all but a
// manifest, an empty file and nothing.
func checkManifest(path string) error {
	if path == standard {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return outputFailed(path, err)
	}
	defer f.Close() // only read
	head := make([]byte, len(manifestHead))
	n, err := io.ReadFull(f, head)
	if info, statErr := f.Stat(); statErr != nil || !info.Mode().IsRegular() || n > 0 && (err != nil || string(head) != manifestHead) {
		return fault.New(fault.OutputExists, "%s exists and is no manifest", path).Instead(fault.Step{Text: "give the manifest another name"})
	}
	return nil
}

// write gives the manifest its name when all of it is on the disk.
func (m *manifest) write(path string, stdout io.Writer) error {
	if path == standard {
		_, err := stdout.Write(m.text.Bytes())
		return err
	}
	if err := checkManifest(path); err != nil { // again: time has passed
		return err
	}
	temp := filepath.Join(filepath.Dir(path), tempName())
	f, err := createNew(temp, openMode)
	if err != nil {
		return outputFailed(path, err)
	}
	_, err = f.WriteAt(m.text.Bytes(), 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp) // the first error says why
		return outputFailed(path, err)
	}
	return nil
}
