package savevm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
)

const page = mem.PageSize

// content is memory of which every third page is zero.
func content(seed uint64, pages int) []byte {
	p := make([]byte, pages*page)
	for i := range pages {
		if i%3 != 1 {
			copy(p[i*page:], synth.Noise(seed+uint64(i), 100))
			p[i*page+page-1] = byte(i)
		}
	}
	return p
}

// ramPages is the size of the machine's own memory: a MiB and a half.
const ramPages = 384

// made is a small machine's state: memory, some of firmware, two CPUs.
func made(change func(*synth.SavedState)) synth.SavedState {
	s := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.User}}).ELF.SavedState()
	s.Blocks = []synth.SavedBlock{{Name: "pc.ram", Data: content(1, ramPages)}, {Name: "pc.bios", Data: content(2, 32)}, {Name: "pc.rom", Data: content(3, 32)}}
	for i := range s.Devices {
		if s.Devices[i].Name == deviceRTC {
			s.Devices[i] = synth.SavedClock(ramPages*page, 0)
		}
	}
	if change != nil {
		change(&s)
	}
	return s
}

func named(data []byte) source.Source {
	s := synth.Source(data)
	s.Name = "state"
	return s
}

func openBytes(data []byte) (*machine.Machine, error) {
	return Open(context.Background(), named(data), machine.Options{})
}

// hold checks that the memory holds data at an address, by reads and by a pass.
func hold(t *testing.T, m mem.Physical, pa mem.PA, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := m.ReadAt(got, pa); err != nil || !bytes.Equal(got, want) {
		t.Errorf("memory at %v differs (%v)", pa, err)
		return
	}
	n := 0
	i, _ := mem.Find(m.Extents(), pa)
	for ; i < len(m.Extents()) && m.Extents()[i].Start < pa+mem.PA(len(want)); i++ {
		lo, hi := max(pa, m.Extents()[i].Start), min(pa+mem.PA(len(want)), m.Extents()[i].End())
		err := m.Scan(context.Background(), mem.Extent{Start: lo, Bytes: uint64(hi - lo)}, make([]byte, 5*page), func(at mem.PA, p []byte) error {
			if !bytes.Equal(p, want[at-pa:][:len(p)]) {
				return fmt.Errorf("a pass gives other bytes at %v", at)
			}
			n += len(p)
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
	if n != len(want) {
		t.Errorf("a pass over %v gave %d of %d bytes", pa, n, len(want))
	}
}

// again replaces pages of the first block.
func again(s *synth.SavedState, as synth.SavedAs, data func(i int) []byte) {
	for i := 5; i < 60; i += 7 {
		s.Again = append(s.Again, synth.SavedPage{Page: i, As: as, Data: data(i)})
	}
}

// latest is the first block's memory after all that was sent again.
func latestOf(s synth.SavedState) []byte {
	p := bytes.Clone(s.Blocks[0].Data)
	for _, a := range s.Again {
		if a.Data != nil && a.Block == 0 {
			copy(p[a.Page*page:], a.Data)
		}
	}
	return p
}

// TestEveryForm: whatever the stream has or lacks, memory and registers are all
// there, without a warning.
func TestEveryForm(t *testing.T) {
	slightly := func(s *synth.SavedState) func(i int) []byte {
		return func(i int) []byte {
			p := bytes.Clone(s.Blocks[0].Data[i*page:][:page])
			for k := i; k < page; k += 200 + i {
				p[k] ^= 0xa5
			}
			return p
		}
	}
	for name, change := range map[string]func(*synth.SavedState){
		"plain":                 nil,
		"no configuration":      func(s *synth.SavedState) { s.NoConfiguration = true },
		"no footers":            func(s *synth.SavedState) { s.NoFooters = true },
		"no description":        func(s *synth.SavedState) { s.NoDescription = true },
		"of an old machine":     func(s *synth.SavedState) { s.NoConfiguration, s.NoFooters, s.NoDescription = true, true, true },
		"uuid and capabilities": func(s *synth.SavedState) { s.Capabilities = []string{} },
		"page bits":             func(s *synth.SavedState) { s.PageBits = 12 },
		"pages of 16 KiB":       func(s *synth.SavedState) { s.PageBits = 14 },
		"ready for postcopy":    func(s *synth.SavedState) { s.Commands, s.HugePages = []uint16{1, 2, 3}, 2<<20 },
		"trailing bytes":        func(s *synth.SavedState) { s.Trailer = bytes.Repeat([]byte{0, 6, 0, 0}, 500) },
		"every page as it is":   func(s *synth.SavedState) { s.As = func(int, int) synth.SavedAs { return synth.SavedWhole } },
		"packed":                func(s *synth.SavedState) { s.As = func(int, int) synth.SavedAs { return synth.SavedPacked } },
		"by turns": func(s *synth.SavedState) {
			s.As = func(_, p int) synth.SavedAs { return []synth.SavedAs{0, 0, synth.SavedPacked, 1}[p%4] }
		},
		"short parts": func(s *synth.SavedState) { s.PerPart = 5 },
		"filled": func(s *synth.SavedState) {
			copy(s.Blocks[0].Data[7*page:], bytes.Repeat([]byte{0x5a}, page))
			s.As = filled(7)
		},
		"again, as they are": func(s *synth.SavedState) {
			again(s, synth.SavedWhole, func(i int) []byte { return synth.Noise(uint64(i)+900, page) })
		},
		"again, zero": func(s *synth.SavedState) { again(s, synth.SavedPlain, func(int) []byte { return make([]byte, page) }) },
		"again, packed": func(s *synth.SavedState) {
			again(s, synth.SavedPacked, func(i int) []byte { return synth.Noise(uint64(i)+900, page) })
		},
		"XBZRLE":        func(s *synth.SavedState) { again(s, synth.SavedDelta, slightly(s)) },
		"XBZRLE, twice": func(s *synth.SavedState) { again(s, synth.SavedDelta, slightly(s)); twice(s) },
		"XBZRLE on a packed page": func(s *synth.SavedState) {
			s.As = func(int, int) synth.SavedAs { return synth.SavedPacked }
			again(s, synth.SavedDelta, slightly(s))
		},
		"XBZRLE, then anew": func(s *synth.SavedState) {
			again(s, synth.SavedDelta, slightly(s))
			again(s, synth.SavedWhole, func(i int) []byte { return synth.Noise(uint64(i)+77, page) })
			again(s, synth.SavedDelta, func(i int) []byte { p := synth.Noise(uint64(i)+77, page); p[9] ^= 1; return p })
		},
		"known live sections": func(s *synth.SavedState) {
			s.Live = []synth.SavedLive{{Name: "pbs-state", Start: pbs(30), Part: pbs(0), Last: pbs(3000)}}
		},
		"unknown live sections": func(s *synth.SavedState) {
			s.Live = []synth.SavedLive{{Name: "dirty-bitmap", Start: synth.Noise(1, 70000), Part: []byte("\x7e\x00\x00\x00")}}
		},
		"an early device": func(s *synth.SavedState) {
			s.Early = []synth.SavedDevice{{Name: "virtio-mem-device-early", Version: 1, Fields: []synth.SavedField{{Name: "a", Data: synth.Noise(4, 300)}}}}
		},
		"a device of a length": func(s *synth.SavedState) {
			s.Devices = append([]synth.SavedDevice{{Name: "x", Opaque: true, Fields: []synth.SavedField{{Data: falseHead()}}}}, s.Devices...)
		},
		"a processor twice": func(s *synth.SavedState) {
			other := cpu.Of(cpu.X64, cpu.Values{cpu.RAX: 1, cpu.RFLAGS: 2})
			s.NoDescription, s.Devices = true, append(s.Devices, synth.SavedCPU(1, other, 8))
		},
		"a false processor": func(s *synth.SavedState) {
			s.NoDescription = true
			s.Devices = append([]synth.SavedDevice{{Name: "x", Fields: []synth.SavedField{{Data: append([]byte("\x04\x00\x00\x00\x09\x03cpu\x00\x00\x00\x01\x00\x00\x00\x0c"), make([]byte, 2000)...)}}}}, s.Devices...)
		},
		"a false head": func(s *synth.SavedState) { // of which the name would reach over the true one behind it
			s.NoDescription = true
			i := slices.IndexFunc(s.Devices, func(d synth.SavedDevice) bool { return d.Name == "cpu" })
			s.Devices = slices.Insert(s.Devices, i, synth.SavedDevice{Name: "x", Fields: []synth.SavedField{{Data: []byte{4, 0, 0, 0, 1, 0xff}}}})
		},
		"pages in place": func(s *synth.SavedState) { s.Mapped, s.Capabilities = true, []string{"mapped-ram"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := made(change)
			data := s.Bytes()
			for way, src := range map[string]source.Source{"reads": named(data), "stream": streamed(named(data)), "blocks": {ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Block: 1 << 20}} {
				m, err := Open(context.Background(), src, machine.Options{})
				if err != nil || len(m.Warnings) > 0 && name != "of an old machine" {
					t.Fatal(way, err, m.Warnings)
				}
				hold(t, m.Mem, 0, latestOf(s))
				hold(t, m.Mem, 4<<30-32*page, s.Blocks[1].Data)
				if n := len(m.Mem.Extents()); m.MissingEnd != 0 || name != "pages in place" && n != 2 {
					t.Errorf("%s: missing %d, %d extents", way, m.MissingEnd, n)
				}
				checkRegisters(t, m, s)
			}
		})
	}
}

func filled(n int) func(int, int) synth.SavedAs {
	return func(_, p int) synth.SavedAs {
		if p == n {
			return synth.SavedFilled
		}
		return synth.SavedPlain
	}
}

// twice changes the pages that were changed once more.
func twice(s *synth.SavedState) {
	for _, a := range slices.Clone(s.Again) {
		a.Data = bytes.Clone(a.Data)
		a.Data[0] ^= 0xff
		a.Data[page-1] ^= 0xff
		s.Again = append(s.Again, a)
	}
}

func pbs(n int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(n)), synth.Noise(3, n)...)
}

// falseHead is data that looks like a processor's section.
func falseHead() []byte {
	return append([]byte("\x04\x00\x00\x00\x09\x03cpu\x00\x00\x00\x07\x00\x00\x00\x0c"), make([]byte, 2000)...)
}

func checkRegisters(t *testing.T, m *machine.Machine, s synth.SavedState) {
	t.Helper()
	want := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.User}}).ELF.CPUs
	if len(m.CPUs) != len(want) {
		t.Fatalf("%d CPUs, want %d", len(m.CPUs), len(want))
	}
	for i, w := range want {
		got := m.CPUs[i].State
		for r := cpu.RAX; cpu.X64.Has(r); r++ {
			if r != cpu.OrigAX && w.State.Known(r) && (got == nil || !got.Known(r) || got.Get(r) != w.State.Get(r)) {
				t.Errorf("CPU %d: %s is %#x, want %#x", i, cpu.X64.RegName(r), got.Get(r), w.State.Get(r))
			}
		}
	}
}

// stateOf reads a state as Open does, and keeps what the machine does not show.
func stateOf(t *testing.T, data []byte) *state {
	t.Helper()
	st := &state{source: named(data), machine: &machine.Machine{}}
	if err := st.read(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := st.open(context.Background()); err != nil && !fault.Is(err, fault.UnsupportedCPU) {
		t.Fatal(err)
	}
	return st
}

// TestRegistersBeyondACore: what a core does not carry comes along, by the
// description and without it, of both emulators.
func TestRegistersBeyondACore(t *testing.T) {
	for _, word := range []int{8, 4} {
		for _, described := range []bool{true, false} {
			s := made(func(s *synth.SavedState) {
				s.NoDescription = !described
				x := cpu.Of(cpu.X64, cpu.Values{cpu.RAX: 0x11223344, cpu.RSP: 0x55, cpu.RIP: 0x8000, cpu.RFLAGS: 0x246, cpu.CR0: 0x80000011, cpu.CR3: 0x1000})
				x.SetSegment(cpu.CS, cpu.Segment{Selector: 8, Limit: 0xffffffff, Flags: 0xcf9b00})
				s.Devices = []synth.SavedDevice{synth.SavedCPU(0, x, word), synth.SavedClock(ramPages*page, 0)}
			})
			st := stateOf(t, s.Bytes())
			got := st.states[0]
			if got == nil {
				t.Fatalf("word %d, described %v: no registers", word, described)
			}
			want := cpu.Values{cpu.RAX: 0x11223344, cpu.RIP: 0x8000, cpu.CR3: 0x1000, cpu.CS: 8, cpu.DR0: 0xd0, cpu.DR3: 0xd3, cpu.DR6: 0xffff0ff0, cpu.DR7: 0x400,
				cpu.MXCSR: 0x1f80, cpu.FCW: 0x37f, cpu.FSW: 0x1800, cpu.FTW: 0x18, cpu.XMM0: 0x1000, cpu.XMM0 + 1: 0x2000, cpu.XMM0 + 14: 0x1007, cpu.SysenterCS: 0x10, cpu.SysenterEIP: 0x12,
				// The top of the stack is register 3 of the file.
				cpu.ST0: 1<<63 | 3, cpu.ST0 + 1: 0x3fff, cpu.ST0 + 2: 1<<63 | 4, cpu.ST0 + 14: 1<<63 | 2}
			if word == 8 {
				want[cpu.LSTAR], want[cpu.SFMASK], want[cpu.XMM0+31] = 2, 4, 0x200f
			}
			for r, v := range want {
				if !got.Known(r) || got.Get(r) != v {
					t.Errorf("word %d, described %v: %s is %#x, want %#x", word, described, cpu.X64.RegName(r), got.Get(r), v)
				}
			}
			if (got.Arch == cpu.X86) != (word == 4) || got.Known(cpu.LSTAR) != (word == 8) || (st.machine.Doubt == nil) != (word == 4) {
				t.Errorf("word %d, described %v: %s, doubt %v", word, described, got.Arch, st.machine.Doubt)
			}
		}
	}
}

// TestLibvirtsHeaders: both versions in both byte orders, whatever length the XML
// has; pages in place count from the file's beginning.
func TestLibvirtsHeaders(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, version := range []uint32{1, 2} {
			for _, length := range []int{700, 65537} {
				for _, in := range []bool{false, true} {
					head := synth.SavedHead(magicSave, order, version, 0, "<domain><name>x</name></domain>", length)
					s := made(func(s *synth.SavedState) {
						if s.Start = len(head); in {
							s.Mapped, s.Capabilities = true, []string{"mapped-ram"}
						}
					})
					data := s.Bytes()
					copy(data, head)
					m, err := openBytes(data)
					if err != nil || len(m.Warnings) > 0 {
						t.Fatal(order, version, length, in, err)
					}
					hold(t, m.Mem, 0, s.Blocks[0].Data)
					checkRegisters(t, m, s)
				}
			}
		}
	}
	data := append(synth.SavedHead(magicPart, binary.LittleEndian, 2, 0, "", 100), made(nil).Bytes()...)
	m, err := openBytes(data)
	if err != nil || len(m.Warnings) != 1 || m.Warnings[0].Code != fault.Truncated || !strings.Contains(m.Warnings[0].Text, "not finished") {
		t.Errorf("a part that is whole: %v, %v", err, m.Warnings)
	}
	for _, p := range packings {
		data := append(synth.SavedHead(magicSave, binary.LittleEndian, 2, 5, "", 100), p.magic+strings.Repeat("x", 100)...)
		if _, err := openBytes(data); !fault.Is(err, fault.Packed) || !strings.Contains(err.Error(), p.name) {
			t.Errorf("%s: %v", p.name, err)
		}
		if w, err := Unwrap(named(data)); err != nil || w.Packing != p.name || w.Stream != 192 || !w.Running || !w.Libvirt {
			t.Errorf("%s: %+v, %v", p.name, w, err)
		}
	}
}

// TestStreamAtAnOffset: a stream that begins somewhere in a file.
func TestStreamAtAnOffset(t *testing.T) {
	for _, in := range []bool{false, true} {
		s := made(func(s *synth.SavedState) {
			if s.Start = 5000; in {
				s.Mapped, s.Capabilities = true, []string{"mapped-ram"}
			}
		})
		m, err := OpenStream(context.Background(), named(s.Bytes()), Wrapping{Stream: 5000}, machine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		hold(t, m.Mem, 0, s.Blocks[0].Data)
	}
}
