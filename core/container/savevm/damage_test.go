package savevm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// TestCutAtEverySection: a stream that ends anywhere is used as far as it goes;
// what is missing is counted, and nothing that is there is lost or made up.
func TestCutAtEverySection(t *testing.T) {
	for name, change := range map[string]func(*synth.SavedState){
		"described":     func(s *synth.SavedState) { s.PerPart = 40 },
		"not described": func(s *synth.SavedState) { s.PerPart, s.NoDescription = 40, true },
		"an old machine": func(s *synth.SavedState) {
			s.PerPart, s.NoDescription, s.NoFooters, s.NoConfiguration = 40, true, true, true
		},
		"sent again": func(s *synth.SavedState) {
			again(s, synth.SavedDelta, func(i int) []byte { p := bytes.Clone(s.Blocks[0].Data[i*page:][:page]); p[i]++; return p })
		},
		"in place": func(s *synth.SavedState) { s.Mapped, s.Capabilities = true, []string{"mapped-ram"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := made(change)
			whole, marks := s.Bytes(), s.Marks()
			ram := latestOf(s)
			var cuts []int
			for _, m := range marks {
				cuts = append(cuts, m-1, m, m+1, m+9)
			}
			if s.Mapped {
				cuts = append(cuts, 1<<20, 1<<20+6*page+5, 1<<20+100*page+77)
			}
			slices.Sort(cuts)
			seen := map[string]bool{}
			for _, cut := range slices.Compact(cuts) {
				if cut >= len(whole) || cut < 4 {
					continue
				}
				m, err := openBytes(whole[:cut:cut])
				if err != nil {
					if !fault.Is(err, fault.Truncated) {
						t.Errorf("cut at %#x: %v", cut, err)
					}
					seen["refused"] = true
					continue
				}
				codes := ""
				for _, w := range m.Warnings {
					codes += string(w.Code) + " "
				}
				// Pages that are there are right, or older; the others are counted.
				var held uint64
				for _, e := range m.Mem.Extents() {
					held += e.Bytes
				}
				all := uint64(len(ram) + 32*page)
				if s.Mapped && cut < 1<<20+len(ram) {
					all -= 32 * page // the next block is not known yet
				}
				if held+uint64(m.MissingEnd) != all {
					t.Errorf("cut at %#x: %#x bytes held and %#x missing of %#x", cut, held, m.MissingEnd, all)
				}
				for pa := mem.PA(0); pa < mem.PA(len(ram)); pa += page {
					p := make([]byte, page)
					err := m.Mem.ReadAt(p, pa)
					if errors.Is(err, mem.ErrHole) && m.MissingEnd > 0 {
						continue
					}
					first := s.Blocks[0].Data[pa:][:page]
					if err != nil || !bytes.Equal(p, ram[pa:][:page]) && !bytes.Equal(p, first) {
						t.Fatalf("cut at %#x: page %v is wrong (%v)", cut, pa, err)
					}
				}
				switch {
				case m.MissingEnd > 0 || len(m.CPUs) == 0:
					seen["in part"] = true
					if !strings.Contains(codes, "truncated") || !strings.Contains(codes, "no-qemu-notes") {
						t.Errorf("cut at %#x: warned %s", cut, codes)
					}
				case len(m.CPUs) == 1 || m.CPUs[1].State == nil:
					seen["a CPU is missing"] = true
					if !strings.Contains(codes, "truncated") {
						t.Errorf("cut at %#x: warned %q", cut, codes)
					}
				default:
					seen["whole"] = true
					checkRegisters(t, m, s)
				}
			}
			for _, what := range []string{"refused", "in part", "a CPU is missing", "whole"} {
				if !seen[what] {
					t.Errorf("no cut came out as %q: %v", what, seen)
				}
			}
		})
	}
}

// bare is a stream that consists of what is given, behind the head.
func bare(parts ...string) []byte {
	return []byte("QEVM\x00\x00\x00\x03" + strings.Join(parts, ""))
}

const (
	ramStart = "\x01\x00\x00\x00\x01\x03ram\x00\x00\x00\x00\x00\x00\x00\x04"
	ramPart  = "\x02\x00\x00\x00\x01"
	ramEnd   = "\x03\x00\x00\x00\x01"
	eos      = "\x00\x00\x00\x00\x00\x00\x00\x10"
	// A block of four pages.
	oneBlock = "\x00\x00\x00\x00\x00\x00\x40\x04\x06pc.ram\x00\x00\x00\x00\x00\x00\x40\x00"
)

func record(address, flags uint64, rest string) string {
	return string(be.AppendUint64(nil, address|flags)) + rest
}

// TestHostile: what no QEMU writes ends in a sentence with a code, and what came
// before is kept.
func TestHostile(t *testing.T) {
	first := record(0, flagZero, "\x06pc.ram\x00")
	long := strings.Repeat("A", 255)
	var million strings.Builder
	million.WriteString(record(1<<40, flagMemSize, ""))
	for i := range 300000 {
		fmt.Fprintf(&million, "\x07b%06d\x00\x00\x00\x00\x00\x00\x10\x00", i)
	}
	mappedEntry := func(version uint32, size, bitmap, pages uint64) string {
		p := be.AppendUint32(nil, version)
		for _, v := range []uint64{size, bitmap, pages} {
			p = be.AppendUint64(p, v)
		}
		return "\x07\x00\x00\x00\x00\x05\x1aconfiguration/capabilities\x00\x00\x00\x01\x00\x00\x00\x01\x0amapped-ram" + ramStart + oneBlock + string(p)
	}
	capability := func(name string) string {
		return "\x07\x00\x00\x00\x00\x05\x1aconfiguration/capabilities\x00\x00\x00\x01\x00\x00\x00\x01" + string(byte(len(name))) + name
	}
	for _, c := range []struct {
		name string
		data []byte
		code fault.Code // of the error; "": it opens, with a warning of want
		want string     // part of the sentence
	}{
		{"version 1", []byte("QEVM\x00\x00\x00\x01" + ramStart), fault.DamagedHeader, "version 1"},
		{"nothing", bare(), fault.Truncated, "not whole"},
		{"only the end", bare("\x00"), fault.Truncated, "before its memory"},
		{"no section", bare("\x55"), fault.Truncated, "0x55"},
		{"a long machine", bare("\x07\xff\xff\xff\xff"), fault.Truncated, "machine's name"},
		{"many capabilities", bare("\x07\x00\x00\x00\x00\x05\x1aconfiguration/capabilities\x00\x00\x00\x01\xff\xff\xff\xff"), fault.Truncated, "capabilities"},
		{"an unknown configuration", bare("\x07\x00\x00\x00\x00\x05\x03abc\x00\x00\x00\x01"), fault.Truncated, "abc"},
		{"pages of 2^63 bytes", bare("\x07\x00\x00\x00\x00\x05\x1econfiguration/target-page-bits\x00\x00\x00\x01\x00\x00\x00\x3f"), fault.Truncated, "2^63"},
		{"x-ignore-shared", bare(capability("x-ignore-shared"), ramStart), fault.SavevmImage, "x-ignore-shared"},
		{"postcopy", bare("\x08\x00\x04\x00\x00"), fault.SavevmImage, "postcopy"},
		{"postcopy, packaged", bare(ramStart, oneBlock, eos, "\x08\x00\x07\x00\x04aaaa"), fault.SavevmImage, "postcopy"},
		{"RDMA", bare(ramStart, oneBlock, record(0, flagHook, "")), fault.SavevmImage, "RDMA"},
		{"a million blocks", bare(ramStart, million.String()), fault.Truncated, "more than 4096 blocks"},
		{"a block twice", bare(ramStart, "\x00\x00\x00\x00\x00\x00\x80\x04\x06pc.ram\x00\x00\x00\x00\x00\x00\x40\x00\x06pc.ram\x00\x00\x00\x00\x00\x00\x40\x00"), fault.Truncated, "twice"},
		{"a block without a name", bare(ramStart, "\x00\x00\x00\x00\x00\x00\x80\x04\x00\x00\x00\x00\x00\x00\x00\x40\x00"), fault.Truncated, "twice"},
		{"a block that is too long", bare(ramStart, "\x00\x00\x00\x00\x00\x00\x40\x04\x06pc.ram\x00\x00\x00\x00\x00\x00\x50\x00"), fault.Truncated, "that are left"},
		{"a block of half a page", bare(ramStart, "\x00\x00\x00\x00\x00\x00\x40\x04\x06pc.ram\x00\x00\x00\x00\x00\x00\x08\x00"), fault.Truncated, "that are left"},
		{"2^63 bytes", bare(ramStart, "\x80\x00\x00\x00\x00\x00\x00\x04\x06pc.ram\x7f\xff\xff\xff\xff\xff\xf0\x00"), fault.Truncated, "more memory"},
		{"blocks listed twice", bare(ramStart, oneBlock, first, oneBlock), "", "listed twice"},
		{"a page of no block", bare(ramStart, oneBlock, first, record(0, flagZero, "\x03abc\x00")), "", "abc"},
		{"a page of the block before, and there is none", bare(ramStart, oneBlock, record(0, flagZero|flagContinue, "\x00")), fault.Truncated, "there is none"},
		{"a page behind the block", bare(ramStart, oneBlock, first, record(0x4000, flagZero|flagContinue, "\x00")), "", "beyond the end"},
		{"a page far behind the block", bare(ramStart, oneBlock, first, record(1<<63, flagPage|flagContinue, strings.Repeat("a", page))), "", "beyond the end"},
		{"a page at the end of all addresses", bare(ramStart, oneBlock, first, record(1<<64-page, flagPage|flagContinue, strings.Repeat("a", page))), "", "beyond the end"},
		{"flags that are none", bare(ramStart, oneBlock, first, record(0, 0x801, "")), "", "flags"},
		{"changes that are longer than a page", bare(ramStart, oneBlock, first, record(0, flagXBZRLE|flagContinue, "\x01\xff\xff")), "", "65535 bytes"},
		{"changes of a page that was never sent", bare(ramStart, oneBlock, first, record(0x1000, flagXBZRLE|flagContinue, "\x01\x00\x03\x00\x01a"), eos, ramEnd, eos, "\x00"), "", "never sent"},
		{"a packed page of 4 GiB", bare(ramStart, oneBlock, first, record(0, flagCompress|flagContinue, "\xff\xff\xff\xff")), "", "4294967295 bytes"},
		{"a section twice", bare(ramStart, oneBlock, first, eos, ramStart), "", "started twice"},
		{"a part of a section never started", bare(ramStart, oneBlock, first, eos, "\x02\x00\x00\x00\x09"), "", "never started"},
		{"another footer", bare(ramStart, oneBlock, first, eos, "\x7e\x00\x00\x00\x02"), "", "ends as section 2"},
		{"a section that does not end", bare(ramStart, oneBlock, first, eos, "\x01\x00\x00\x00\x02\x03abc\x00\x00\x00\x00\x00\x00\x00\x01"+long), "", "missing"},
		{"pbs-state of 2^64 bytes", bare(ramStart, oneBlock, first, eos, "\x01\x00\x00\x00\x02\x09pbs-state\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"), "", "missing"},
		{"in place, of no version", bare(mappedEntry(9, page, 0x200, 1<<20)), fault.Truncated, "version 9"},
		{"in place, at the front", bare(mappedEntry(1, page, 0x10, 1<<20)), fault.Truncated, "would be at"},
		{"in place, a bitmap behind the pages", bare(mappedEntry(1, page, 1<<21, 1<<20)), fault.Truncated, "would be at"},
		{"in place, at 2^62", bare(mappedEntry(1, page, 1<<62, 1<<62)), fault.Truncated, "would be at"},
		{"in place, huge pages", bare(mappedEntry(1, 2<<20, 0x200, 1<<20)), fault.Truncated, "2097152"},
		{"in place, shared", bare(mappedEntry(1, page, 0, 0)), fault.SavevmImage, "shared"},
		{"in place, still written", append(bare(mappedEntry(1, page, 0x200, 1<<20)), make([]byte, 2<<20)...), fault.Truncated, "still being written"},
		{"in place, nothing behind", append(bare(mappedEntry(1, page, 0x200, 1<<20)), make([]byte, 1<<20)...), fault.Truncated, "still being written"},
		{"libvirt, version 3", append([]byte(magicSave+"\x03\x00\x00\x03"), make([]byte, 200)...), fault.DamagedHeader, "version"},
		{"libvirt, gigabytes of XML", append([]byte(magicSave+"\x02\x00\x00\x00\xff\xff\xff\x7f"), make([]byte, 200)...), fault.DamagedHeader, "XML"},
		{"libvirt, cut", []byte(magicSave + "\x02\x00"), fault.Truncated, "header"},
		{"libvirt, cut in the XML", append([]byte(magicSave+"\x02\x00\x00\x00\x00\x10"), make([]byte, 200)...), fault.Truncated, "before the machine's state"},
		{"libvirt, not finished", append([]byte(magicPart+"\x02\x00\x00\x00\x00\x10"), make([]byte, 200)...), fault.SavevmImage, "not finished"},
		{"libvirt, something else", append([]byte(magicSave+"\x02\x00\x00\x00\x10\x00"), make([]byte, 2000)...), fault.Truncated, "no saved state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := openBytes(c.data)
			text := fmt.Sprint(err)
			if err == nil {
				text = ""
				for _, w := range m.Warnings {
					text += w.Text + "\n"
				}
				if p := make([]byte, page); m.Mem.ReadAt(p, 0) != nil || !bytes.Equal(p, make([]byte, page)) {
					t.Error("the page before the damage is lost")
				}
			}
			if (c.code == "") != (err == nil) || c.code != "" && !fault.Is(err, c.code) || !strings.Contains(text, c.want) {
				t.Errorf("%v [%s]\nwant %s, %q", text, fault.As(err), c.code, c.want)
			}
		})
	}
}

// TestBadContents: records that are there and hold what cannot be are errors of
// the page, not of the state.
func TestBadContents(t *testing.T) {
	for name, c := range map[string]struct{ first, second string }{
		"changes that go beyond the page":   {record(0, flagZero, "\x06pc.ram\x00"), record(0, flagXBZRLE|flagContinue, "\x01\x00\x05\xff\x1f\x02ab")},
		"a skip that goes beyond the page":  {record(0, flagZero, "\x06pc.ram\x00"), record(0, flagXBZRLE|flagContinue, "\x01\x00\x05\x00\x01a\xff\x3f")},
		"changes that end in a number":      {record(0, flagZero, "\x06pc.ram\x00"), record(0, flagXBZRLE|flagContinue, "\x01\x00\x02\x01\xff")},
		"changes longer than what is there": {record(0, flagZero, "\x06pc.ram\x00"), record(0, flagXBZRLE|flagContinue, "\x01\x00\x03\x01\x09a")},
		"not zlib":                          {"", record(0, flagCompress, "\x06pc.ram\x00\x00\x00\x04abcd")},
		"a zlib bomb":                       {"", record(0, flagCompress, "\x06pc.ram"+bomb())},
		"a short page":                      {"", record(0, flagCompress, "\x06pc.ram"+packed(100))},
	} {
		data := bare(ramStart, oneBlock, eos, ramPart, c.first, c.second, record(0x1000, flagPage|flagContinue, strings.Repeat("x", page)), eos, ramEnd, eos, "\x00")
		m, err := openBytes(data)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := m.Mem.ReadAt(make([]byte, page), 0); !fault.Is(err, fault.DamagedCopy) {
			t.Errorf("%s: %v", name, err)
		}
		if p := make([]byte, page); m.Mem.ReadAt(p, 0x1000) != nil || p[0] != 'x' {
			t.Errorf("%s: the next page is lost", name)
		}
		err = m.Mem.Scan(context.Background(), mem.Extent{Bytes: 2 * page}, make([]byte, page), func(mem.PA, []byte) error { return nil })
		if !fault.Is(err, fault.DamagedCopy) {
			t.Errorf("%s: a pass: %v", name, err)
		}
	}
}

func packed(n int) string {
	p := synth.Deflated(make([]byte, n))
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) + string(p)
}

func bomb() string { return packed(4 << 20) }

// TestBadDescriptions: a description that lies is not believed; the processors
// are found all the same.
func TestBadDescriptions(t *testing.T) {
	s := made(nil)
	data := s.Bytes()
	at := bytes.LastIndex(data, []byte(`{"page_size"`))
	text := string(data[at:])
	for name, change := range map[string]func(string) string{
		"no JSON":           func(s string) string { return `{"` + strings.Repeat("[", 100000) },
		"deep":              func(s string) string { return `{"devices":` + strings.Repeat(`[{"fields":`, 200000) },
		"a million objects": func(string) string { return `{"devices":[` + strings.Repeat("{},", 1<<20) + "{}]}" },
		"no devices":        func(string) string { return `{"devices":[]}` },
		"another device":    func(s string) string { return strings.Replace(s, `"name":"cpu_common"`, `"name":"cpu_uncommon"`, 1) },
		"another instance":  func(s string) string { return strings.Replace(s, `"instance_id":1`, `"instance_id":7`, 1) },
		"a device too long": func(s string) string { return strings.Replace(s, `"size":24`, `"size":25`, 1) },
		"a negative length": func(s string) string { return strings.Replace(s, `"size":24`, `"size":-24`, 1) },
		"a length of exabytes": func(s string) string {
			return strings.Replace(s, `"array_len":16`, `"array_len":4611686018427387904`, 1)
		},
		"a device that is left": func(s string) string { return strings.Replace(s, `]}`, `],"x":1}`, 1) },
		"one device too few": func(s string) string {
			i := strings.LastIndex(s, `,{"fields"`)
			return s[:i] + "]}"
		},
		"one device too many": func(s string) string { return s[:len(s)-2] + `,{"name":"more","size":3}]}` },
	} {
		t.Run(name, func(t *testing.T) {
			changed := change(text)
			out := append(bytes.Clone(data[:at-4]), be.AppendUint32(nil, uint32(len(changed)))...)
			m, err := openBytes(append(out, changed...))
			if err != nil {
				t.Fatal(err)
			}
			checkRegisters(t, m, s)
			hold(t, m.Mem, 0, s.Blocks[0].Data)
			told := slices.ContainsFunc(m.Warnings, func(w fault.Warning) bool { return w.Code == fault.NoteDamaged })
			if lies := strings.HasPrefix(name, "another") || strings.HasPrefix(name, "one device") || strings.HasPrefix(name, "a device too"); told != lies && lies {
				t.Errorf("it is not said that the devices are others: %v", m.Warnings)
			}
		})
	}
}

// fakeFile is a file of which only the beginning is held; the rest is what a
// function says.
type fakeFile struct {
	head []byte
	size int64
	at   func(off int64) byte
}

func (f *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		switch at := off + int64(i); {
		case at >= f.size:
			return i, io.EOF
		case at < int64(len(f.head)):
			p[i] = f.head[at]
		default:
			p[i] = f.at(at)
		}
	}
	return len(p), nil
}

// TestManyPiecesInPlace: memory of which every other page is in place is more
// pieces than are listed: it is read page by page, and is the same.
func TestManyPiecesInPlace(t *testing.T) {
	const pages = 3 * maxExtents
	const bitmap, start = 0x200, 1 << 20
	head := bare("\x07\x00\x00\x00\x00\x05\x1aconfiguration/capabilities\x00\x00\x00\x01\x00\x00\x00\x01\x0amapped-ram",
		ramStart, string(be.AppendUint64(nil, pages*page|flagMemSize)), "\x06pc.ram", string(be.AppendUint64(nil, pages*page)),
		string(be.AppendUint32(nil, 1)), string(be.AppendUint64(nil, page)), string(be.AppendUint64(nil, bitmap)), string(be.AppendUint64(nil, start)))
	tail := eos + ramEnd + eos + "\x00"
	f := &fakeFile{head: head, size: start + pages*page + int64(len(tail))}
	f.at = func(off int64) byte {
		switch {
		case off >= start+pages*page:
			return tail[off-start-pages*page]
		case off >= start:
			return byte((off-start)/page) | 1
		case off >= bitmap:
			return 0x55
		}
		return 0
	}
	m, err := Open(context.Background(), source.Source{ReaderAt: f, Size: f.size}, machine.Options{})
	if err != nil || len(m.Mem.Extents()) > 3 || m.Mem.Extents()[0].Origin != mem.Decoded {
		t.Fatal(err)
	}
	p := make([]byte, page)
	for _, n := range []int{0, 1, 2, 77, 158, 159, 0x100, 0x101} {
		want := byte(0)
		if n%2 == 0 {
			want = byte(n) | 1
		}
		if err := m.Mem.ReadAt(p, mem.PA(n*page)); err != nil || p[0] != want || p[page-1] != want {
			t.Errorf("page %d: %x, %v, want %x", n, p[0], err, want)
		}
	}
}

// TestEndsOfReading: a context that ends and a file that cannot be read end the
// pass, with and without a stream.
func TestEndsOfReading(t *testing.T) {
	data := made(nil).Bytes()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for way, s := range map[string]source.Source{"reads": named(data), "stream": streamed(named(data))} {
		if _, err := Open(ctx, s, machine.Options{}); !fault.Is(err, fault.Cancelled) {
			t.Errorf("%s: %v", way, err)
		}
		broken := s
		broken.ReaderAt = failing{data, 5000}
		if s.Stream != nil {
			broken = streamed(broken)
		}
		if _, err := Open(context.Background(), broken, machine.Options{}); !fault.Is(err, fault.InputUnreadable) {
			t.Errorf("%s: %v", way, err)
		}
	}
	if _, err := Open(context.Background(), named([]byte("something else")), machine.Options{}); !errors.Is(err, machine.ErrNotMine) {
		t.Error(err)
	}
}

type failing struct {
	data []byte
	from int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errors.New("I/O error")
	}
	return copy(p, f.data[off:]), nil
}
