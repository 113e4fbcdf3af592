package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
)

// directSample is a core and an image of it: ranges that lie another way in the
// core than in the dump, whole blocks and not, with a hole between.
func directSample(t *testing.T) (*os.File, *fakeImage) {
	t.Helper()
	content := make([]byte, 20<<20+777)
	rand.NewChaCha8([32]byte{3}).Read(content)
	path := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	image := &fakeImage{}
	header := bytes.Repeat([]byte("PAGE"), 2048)
	image.add(dmp.Part{Kind: dmp.Literal, Bytes: int64(len(header)), Literal: header}, header)
	copied := func(off, n int64) {
		image.add(dmp.Part{Kind: dmp.Copy, Off: off, Bytes: n}, content[off:off+n])
	}
	copied(0x498, 9<<20)
	copied(11<<20, 4096)
	copied(3<<20+1, 5<<20+300) // not whole blocks
	image.add(dmp.Part{Kind: dmp.Zero, Bytes: 1 << 20}, make([]byte, 1<<20))
	copied(1<<20, int64(len(content))-1<<20) // begins inside a block, ends with the core
	return in, image
}

// writeDirect writes an image past the page cache, or says that this file system
// does not know how.
func writeDirect(t *testing.T, in *os.File, image *fakeImage, spoil func(*direct)) (written []byte, lines string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &imageWriter{ctx: t.Context(), out: f, in: inputs{{ReaderAt: in}}, path: path, image: image}
	w.sink = progress.Sink{OnLine: func(s string) { lines += s + "\n" }}
	if w.direct = openDirect(f); w.direct == nil {
		t.Skip("this file system writes through its cache only")
	}
	spoil(w.direct)
	err = w.all()
	if w.direct != nil {
		t.Error("still open")
	}
	if w.at > image.Size() {
		t.Errorf("%d bytes of %d were counted", w.at, image.Size())
	}
	written, readErr := os.ReadFile(path)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return written, lines, err
}

func TestDirect(t *testing.T) {
	in, image := directSample(t)
	past := 0
	got, lines, err := writeDirect(t, in, image, func(d *direct) {
		info, err := d.out.Stat()
		if err != nil || info.Size() != 0 {
			t.Fatal(info, err)
		}
		past = len(d.buffers)
	})
	if err != nil || !bytes.Equal(got, image.whole) || past != directWorkers || strings.Contains(lines, "past the page cache") {
		t.Errorf("the file differs from the image (%d and %d bytes), %v\n%s", len(got), len(image.whole), err, lines)
	}
}

// TestDirectFallsBack: what cannot be written past the cache goes through it.
func TestDirectFallsBack(t *testing.T) {
	in, image := directSample(t)
	got, lines, err := writeDirect(t, in, image, func(d *direct) { d.out.Close() })
	if err != nil || !bytes.Equal(got, image.whole) || strings.Count(lines, "past the page cache") != 1 {
		t.Errorf("%d and %d bytes, %v\n%s", len(got), len(image.whole), err, lines)
	}
}

// TestDirectWithoutRoom: a full disk is said as one, and nothing else is tried.
func TestDirectWithoutRoom(t *testing.T) {
	in, image := directSample(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	_, lines, err := writeDirect(t, in, image, func(d *direct) {
		d.out.Close()
		d.out = full
	})
	if !fault.Is(err, fault.OutputFailed) || !strings.Contains(err.Error(), "no space") || strings.Contains(lines, "past the page cache") {
		t.Errorf("%v\n%s", err, lines)
	}
}

// TestDirectOfAShorterCore: the core became shorter while it was being read.
func TestDirectOfAShorterCore(t *testing.T) {
	in, image := directSample(t)
	var err error
	_, _, _ = writeDirect(t, in, image, func(d *direct) {
		if err := os.Truncate(in.Name(), 6<<20); err != nil {
			t.Fatal(err)
		}
		err = d.copy(in, 5<<20+1, 8192, 2<<20)
	})
	if !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}
