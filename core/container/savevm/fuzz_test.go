package savevm

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// small is a state that a fuzzer can change a part of.
func small(change func(*synth.SavedState)) synth.SavedState {
	return made(func(s *synth.SavedState) {
		s.Blocks = []synth.SavedBlock{{Name: "pc.ram", Data: thin()}, {Name: "pc.bios", Data: make([]byte, 2*page)}}
		s.Devices = slices.DeleteFunc(s.Devices, func(d synth.SavedDevice) bool { return d.Instance > 0 })
		for i := range s.Devices {
			if s.Devices[i].Name == deviceRTC {
				s.Devices[i] = synth.SavedClock(16*page, 0)
			}
		}
		if change != nil {
			change(s)
		}
	})
}

// walk opens a file and reads what it says it has; whatever it is, the answer is
// a machine or an error with a code, and memory that reads as it is listed.
func walk(t *testing.T, s source.Source) {
	m, err := Open(context.Background(), s, machine.Options{})
	if errors.Is(err, machine.ErrNotMine) {
		return
	}
	if err != nil {
		if e := (*fault.Error)(nil); !errors.As(err, &e) || e.Code == fault.Internal || e.Text == "" {
			t.Fatalf("no error with a code: %v", err)
		}
		if m == nil || m.Mem == nil {
			return
		}
	}
	var end mem.PA
	read := 0
	p := make([]byte, page)
	for _, e := range m.Mem.Extents() {
		if e.Start < end || e.Bytes == 0 || e.End() < e.Start || e.Bytes%page != 0 {
			t.Fatalf("extents %v", m.Mem.Extents())
		}
		end = e.End()
		for _, pa := range []mem.PA{e.Start, e.Start + mem.PA(e.Bytes/2).Page(), e.End() - page} {
			if read++; read > 300 {
				return
			}
			if err := m.Mem.ReadAt(p, pa); err != nil && !fault.Is(err, fault.DamagedCopy) {
				t.Fatalf("at %v: %v", pa, err)
			}
		}
		part := e
		part.Bytes = min(part.Bytes, 8*page)
		err := m.Mem.Scan(context.Background(), part, make([]byte, 3*page), func(mem.PA, []byte) error { return nil })
		if err != nil && !fault.Is(err, fault.DamagedCopy) {
			t.Fatalf("a pass at %v: %v", e.Start, err)
		}
	}
}

// thin is memory of which most pages are zero: a fuzzer wants short inputs.
func thin() []byte {
	p := make([]byte, 16*page)
	copy(p[4*page:], content(1, 2))
	return p
}

func FuzzStream(f *testing.F) {
	slightly := func(i int) []byte { p := thin()[i*page:][:page]; p[i] ^= 1; return p }
	for _, change := range []func(*synth.SavedState){nil,
		func(s *synth.SavedState) { s.NoDescription, s.NoFooters, s.NoConfiguration = true, true, true },
		func(s *synth.SavedState) {
			s.As = func(_, p int) synth.SavedAs { return []synth.SavedAs{0, synth.SavedPacked}[p%2] }
		},
		func(s *synth.SavedState) {
			s.Again = []synth.SavedPage{{Page: 5, As: synth.SavedDelta, Data: slightly(5)}, {Page: 4}, {Page: 4, As: synth.SavedDelta, Data: slightly(4)}}
		},
		func(s *synth.SavedState) {
			s.Live = []synth.SavedLive{{Name: "pbs-state", Start: pbs(3)}, {Name: "x", Part: []byte("abc")}}
			s.Early = []synth.SavedDevice{{Name: "early", Fields: []synth.SavedField{{Name: "a", Data: make([]byte, 9)}}}}
		},
		func(s *synth.SavedState) { s.Blocks[0].Name, s.Blocks[1].Name = "a", "b" },
	} {
		s := small(change)
		data := s.Bytes()
		f.Add(data)
		f.Add(append(synth.SavedHead(magicSave, binary.LittleEndian, 2, 0, "<domain/>", 64), data...))
	}
	f.Fuzz(func(t *testing.T, data []byte) { walk(t, named(data)) })
}

// FuzzMapped puts the fuzzer's bytes in front of pages that are there, so that
// offsets of a few MiB lead somewhere.
func FuzzMapped(f *testing.F) {
	s := small(func(s *synth.SavedState) { s.Mapped, s.Capabilities = true, []string{"mapped-ram"} })
	data := s.Bytes()
	head := 600 // all that stands before the first bitmap's end
	f.Add(data[:head], uint32(len(data)))
	f.Add(data[:head], uint32(1<<20+5*page))
	f.Fuzz(func(t *testing.T, front []byte, size uint32) {
		walk(t, source.Source{ReaderAt: laid{front, data, int64(size)}, Size: int64(size), Name: "state"})
	})
}

// laid is a file that begins with the front, goes on as the data behind that do,
// and is zero up to its size.
type laid struct {
	front, data []byte
	size        int64
}

func (l laid) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), l.size-off)))
	clear(p[:n])
	for _, layer := range [][]byte{l.data, l.front} {
		if off < int64(len(layer)) {
			copy(p[:n], layer[off:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func FuzzDescription(f *testing.F) {
	s := small(nil)
	data := s.Bytes()
	marks := s.Marks()
	at := marks[len(marks)-2] + 5
	f.Add(data[at:])
	f.Add([]byte(`{"devices":[{"name":"cpu","instance_id":0,"version":12,"fields":[{"name":"env.regs","array_len":16,"size":8,"struct":{"fields":[]}}],"subsections":[{"vmsd_name":"x","fields":[]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if d := parseDescription(text); d != nil {
			for i := range d.Devices {
				n, err := d.Devices[i].length()
				if err == nil && (n < 0 || n > maxDevices) {
					t.Fatalf("a device of %d bytes", n)
				}
				own, below := d.Devices[i].places(0)
				for name, s := range own {
					if s.off < 0 || s.size < 0 || s.count < 0 {
						t.Fatalf("%s: %+v", name, s)
					}
				}
				_ = below
			}
		}
		out := append(append([]byte{}, data[:at-4]...), be.AppendUint32(nil, uint32(len(text)))...)
		walk(t, named(append(out, text...)))
	})
}
