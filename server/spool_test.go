package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/progress"
)

// packedInput is an opened file that holds data in gzip's form.
func packedInput(t *testing.T, data []byte) *input {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	path := filepath.Join(t.TempDir(), "vm.core.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := openInput(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.close)
	return in
}

// core is memory with much in it that is zero, and an end that is no whole block.
func sparseCore() []byte {
	data := make([]byte, 8<<20+123)
	r := rand.New(rand.NewSource(1))
	r.Read(data[:3*holeBytes])
	r.Read(data[5<<20 : 5<<20+7])
	r.Read(data[6<<20 : 7<<20+5000])
	copy(data, "QEVM")
	return data
}

func plenty(*os.File) (volume, bool) { return volume{free: 1 << 40, size: 1 << 41}, true }

// entries lists a directory.
func entries(t *testing.T, dir string) (list []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		list = append(list, e.Name())
	}
	return list
}

func TestSpoolKeepsHoles(t *testing.T) {
	data, dir := sparseCore(), t.TempDir()
	in := packedInput(t, data)
	s := &spooler{places: []string{dir}, volume: plenty}
	if err := s.spool(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, in.spooled.size)
	if _, err := in.spooled.file.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, data) {
		t.Fatal("other bytes", err)
	}
	if src := in.source(); src.Name != "vm.core" || src.Size != int64(len(data)) {
		t.Error(src.Name, src.Size)
	}
	if p := in.spooled.packed; p.Name != "vm.core.gz" || len(p.Forms) != 1 || p.Forms[0] != "gzip" || p.Bytes != in.info.Size() {
		t.Errorf("%+v", p)
	}
	if len(in.spooled.warnings) != 0 {
		t.Error(in.spooled.warnings)
	}
	info, err := in.spooled.file.Stat()
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Error("others may read it", err)
	}
	in.close()
	if left := entries(t, dir); len(left) > 0 {
		t.Error(left)
	}
}

// What is written is less than what there is.
func TestSpoolWritesNoZeros(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := sparseCore()
	w := &spoolWriter{spooler: &spooler{volume: plenty}, to: &spooled{file: f}, from: &counted{}}
	if err := w.all(t.Context(), bytes.NewReader(data)); err != nil || w.to.size != int64(len(data)) || w.written > 2<<20 {
		t.Error(err, w.to.size, w.written)
	}
}

// The file has no name while it is written, so that it ends with the process
// whatever happens; a cancelled job leaves nothing either.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	in := packedInput(t, sparseCore())
	ctx, cancel := context.WithCancel(t.Context())
	var during []string
	s := &spooler{places: []string{dir}, volume: plenty, sink: progress.Sink{OnProgress: func(stage string, done, total int64) {
		if stage != "unpacking" || total != in.info.Size() || done < 0 || done > total {
			t.Error(stage, done, total)
		}
		during = entries(t, dir)
		cancel()
	}}}
	if err := s.spool(ctx, in); !fault.Is(err, fault.Cancelled) || in.spooled != nil {
		t.Error(err)
	}
	if runtime.GOOS != "windows" && len(during) > 0 {
		t.Error("while it is written:", during)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Error(left)
	}
}

func TestSpoolStopsBeforeTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	for _, free := range []int64{1 << 20, 1<<30 + lookEvery/2} {
		in := packedInput(t, sparseCore())
		s := &spooler{places: []string{dir}, volume: func(*os.File) (volume, bool) { return volume{free: free, size: 1 << 40}, true }}
		err := s.spool(t.Context(), in)
		if !fault.Is(err, fault.UnpackSpace) || !strings.Contains(err.Error(), "no room to unpack vm.core.gz") || !strings.Contains(err.Error(), "1.1 GB of it stays free") || in.spooled != nil {
			t.Error(err)
		}
	}
	// The room shrinks while it is filled.
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	left := int64(1<<30/20 + 5*lookEvery/2)
	w := &spoolWriter{to: &spooled{file: f}, from: &counted{n: 40}, packed: 100, name: "bomb.gz"}
	w.spooler = &spooler{volume: func(*os.File) (volume, bool) { return volume{free: left - w.written, size: 1 << 30}, true }}
	err = w.all(t.Context(), bomb{})
	if !fault.Is(err, fault.UnpackSpace) || !strings.Contains(err.Error(), "at 40% of the packed file") || w.written < lookEvery || w.written > 2*lookEvery {
		t.Error(err, w.written)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Error(left)
	}
}

// bomb has no end, and bytes that are not zero.
type bomb struct{}

func (bomb) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += holeBytes {
		p[i] = 1
	}
	return len(p), nil
}

// A bomb of zeros takes no room, so its length is bounded.
func TestSpoolBoundsZeros(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &spoolWriter{spooler: &spooler{volume: plenty}, to: &spooled{file: f, size: maxUnpacked - 100}, from: &counted{}}
	if err := w.put(make([]byte, 101)); !fault.Is(err, fault.UnpackSpace) || !strings.Contains(err.Error(), "more than 18 TB") {
		t.Error(err)
	}
}

func TestSpoolPlaces(t *testing.T) {
	ram, disk, ram2 := t.TempDir(), t.TempDir(), t.TempDir()
	kind := func(f *os.File) (volume, bool) {
		v, _ := plenty(f)
		if dir := filepath.Dir(f.Name()); dir != disk {
			v.memory = "tmpfs"
		}
		return v, true
	}
	for _, c := range []struct {
		places []string
		want   string
		says   string
	}{
		{[]string{disk, ram}, disk, ""},
		{[]string{ram, disk}, disk, ""},
		{[]string{ram, ram2}, ram, "the unpacked file takes up memory, not room on a disk: " + ram + " is a tmpfs"},
		{[]string{filepath.Join(disk, "none"), disk}, disk, ""},
	} {
		in := packedInput(t, sparseCore())
		if err := (&spooler{places: c.places, volume: kind}).spool(t.Context(), in); err != nil {
			t.Error(c.places, err)
			continue
		}
		if dir := filepath.Dir(in.spooled.file.Name()); dir != c.want {
			t.Errorf("%v: in %s", c.places, dir)
		}
		switch w := in.spooled.warnings; {
		case c.says == "" && len(w) > 0, c.says != "" && (len(w) != 1 || w[0].Code != fault.UnpackedInMemory || w[0].Text != c.says):
			t.Errorf("%v: %v", c.places, w)
		}
	}
	in := packedInput(t, sparseCore())
	err := (&spooler{places: []string{filepath.Join(disk, "none")}, volume: kind}).spool(t.Context(), in)
	if !fault.Is(err, fault.OutputFailed) {
		t.Error(err)
	}
	for _, dir := range []string{ram, disk, ram2} {
		if left := entries(t, dir); runtime.GOOS != "windows" && len(left) > 0 {
			t.Error(left)
		}
	}
}

// A packed file that changes meanwhile gives a mixture.
func TestSpoolOfAChangedFile(t *testing.T) {
	in := packedInput(t, sparseCore())
	s := &spooler{places: []string{t.TempDir()}, volume: plenty, sink: progress.Sink{OnProgress: func(string, int64, int64) {
		if err := os.Chtimes(in.file.Name(), in.info.ModTime(), in.info.ModTime().Add(1e9)); err != nil {
			t.Error(err)
		}
	}}}
	if err := s.spool(t.Context(), in); !fault.Is(err, fault.FileChanged) || in.spooled != nil {
		t.Error(err)
	}
}

func TestVolume(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux's way of asking")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if v, ok := volumeOf(f); !ok || v.size <= 0 || v.free < 0 || v.free > v.size {
		t.Error(v, ok)
	}
	shm, err := os.CreateTemp("/dev/shm", "")
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(shm.Name())
	defer shm.Close()
	if v, ok := volumeOf(shm); !ok || v.memory != "tmpfs" {
		t.Error(v, ok)
	}
}
