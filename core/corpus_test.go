package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

const (
	caseXNum  = "14-xnum-real"  // upstream drops pages of it
	caseKdump = "12-kdump-zlib" // not ELF
	caseLarge = "05-hole3g"     // 4.8 GB
)

func TestCorpus(t *testing.T) {
	root := corpus(t)
	symbols := symbolDir{filepath.Join(root, "symbols")}
	cases, err := os.ReadDir(filepath.Join(root, "windows"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		if !c.IsDir() {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			if testing.Short() && c.Name() == caseLarge {
				t.Skip("4.8 GB")
			}
			dir := filepath.Join(root, "windows", c.Name())
			tr := readTruth(t, dir)
			core := "core.elf.zst"
			if c.Name() == caseKdump {
				core = "core.kdump.zst"
			}
			f := corpustest.File(t, filepath.Join(dir, core))
			t.Run("compat", func(t *testing.T) { corpusCompat(t, c.Name(), tr, f, symbols) })
			t.Run("default", func(t *testing.T) { corpusDefault(t, tr, fileSource(t, f), symbols) })
			t.Run("without symbols", func(t *testing.T) { corpusDefault(t, tr, fileSource(t, f), symbolDir{}) })
			t.Run("alike", func(t *testing.T) { corpusAlike(t, fileSource(t, f), symbols) })
			if c.Name() == caseLarge {
				t.Run("shape", func(t *testing.T) { corpusShape(t, f, symbols) })
			}
		})
	}
}

// corpusCompat compares with what upstream elf2dmp 10.2.2 wrote, to the byte.
func corpusCompat(t *testing.T, name string, tr *truth, f *os.File, symbols symbolDir) {
	im, sum, err := Convert(context.Background(), fileSource(t, f), Options{Symbols: symbols, Compat: true})
	switch {
	case name == caseXNum:
		if !fault.Is(err, fault.CompatLossy) || !strings.Contains(sum.Error.Text, "5037") {
			t.Fatalf("%v; %+v", err, sum.Error)
		}
		return
	case tr.Upstream.Exit != 0:
		if err == nil {
			t.Fatal("converted; upstream does not")
		}
		if name == caseKdump && !fault.Is(err, fault.CompatLossy) {
			t.Error(err)
		}
		return
	case err != nil:
		t.Fatal(err)
	}
	compareHash(t, tr, im, f)
	if !sum.Dump.Verified {
		t.Errorf("not verified: %v", sum.Warnings)
	}
}

func compareHash(t *testing.T, tr *truth, im *dmp.Image, source io.ReaderAt) {
	t.Helper()
	if im.Size() != tr.Upstream.Size {
		t.Errorf("%d bytes, upstream's has %d", im.Size(), tr.Upstream.Size)
	}
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for _, p := range im.Parts() {
		var err error
		switch p.Kind {
		case dmp.Literal:
			_, err = h.Write(p.Literal)
		case dmp.Copy:
			_, err = io.CopyBuffer(h, io.NewSectionReader(source, p.Off, p.Bytes), buf)
		default:
			t.Fatalf("a part that is not in the file: %+v", p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != tr.Upstream.SHA256 {
		t.Errorf("SHA-256 %s, upstream's %s", got, tr.Upstream.SHA256)
	}
}

// corpusDefault compares the default profile with the truth, read from the dump
// by a reader that shares nothing with core/dmp.
func corpusDefault(t *testing.T, tr *truth, s source.Source, symbols symbolDir) {
	o := Options{Symbols: symbols}
	if symbols.dir == "" {
		o.Symbols = nil
	}
	im, sum, err := Convert(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if !sum.Dump.Verified {
		t.Errorf("not verified: %v", sum.Warnings)
	}
	compareSummary(t, tr, sum, o.Symbols != nil)
	d, err := dmptest.Open(im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	d.Levels = max(tr.Expect.PagingLevels, 4)
	compareHeader(t, tr, d)
	compareGuest(t, tr, d)
	if o.Symbols != nil {
		// The flag's address comes from the PDB.
		at := uint64(tr.Expect.Symbols["KdpDataBlockEncoded"])
		if flag := d.Bytes(at, 1); flag == nil || flag[0] != 0 {
			t.Errorf("KdpDataBlockEncoded: % x", flag)
		}
	}
}

// corpusAlike: the dumps with and without the PDB are the same, but for the
// header's page-table base where a warning says so.
func corpusAlike(t *testing.T, s source.Source, symbols symbolDir) {
	with, _, err := Convert(context.Background(), s, Options{Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	without, sum, err := Convert(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if with.Size() != without.Size() {
		t.Fatalf("%d and %d bytes", with.Size(), without.Size())
	}
	told := false
	for _, w := range sum.Warnings {
		told = told || w.Code == fault.HeaderDTB
	}
	// Only what is literal in one of them can differ: the rest are ranges of
	// the same file.
	a, b := make([]byte, 4096), make([]byte, 4096)
	off := int64(0)
	for _, list := range [][]dmp.Part{with.Parts(), without.Parts()} {
		off = 0
		for _, p := range list {
			for at := off; at < off+int64(len(p.Literal)); at += 4096 {
				_, errA := with.ReadAt(a, at)
				_, errB := without.ReadAt(b, at)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				for i := range a {
					inDTB := at == 0 && i >= 0x10 && i < 0x18 && told
					if a[i] != b[i] && !inDTB {
						t.Fatalf("they differ at %#x: %#x, %#x", at+int64(i), a[i], b[i])
					}
				}
			}
			off += p.Bytes
		}
	}
}

// corpusShape: a core of 4.8 GB costs the reading of a few pages, and its dump
// is a handful of ranges of the file.
func corpusShape(t *testing.T, f *os.File, symbols symbolDir) {
	s := fileSource(t, f)
	c := &counted{ReaderAt: s.ReaderAt}
	s.ReaderAt = c
	im, sum, err := Convert(context.Background(), s, Options{Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("read %d bytes, at most %d at once; %d parts", c.bytes, c.largest, sum.Dump.Parts)
	if c.bytes > 32<<20 || c.largest > 4<<20 {
		t.Errorf("read %d bytes, at most %d at once", c.bytes, c.largest)
	}
	var literal, ranges int64
	for _, p := range im.Parts() {
		literal += int64(len(p.Literal))
		if p.Kind == dmp.Copy {
			ranges += p.Bytes
		}
	}
	if literal > 36*4096 || literal+ranges != im.Size() {
		t.Errorf("%d literal bytes, %d of the file, of %d", literal, ranges, im.Size())
	}
	runs := len(sum.Memory.Runs)
	if len(im.Parts()) > 36+2*runs {
		t.Errorf("%d parts", len(im.Parts()))
	}
}
