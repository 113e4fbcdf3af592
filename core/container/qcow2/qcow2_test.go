package qcow2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// fixture unpacks a file of testdata.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name+".qcow2.zst"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	data, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pattern is what testdata/make.sh writes as a state.
func pattern(n int, x uint64) []byte {
	out := []byte("QEVM")
	for len(out) < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		if part := len(out) >> 10 & 15; part == 0 {
			out = append(out, byte(x>>56))
		} else {
			out = append(out, byte(0x20|part))
		}
	}
	return out
}

var (
	first  = pattern(90000, 1)
	second = pattern(120001, 2)
)

func inMemory(data []byte) source.Source {
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: "disk.qcow2"}
}

// streamed is a source with a stream, as a browser's is.
func streamed(s source.Source) source.Source {
	plain := s
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		return plain.Scan(off, n, buf, visit)
	}
	return s
}

// seen keeps what an opener was given.
type seen struct {
	source source.Source
	asked  bool
	err    error
	m      *machine.Machine
}

func (i *seen) open(_ context.Context, s source.Source, _ machine.Options) (*machine.Machine, error) {
	i.source, i.asked = s, true
	if i.m == nil && i.err == nil {
		i.m = &machine.Machine{Format: "inside"}
	}
	return i.m, i.err
}

// opened opens a snapshot and gives its state as a file.
func opened(data []byte, snapshot string) (source.Source, *machine.Machine, error) {
	var in seen
	m, err := Opener(in.open)(context.Background(), inMemory(data), machine.Options{Snapshot: snapshot})
	return in.source, m, err
}

// all reads a file by reads of a size that no cluster has.
func all(t testing.TB, s source.Source) []byte {
	t.Helper()
	var out []byte
	for off := int64(0); off < s.Size; {
		p := make([]byte, min(7777, s.Size-off))
		if err := s.Full(p, off); err != nil {
			t.Fatalf("at %#x: %v", off, err)
		}
		out = append(out, p...)
		off += int64(len(p))
	}
	return out
}

// scanned reads a file by one pass, and checks that every part but the last fills
// the buffer.
func scanned(t testing.TB, s source.Source, off, n int64) []byte {
	t.Helper()
	var out []byte
	if err := s.Scan(off, n, make([]byte, 10000), func(p []byte) error { out = append(out, p...); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFormOfImage(t *testing.T) {
	for _, name := range []string{"c512", "c64k", "c2m", "ext", "v2", "resized", "deflate", "zstd"} {
		data := fixture(t, name)
		states := map[string][]byte{"before": first, "second": second}
		if name == "deflate" || name == "zstd" {
			states = map[string][]byte{"packed": second}
		}
		for snapshot, want := range states {
			t.Run(name+"/"+snapshot, func(t *testing.T) {
				s, m, err := opened(data, snapshot)
				if err != nil {
					t.Fatal(err)
				}
				if s.Size != int64(len(want)) || s.Stream != nil || s.Name != "disk.qcow2" {
					t.Fatalf("%d bytes of %d, %q", s.Size, len(want), s.Name)
				}
				if got := all(t, s); !bytes.Equal(got, want) {
					t.Error("read at random: other bytes")
				}
				if n, err := s.ReadAt(make([]byte, 100), s.Size-10); n != 10 || err != io.EOF {
					t.Error(n, err)
				}
				var in seen
				if _, err := Opener(in.open)(context.Background(), streamed(inMemory(data)), machine.Options{Snapshot: snapshot}); err != nil || in.source.Stream == nil {
					t.Fatal(err)
				}
				if got := scanned(t, in.source, 0, s.Size); !bytes.Equal(got, want) {
					t.Error("streamed: other bytes")
				}
				if got := scanned(t, in.source, 5001, s.Size-6000); !bytes.Equal(got, want[5001:len(want)-999]) {
					t.Error("streamed in part: other bytes")
				}
				if m.Format != Format || len(m.Warnings) != 0 || len(m.Snapshots) != len(states) {
					t.Errorf("%+v", m)
				}
				for _, x := range m.Snapshots {
					if x.Opened != (x.Name == snapshot) || x.Seconds == 0 || x.Bytes != uint64(len(states[x.Name])) {
						t.Errorf("%+v", x)
					}
				}
			})
		}
	}
}

// Long runs of clusters are streamed, short ones read.
func TestLongRunsAreStreamed(t *testing.T) {
	want := pattern(2*longRun+1234, 3)
	for bits, most := range map[uint]int{9: 0, 16: 1} {
		image := synth.QCOW2{ClusterBits: bits, Snapshots: []synth.QCOW2Snapshot{{ID: "1", Name: "a", State: want}}}.Bytes()
		s := inMemory(image)
		plain, streams := s, 0
		s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
			streams++
			return plain.Scan(off, n, buf, visit)
		}
		var in seen
		if _, err := Opener(in.open)(context.Background(), s, machine.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := scanned(t, in.source, 0, in.source.Size); !bytes.Equal(got, want) || streams != most {
			t.Errorf("clusters of 2^%d: %d bytes, %d streams", bits, len(got), streams)
		}
	}
}

// The visitor of a stream ends it.
func TestStreamStops(t *testing.T) {
	var in seen
	if _, err := Opener(in.open)(context.Background(), streamed(inMemory(fixture(t, "c512"))), machine.Options{Snapshot: "second"}); err != nil {
		t.Fatal(err)
	}
	enough, calls := errors.New("enough"), 0
	err := in.source.Scan(0, in.source.Size, make([]byte, 4096), func([]byte) error { calls++; return enough })
	if err != enough || calls != 1 {
		t.Error(err, calls)
	}
}

func TestChoice(t *testing.T) {
	data := fixture(t, "c512")
	for _, c := range []struct {
		want, opens string
		size        int
		says        []string
	}{
		{"before", "before", len(first), nil},
		{"2", "second", len(second), nil}, // by its id
		{"", "", 0, []string{`2 snapshots with memory: "before", "second"`}},
		{"third", "", 0, []string{`no snapshot with memory called "third"; it has "before", "second"`}},
		{"disk-only", "", 0, []string{`no snapshot with memory called "disk-only"`}},
	} {
		s, m, err := opened(data, c.want)
		if c.opens != "" {
			if err != nil || s.Size != int64(c.size) {
				t.Errorf("%q: %v, %d bytes", c.want, err, s.Size)
			}
			continue
		}
		if !fault.Is(err, fault.SnapshotChoice) || len(m.Snapshots) != 2 || m.Snapshots[1].ID != "2" || m.Snapshots[1].Name != "second" {
			t.Fatalf("%q: %v, %+v", c.want, err, m)
		}
		for _, text := range c.says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v", c.want, err)
			}
		}
		lines := strings.Join(fault.Lines(fault.As(err).Steps("my disk"), fault.CLI), "\n")
		if !strings.Contains(lines, "coredrop convert -snapshot second 'my disk' 'my disk.dmp'") {
			t.Errorf("%q: %s", c.want, lines)
		}
	}
}

// A name is text of a file: in a command it is quoted, or another way is named.
func TestNamesInCommands(t *testing.T) {
	list := []snapshot{{id: "1", name: "a b; rm x"}, {id: "2", name: "{file}"}, {id: "3", name: "new\nline"}, {id: "4", name: "-f"}, {id: "\x1b", name: ""}}
	_, err := choose(list, len(list), "")
	var commands []string
	for _, s := range fault.As(err).Steps("vm.qcow2") {
		if s.Command != "" {
			commands = append(commands, strings.TrimSuffix(s.Command, " vm.qcow2 vm.qcow2.dmp"))
		}
	}
	if want := []string{"coredrop convert -snapshot 'a b; rm x'", "coredrop convert -snapshot 2", "coredrop convert -snapshot 3", "coredrop convert -snapshot 4"}; !slices.Equal(commands, want) {
		t.Errorf("%q", commands)
	}
	many := make([]snapshot, 20)
	if _, err := choose(many, 20, ""); !strings.Contains(err.Error(), "and 12 more") || len(err.Error()) > 600 {
		t.Error(err)
	}
	twins := []snapshot{{id: "1", name: "x"}, {id: "2", name: "x"}}
	if _, err := choose(twins, 2, "x"); !fault.Is(err, fault.SnapshotChoice) {
		t.Error(err)
	}
	if n, err := choose(twins, 2, "2"); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// What the state turns out to be is the inner opener's to say.
func TestWhatIsInside(t *testing.T) {
	data := fixture(t, "v2")
	open := func(in *seen) (*machine.Machine, error) {
		return Opener(in.open)(context.Background(), inMemory(data), machine.Options{Snapshot: "second"})
	}
	if m, err := open(&seen{err: machine.ErrNotMine}); !fault.Is(err, fault.DamagedHeader) || len(m.Snapshots) != 2 {
		t.Error(m, err)
	}
	refused := fault.New(fault.UnsupportedCPU, "")
	m, err := open(&seen{err: refused, m: &machine.Machine{Format: "inside", Arch: cpu.ARM64}})
	if err != error(refused) || m.Arch != cpu.ARM64 || m.Format != Format || len(m.Snapshots) != 2 {
		t.Error(m, err)
	}
	memory, err := mem.NewFile(inMemory(make([]byte, 4096)), []mem.Extent{{Bytes: 4096}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Offsets in the state are none in the image.
	if _, err := open(&seen{m: &machine.Machine{Mem: memory}}); !fault.Is(err, fault.DiskUnsupported) {
		t.Error(err)
	}
}

func TestNotMine(t *testing.T) {
	for _, data := range []string{"", "QF", "QEVM\x00\x00\x00\x03"} {
		if _, _, err := opened([]byte(data), ""); !errors.Is(err, machine.ErrNotMine) {
			t.Errorf("%q: %v", data, err)
		}
	}
}
