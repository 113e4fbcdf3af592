package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// elfCores lists the x86-64 ELF cores of the corpus, by their directory.
func elfCores(t *testing.T, root string) (list []string) {
	t.Helper()
	for _, kind := range []string{"windows", "bugcheck", "kcsan"} {
		all, err := filepath.Glob(filepath.Join(root, kind, "*", "core.elf.zst"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			list = append(list, filepath.Dir(path))
		}
	}
	if len(list) < 25 {
		t.Fatalf("%d cores", len(list))
	}
	return list
}

// headerBytes is how much of a core are its own headers and notes.
func headerBytes(t *testing.T, s source.Source) int64 {
	t.Helper()
	counted, read := watchTraffic(s)
	if _, err := machine.Open(context.Background(), counted, machine.Options{}, elfcore.Open); err != nil {
		t.Fatal(err)
	}
	return read.all()
}

// TestInspectReadsLittleOfEveryCore: where CPU states are there, inspecting any
// core of the corpus reads at most 4 MiB beyond its headers, Linux ones included.
func TestInspectReadsLittleOfEveryCore(t *testing.T) {
	const bound = 4 << 20
	root := corpus(t)
	for _, dir := range elfCores(t, root) {
		f := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
		headers := headerBytes(t, fileSource(t, f))
		s, read := watchTraffic(fileSource(t, f))
		sum, err := Inspect(context.Background(), s, Options{})
		linux := filepath.Base(filepath.Dir(dir)) == "kcsan"
		if linux != fault.Is(err, fault.IsLinux) || !linux && err != nil || linux && sum.Linux.Release == "" {
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
		if beyond := read.all() - headers; beyond > bound || read.streamed > 0 {
			t.Errorf("%s: %d bytes read beyond the headers' %d, %d of them streamed", filepath.Base(dir), beyond, headers, read.streamed)
		}
		f.Close()
	}
}

// TestLostStatesCostOnePass: where the CPU states are lost, or the guest is
// neither, everything together reads the file once: inspecting, a PDB that comes
// later, and the conversion or the search for races.
func TestLostStatesCostOnePass(t *testing.T) {
	root := corpus(t)
	for _, dir := range []string{"windows/01-cpu1-plain", "windows/02-cpu4-encoded", "windows/07-la57", "windows/09-paging", "bugcheck/33-tiny-bugcheck", "kcsan/a-novmci", "kcsan/b-live-la57", "kcsan/e-inflight"} {
		f := corpustest.File(t, filepath.Join(root, dir, "core.elf.zst"))
		s := fileSource(t, f)
		m, err := machine.Open(context.Background(), s, machine.Options{}, elfcore.Open)
		if err != nil {
			t.Fatal(err)
		}
		s, read := watchTraffic(lost{f}.source(s, m))
		c, err := Open(context.Background(), s, Options{})
		switch linux := strings.HasPrefix(dir, "kcsan"); {
		case linux:
			if !fault.Is(err, fault.IsLinux) {
				t.Errorf("%s: %v", dir, err)
			}
			read.bound(t, dir+": inspecting", s.Size)
		case err != nil:
			t.Errorf("%s: %v", dir, err)
		default:
			if err := c.Use(context.Background(), symbolDir{filepath.Join(root, "symbols")}); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
			if im, err := c.Convert(context.Background(), dmp.Options{}); err != nil || im.Size() == 0 {
				t.Errorf("%s: %v", dir, err)
			}
			read.bound(t, dir+": everything", s.Size)
		}
		f.Close()
	}
	// Memory of neither guest, with the notes of one.
	b := guest(nil)
	for i := range b.ELF.Loads {
		b.ELF.Loads[i].Data = make([]byte, 64<<20)
	}
	s, read := watchTraffic(synth.Source(synth.WriteELF(b.ELF)))
	c, err := Open(context.Background(), s, Options{})
	if err == nil {
		t.Fatal("a kernel in nothing")
	}
	if _, err := c.Races(context.Background()); !fault.Is(err, fault.LinuxUnreachable) {
		t.Error(err)
	}
	read.bound(t, "neither: inspecting and the search for races", s.Size)
}

func (c *traffic) bound(t *testing.T, what string, size int64) {
	t.Helper()
	t.Logf("%s: read %.3f of the file", what, float64(c.all())/float64(size))
	if c.all() > size+size/10 {
		t.Errorf("%s: read %d of %d bytes", what, c.all(), size)
	}
}

// lost is a core whose CPU notes have another's name.
type lost struct{ f *os.File }

func (l lost) source(s source.Source, m *machine.Machine) source.Source {
	first := s.Size
	for _, b := range m.ELF.Loads {
		first = min(first, b.Offset)
	}
	s.ReaderAt = reader(func(p []byte, off int64) (int, error) {
		n, err := l.f.ReadAt(p, off)
		if off < first {
			for _, name := range []string{"QEMU\x00", "CORE\x00"} {
				for i := 0; i+5 <= n && off+int64(i) < first; i++ {
					if string(p[i:i+5]) == name {
						copy(p[i:], "LOST\x00")
					}
				}
			}
			// VMCOREINFO would tell the guest at once.
			for i := 0; i+10 <= n && off+int64(i) < first; i++ {
				if string(p[i:i+10]) == "VMCOREINFO" {
					copy(p[i:], "LOST")
				}
			}
		}
		return n, err
	})
	return s
}

var updateDumps = flag.Bool("update-dumps", false, "rewrite the hashes of the corpus's default dumps")

// TestDefaultDumps holds the default dump of every core of the corpus to its
// hash, with its PDB and without: what a dump holds changes on purpose or not at
// all. go test ./core -run TestDefaultDumps -update-dumps writes the file.
func TestDefaultDumps(t *testing.T) {
	root := corpus(t)
	var b strings.Builder
	for _, dir := range elfCores(t, root) {
		name := filepath.Base(dir)
		if filepath.Base(filepath.Dir(dir)) == "kcsan" || name == caseLarge {
			continue
		}
		f := corpustest.File(t, filepath.Join(dir, "core.elf.zst"))
		for _, symbols := range []string{"", "symbols"} {
			o := Options{}
			if symbols != "" {
				o.Symbols = symbolDir{filepath.Join(root, symbols)}
			}
			im, _, err := Convert(context.Background(), fileSource(t, f), o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h := sha256.New()
			if _, err := io.CopyBuffer(h, io.NewSectionReader(im, 0, im.Size()), make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s  %s %s\n", hex.EncodeToString(h.Sum(nil)), name, map[bool]string{true: "with its PDB", false: "without"}[symbols != ""])
		}
		f.Close()
	}
	path := filepath.Join("testdata", "default-dumps.sha256")
	if *updateDumps {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != b.String() {
		t.Errorf("the dumps changed (%v):\n%s", err, b.String())
	}
}
