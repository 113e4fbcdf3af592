package kdump

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/synth"
)

var codecs = []synth.Codec{synth.Zlib, synth.LZO, synth.Snappy, synth.Zstd, synth.Stored}

// made is a small core: two stretches of memory of which every third block is
// zeros, all codecs by turns, two CPUs.
func made(change func(*synth.KDump)) synth.KDump {
	k := synth.Guest(synth.Options{}).ELF.KDump()
	k.Runs = []mem.Run{{Start: 0x10000, Pages: 64}, {Start: 0x100000, Pages: 160}}
	k.Codec = func(n uint64) synth.Codec { return codecs[n%uint64(len(codecs))] }
	k.Block = func(n uint64) []byte {
		if n%3 == 0 {
			return make([]byte, 4096)
		}
		return append(synth.Noise(n, 1000), bytes.Repeat([]byte{byte(n)}, 3096)...)
	}
	if change != nil {
		change(&k)
	}
	return k
}

// forms are the ways in which a core may lie in a file.
func forms(k synth.KDump) map[string][]byte {
	return map[string][]byte{"plain": k.Bytes(), "flattened": k.Flattened()}
}

func openBytes(data []byte) (*machine.Machine, error) {
	return Open(context.Background(), synth.Source(data), machine.Options{})
}

// same compares a memory with the blocks that were packed.
func same(t *testing.T, m mem.Physical, k synth.KDump, block int) {
	t.Helper()
	if runs, _ := mem.Runs(m.Extents()); !slices.Equal(runs, k.Runs) {
		t.Errorf("runs %v, want %v", runs, k.Runs)
	}
	got := make([]byte, block)
	for _, r := range k.Runs {
		for pa := r.Start; pa < r.End(); pa += mem.PA(block) {
			if err := m.ReadAt(got, pa); err != nil || !bytes.Equal(got, k.Block(uint64(pa)/uint64(block))) {
				t.Fatalf("block at %v: %v", pa, err)
			}
		}
		for _, size := range []int{4096, 100000, 1 << 20} {
			at := r.Start + 5000
			err := m.Scan(context.Background(), mem.Extent{Start: at, Bytes: uint64(r.End() - at - 70)}, make([]byte, size), func(pa mem.PA, p []byte) error {
				if pa != at || len(p) == 0 || len(p) > size {
					return fmt.Errorf("%d bytes at %v, expected at %v", len(p), pa, at)
				}
				want := make([]byte, len(p))
				if err := m.ReadAt(want, pa); err != nil || !bytes.Equal(p, want) {
					return fmt.Errorf("bytes differ at %v, %v", pa, err)
				}
				at += mem.PA(len(p))
				return nil
			})
			if err != nil || at != r.End()-70 {
				t.Fatalf("scan in %d: %v, ended at %v", size, err, at)
			}
		}
	}
}

func TestEveryCodecAndForm(t *testing.T) {
	for name, c := range map[string]struct {
		block  int
		change func(*synth.KDump)
	}{
		"mixed":          {4096, nil},
		"own zeros":      {4096, func(k *synth.KDump) { k.OwnZeros = true }},
		"stored":         {4096, func(k *synth.KDump) { k.Codec = func(uint64) synth.Codec { return synth.Stored } }},
		"incompressible": {4096, func(k *synth.KDump) { k.Block = func(n uint64) []byte { return synth.Noise(n, 4096) } }},
		"64 KiB": {65536, func(k *synth.KDump) {
			k.BlockSize = 65536
			k.Runs = []mem.Run{{Start: 0x40000000, Pages: 16 * 9}}
			k.Block = func(n uint64) []byte { return append(synth.Noise(n, 30000), make([]byte, 35536)...) }
		}},
	} {
		k := made(c.change)
		for form, data := range forms(k) {
			t.Run(name+", "+form, func(t *testing.T) {
				m, err := openBytes(data)
				if err != nil || len(m.Warnings) > 0 {
					t.Fatal(err, m.Warnings)
				}
				same(t, m.Mem, k, c.block)
				for _, pa := range []mem.PA{0, k.Runs[0].Start - 1, k.Runs[0].End(), 1 << 50} {
					if err := m.Mem.ReadAt(make([]byte, 1), pa); !errors.Is(err, mem.ErrHole) {
						t.Errorf("at %v: %v", pa, err)
					}
				}
				if err := m.Mem.ReadAt(make([]byte, 2), k.Runs[0].End()-1); !errors.Is(err, mem.ErrHole) {
					t.Errorf("across the end of a run: %v", err)
				}
			})
		}
	}
}

// TestScanStops: a pass ends with its visitor and its context.
func TestScanStops(t *testing.T) {
	k := made(func(k *synth.KDump) { k.Runs = []mem.Run{{Start: 0, Pages: 2048}} })
	m, err := openBytes(k.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	whole := mem.Extent{Bytes: 2048 * mem.PageSize}
	calls := 0
	if err := m.Mem.Scan(context.Background(), whole, make([]byte, 4096), func(mem.PA, []byte) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := m.Mem.Scan(ctx, whole, make([]byte, 4096), func(mem.PA, []byte) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := m.Mem.Scan(context.Background(), mem.Extent{Bytes: 2049 * mem.PageSize}, make([]byte, 4096), nil); !errors.Is(err, mem.ErrHole) {
		t.Error(err)
	}
}

// TestLinuxKeepsItsText: vmcoreinfo that stands beside the notes becomes a note;
// what the writer left out is said in numbers.
func TestLinuxKeepsItsText(t *testing.T) {
	k := made(func(k *synth.KDump) {
		k.Info, k.DumpLevel = "OSRELEASE=6.1\n", 31
		k.Left = func(n uint64) bool { return n%4 == 1 }
	})
	for form, data := range forms(k) {
		m, err := openBytes(data)
		if err != nil {
			t.Fatal(form, err)
		}
		if n := len(m.Guest); n == 0 || m.Guest[n-1].Name != "VMCOREINFO" || string(m.Guest[n-1].Desc) != k.Info {
			t.Errorf("%s: %d notes", form, n)
		}
		if len(m.Warnings) != 1 || m.Warnings[0].Code != fault.MemoryFiltered || !strings.Contains(m.Warnings[0].Text, "56 of the machine's 224 blocks of 4096 bytes (25%)") || !strings.Contains(m.Warnings[0].Text, "dump level 31") {
			t.Errorf("%s: %v", form, m.Warnings)
		}
		if err := m.Mem.ReadAt(make([]byte, 1), 0x11000); !errors.Is(err, mem.ErrHole) {
			t.Errorf("%s: a page that was left out: %v", form, err)
		}
		for _, pa := range []mem.PA{0x10000, 0x12000, 0x13000, 0x100000, 0x102000} {
			got := make([]byte, 4096)
			if err := m.Mem.ReadAt(got, pa); err != nil || !bytes.Equal(got, k.Block(uint64(pa)/4096)) {
				t.Errorf("%s: at %v: %v", form, pa, err)
			}
		}
	}
}

// TestOverlaps: records in any order; the last one for a byte wins, what none is
// for is zero.
func TestOverlaps(t *testing.T) {
	k := made(nil)
	want := k.Bytes()
	var records [][]byte
	for off := len(want); off > 0; {
		n := min(off, 777)
		off -= n
		records = append(records, synth.FlatRecord(int64(off), want[off:off+n]))
	}
	file := append(synth.FlatHeader(), synth.FlatRecord(5000, bytes.Repeat([]byte{0xee}, 30000))...)
	file = append(file, synth.FlatRecord(0, bytes.Repeat([]byte{0xdd}, 9000))...)
	for i, r := range records {
		if i%7 == 3 { // wrong first, right later
			at := binary.BigEndian.Uint64(r)
			file = append(file, synth.FlatRecord(int64(at), bytes.Repeat([]byte{0xcc}, len(r)-16))...)
		}
	}
	for _, r := range records {
		file = append(file, r...)
	}
	file = append(file, synth.FlatEnd()...)
	m, err := openBytes(file)
	if err != nil || len(m.Warnings) > 0 {
		t.Fatal(err, m.Warnings)
	}
	same(t, m.Mem, k, 4096)
}

// TestTruncated: a file cut anywhere is refused with a code, or gives what is
// there and says how much is not; what it gives is right.
func TestTruncated(t *testing.T) {
	k := made(func(k *synth.KDump) { k.OwnZeros = true })
	for form, data := range forms(k) {
		opened := 0
		for n := 0; n < len(data); n += 1 + n%509*7 {
			m, err := openBytes(data[:n])
			if errors.Is(err, machine.ErrNotMine) && n < 16 {
				continue
			}
			if err != nil {
				if f := fault.As(err); f.Code != fault.Truncated && f.Code != fault.DamagedHeader && f.Code != fault.NoMemory {
					t.Fatalf("%s, %d bytes: %v", form, n, err)
				}
				continue
			}
			opened++
			if len(m.Warnings) == 0 || m.MissingEnd == 0 && form == "plain" {
				t.Fatalf("%s, %d of %d bytes: nothing is said (%v)", form, n, len(data), m.Warnings)
			}
			got := make([]byte, 4096)
			for _, e := range m.Mem.Extents() {
				for pa := e.Start; pa < e.End(); pa += 4096 {
					if err := m.Mem.ReadAt(got, pa); err != nil {
						if form == "flattened" && fault.Is(err, fault.DamagedCopy) {
							continue
						}
						t.Fatalf("%s, %d bytes: at %v: %v", form, n, pa, err)
					}
					if !bytes.Equal(got, k.Block(uint64(pa)/4096)) {
						t.Fatalf("%s, %d bytes: wrong bytes at %v", form, n, pa)
					}
				}
			}
		}
		if opened < 4 {
			t.Errorf("%s: only %d cuts leave a core", form, opened)
		}
	}
}

// TestDamage: numbers that cannot be are refused, or reading what they are for
// is, and nothing is made of them.
func TestDamage(t *testing.T) {
	k := made(nil)
	good := k.Bytes()
	le := binary.LittleEndian
	descriptors := 0
	for at := 0; at < len(good)-24; at += 8 { // the first descriptor names the byte behind the last one
		if n := le.Uint64(good[at:]); at > 0x2000 && n == uint64(at+24*224) {
			descriptors = at
			break
		}
	}
	if descriptors == 0 {
		t.Fatal("no descriptors found")
	}
	whole := func(m *machine.Machine) error {
		return mem.ScanPages(context.Background(), m.Mem, func(mem.PA, []byte, int64, int64) error { return nil })
	}
	for name, c := range map[string]struct {
		change func(p []byte)
		code   fault.Code
		open   bool // it opens, and reading fails
	}{
		"no block size":        {func(p []byte) { le.PutUint32(p[0x1ac:], 0) }, fault.DamagedHeader, false},
		"odd block size":       {func(p []byte) { le.PutUint32(p[0x1ac:], 5000) }, fault.DamagedHeader, false},
		"no bitmaps":           {func(p []byte) { le.PutUint32(p[0x1b4:], 1) }, fault.DamagedHeader, false},
		"bitmaps of terabytes": {func(p []byte) { le.PutUint32(p[0x1b4:], 0xffffffff); le.PutUint64(p[0x1060:], 1<<60) }, fault.DamagedHeader, false},
		"bitmaps beyond":       {func(p []byte) { le.PutUint32(p[0x1b4:], 0x1000000) }, fault.Truncated, false},
		"sub header beyond":    {func(p []byte) { le.PutUint32(p[0x1b0:], 0xfffffff0) }, fault.Truncated, false},
		"no memory":            {func(p []byte) { le.PutUint64(p[0x1060:], 1) }, fault.NoMemory, false},
		"empty":                {func(p []byte) { le.PutUint32(p[descriptors+24+8:], 0) }, fault.DamagedCopy, true},
		"another codec":        {func(p []byte) { le.PutUint32(p[descriptors+24+12:], 0x20) }, fault.DamagedCopy, true},
		"two codecs":           {func(p []byte) { le.PutUint32(p[descriptors+24+12:], 3) }, fault.DamagedCopy, true},
		"bytes":                {func(p []byte) { clear(p[le.Uint64(p[descriptors+24:]):][:20]) }, fault.DamagedCopy, true},
	} {
		p := bytes.Clone(good)
		c.change(p)
		m, err := openBytes(p)
		if c.open && err == nil {
			err = whole(m)
		} else if c.open {
			t.Errorf("%s: not opened: %v", name, err)
			continue
		}
		if !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		if m == nil {
			t.Errorf("%s: nothing is known of it", name)
		}
	}
	// A block that is said to lie behind the end of the file is taken for one of a
	// file that was cut: it is not in the memory, and that is said.
	for off, v := range map[int]uint64{24: 1 << 63, 24 + 8: 1 << 30} {
		p := bytes.Clone(good)
		le.PutUint64(p[descriptors+off:], v)
		m, err := openBytes(p)
		if err != nil || len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0].Text, "1 of 224 blocks") || whole(m) != nil {
			t.Errorf("%v, %v", err, m)
		} else if err := m.Mem.ReadAt(make([]byte, 1), 0x11000); !errors.Is(err, mem.ErrHole) {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		file []byte
		code fault.Code
	}{
		"version":       {append(append([]byte("makedumpfile\x00\x00\x00\x00"), make([]byte, 8)...), make([]byte, 5000)...), fault.DamagedHeader},
		"negative size": {append(synth.FlatHeader(), bytes.Repeat([]byte{0xfe}, 16)...), fault.DamagedHeader},
		"far away":      {append(synth.FlatHeader(), synth.FlatRecord(1<<60, []byte("x"))...), fault.DamagedHeader},
		"another file":  {append(append(synth.FlatHeader(), synth.FlatRecord(0, append([]byte("\x7fELF"), make([]byte, 5000)...))...), synth.FlatEnd()...), fault.DamagedHeader},
		"nothing":       {append(synth.FlatHeader(), synth.FlatEnd()...), fault.Truncated},
	} {
		if _, err := openBytes(c.file); !fault.Is(err, c.code) {
			t.Errorf("flattened, %s: %v", name, err)
		}
	}
}

// TestBombs: a block that unpacks to more than a block is an error, and costs no
// more than one.
func TestBombs(t *testing.T) {
	big := make([]byte, 8<<20)
	for _, codec := range []synth.Codec{synth.Zlib, synth.Snappy, synth.Zstd} {
		k := made(func(k *synth.KDump) {
			k.Codec = func(uint64) synth.Codec { return codec }
			k.Block = func(n uint64) []byte {
				if n == 20 {
					return append([]byte{1}, big...)
				}
				return synth.Noise(n, 4096)
			}
		})
		m, err := openBytes(k.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Mem.ReadAt(make([]byte, 1), 20*4096); !fault.Is(err, fault.DamagedCopy) {
			t.Errorf("codec %d: %v", codec, err)
		}
		if err := m.Mem.ReadAt(make([]byte, 1), 21*4096); err != nil {
			t.Errorf("codec %d: the block behind it: %v", codec, err)
		}
		if n := testing.AllocsPerRun(3, func() { _ = m.Mem.ReadAt(make([]byte, 1), 20*4096) }); n > 100 {
			t.Errorf("codec %d: %v allocations", codec, n)
		}
	}
}

// FuzzOpen damages a core of either form anywhere: memory that can be read or
// fails with a code, or a refusal with one.
func FuzzOpen(f *testing.F) {
	k := made(func(k *synth.KDump) { k.Runs = []mem.Run{{Start: 0x8000, Pages: 10}, {Start: 0x40000, Pages: 20}} })
	plain, flattened := k.Bytes(), k.Flattened()
	f.Add(false, uint32(0x1ac), []byte{0, 0, 1}, uint32(0))
	f.Add(false, uint32(0x1b0), []byte{9}, uint32(0))
	f.Add(false, uint32(0x1030), []byte{1, 2}, uint32(1))
	f.Add(false, uint32(0x5008), []byte{1, 2, 0, 0, 2}, uint32(5000))
	f.Add(true, uint32(4096), []byte{0, 0, 1, 0xff}, uint32(0))
	f.Add(true, uint32(4096+16+4096), []byte{0, 0, 0, 0, 0, 0, 0, 7}, uint32(300))
	f.Fuzz(func(t *testing.T, flat bool, off uint32, with []byte, cut uint32) {
		p := bytes.Clone(plain)
		if flat {
			p = bytes.Clone(flattened)
		}
		copy(p[int(off)%len(p):], with)
		p = p[:len(p)-int(cut)%len(p)]
		s := synth.Source(p)
		if cut%2 == 1 {
			s = streamed(s)
		}
		m, err := Open(context.Background(), s, machine.Options{})
		if err != nil {
			if !errors.Is(err, machine.ErrNotMine) && fault.As(err).Code == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		var last mem.PA
		for _, e := range m.Mem.Extents() {
			if e.Start < last || e.Bytes == 0 {
				t.Fatalf("extents %v", m.Mem.Extents())
			}
			last = e.End()
		}
		err = mem.ScanPages(context.Background(), m.Mem, func(mem.PA, []byte, int64, int64) error { return nil })
		if err != nil && fault.As(err).Code == fault.Internal {
			t.Fatal(err)
		}
	})
}

// FuzzUnpack gives any bytes to every codec: a block, or an error.
func FuzzUnpack(f *testing.F) {
	for _, c := range codecs {
		k := made(func(k *synth.KDump) { k.Codec = func(uint64) synth.Codec { return c } })
		data := k.Bytes()
		f.Add(uint32(c), data[len(data)-200:])
	}
	f.Add(uint32(2), []byte{0, 0, 0, 255, 1, 2, 3, 0x11, 0, 0})
	f.Fuzz(func(t *testing.T, flags uint32, packed []byte) {
		var c codec
		p := make([]byte, 4096)
		for range 2 {
			_ = c.unpack(p, packed, flags)
		}
	})
}
